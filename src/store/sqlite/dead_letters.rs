//! What could not be processed: kept whole, and listed for people.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        dead_letter::{DeadDelivery, DeadLetter, DeadLetterFilter, DeadLetterKind, DeadLetterState},
        ids::EventKey,
        reason::Reason,
    },
    store::{
        contract::{Result, StoreError, copy_command_id},
        rows::{AuditEntry, PlannedCommand, copy_command, indexed, json, text},
        sqlite::{
            audit,
            db::{Db, Tx, failed, get, time, unknown_word},
            plan,
        },
    },
};

/// A second burial only raises `seen`; one that was replayed meanwhile is opened again, with its new reason. What was
/// erased stays so.
const INSERT: &str = "
    INSERT INTO dead_letters (id, kind, state, source, event_key, reason, detail, first_at, last_at, body,
                              attributes, extra)
    SELECT value ->> 'id', value ->> 'kind', 'open', value ->> 'source', value ->> 'event_key',
           value ->> 'reason', value ->> 'detail', ?2, ?2, value ->> 'body', value ->> 'attributes',
           value ->> 'extra'
    FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO UPDATE SET
        reason = iif(state = 'replayed', excluded.reason, reason),
        detail = iif(state = 'replayed', excluded.detail, detail),
        state = iif(state = 'erased', state, 'open'), seen = seen + 1, last_at = excluded.last_at
    RETURNING id, seen";

/// Within one tick of the clock the row number tells which is newer.
const LIST: &str = "
    SELECT id, kind, state, source, event_key, reason, detail, seen, first_at, last_at, body, attributes, extra
    FROM dead_letters
    WHERE (?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR source = ?2) AND (?3 OR state = 'open')
    ORDER BY last_at DESC, rowid DESC LIMIT ?4";

/// The same among these ids, found by their index.
const LIST_IDS: &str = "
    SELECT id, kind, state, source, event_key, reason, detail, seen, first_at, last_at, body, attributes, extra
    FROM dead_letters
    WHERE (?1 IS NULL OR reason = ?1) AND (?2 IS NULL OR source = ?2) AND (?3 OR state = 'open')
      AND id IN (SELECT value FROM json_each(?5))
    ORDER BY last_at DESC, rowid DESC LIMIT ?4";

/// A dead letter about to be kept; `attributes` and `extra` are JSON text.
#[derive(Serialize)]
pub(super) struct NewDeadLetter {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) source: Option<String>,
    pub(super) event_key: Option<String>,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) body: String,
    pub(super) attributes: String,
    pub(super) extra: Option<String>,
}

/// Keeps dead letters; answers how often each was seen by now.
pub(super) async fn insert(tx: &mut Tx, letters: &[NewDeadLetter]) -> Result<HashMap<String, i32>> {
    if letters.is_empty() {
        return Ok(HashMap::new());
    }
    let now = tx.now;
    let rows = sqlx::query(INSERT).bind(json(letters)?).bind(now).fetch_all(tx.on()).await.map_err(failed)?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

pub(super) async fn bury(db: &Db, dead: &[DeadDelivery]) -> Result<()> {
    let letters: Vec<_> = dead.iter().map(letter).collect::<Result<_>>()?;
    let mut tx = db.write().await?;
    let open = open_ids(&mut tx, &letters).await?;
    let seen = insert(&mut tx, &letters).await?;
    // One that is open has its copy planned or made: another burial of it needs none.
    let mut copies = Vec::new();
    for (id, seen) in seen.iter().filter(|(id, _)| !open.contains(id)) {
        copies.push(PlannedCommand::new(copy_command_id(id, *seen), None, &copy_command(id, "", None))?);
    }
    copies.sort_by(|a, b| a.id.cmp(&b.id));
    plan::insert(&mut tx, &copies).await?;
    let said: Vec<_> = dead
        .iter()
        .map(|dead| AuditEntry {
            actor: "worker",
            action: "bury",
            subject: &dead.id,
            tenant: None,
            detail: format!("{}: {}", dead.reason, text(&dead.detail)),
        })
        .collect();
    audit::insert(&mut tx, &said).await?;
    tx.commit().await
}

fn letter(dead: &DeadDelivery) -> Result<NewDeadLetter> {
    Ok(NewDeadLetter {
        id: indexed(&dead.id).into_owned(),
        kind: "delivery",
        source: dead.source.clone(),
        event_key: None,
        reason: dead.reason.code(),
        detail: text(&dead.detail).into_owned(),
        body: text(&dead.body).into_owned(),
        attributes: json(&dead.attributes)?,
        extra: dead.item.as_ref().map(json).transpose()?,
    })
}

async fn open_ids(tx: &mut Tx, letters: &[NewDeadLetter]) -> Result<Vec<String>> {
    let ids: Vec<_> = letters.iter().map(|letter| &letter.id).collect();
    sqlx::query_scalar(
        "SELECT id FROM dead_letters WHERE state <> 'replayed' AND id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&ids)?)
    .fetch_all(tx.on())
    .await
    .map_err(failed)
}

pub(super) async fn list(db: &Db, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>> {
    let list = sqlx::query(if filter.ids.is_empty() { LIST } else { LIST_IDS })
        .bind(filter.reason.map(Reason::code))
        .bind(filter.source.as_deref())
        .bind(filter.closed)
        .bind(filter.limit);
    let ids: Vec<_> = filter.ids.iter().map(|id| indexed(id)).collect();
    let list = if ids.is_empty() { list } else { list.bind(json(&ids)?) };
    let rows = list.fetch_all(db.readers()).await.map_err(failed)?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<DeadLetter> {
    let reason: String = get(row, "reason")?;
    let extra: Option<String> = get(row, "extra")?;
    let state: String = get(row, "state")?;
    Ok(DeadLetter {
        id: get(row, "id")?,
        kind: kind(get(row, "kind")?)?,
        state: DeadLetterState::named(&state).ok_or_else(|| unknown_word("state", &state))?,
        source: get(row, "source")?,
        event_key: get::<Option<String>, _>(row, "event_key")?.map(EventKey),
        reason: Reason::from_code(&reason).ok_or_else(|| unknown_word("reason", &reason))?,
        detail: get(row, "detail")?,
        seen: get(row, "seen")?,
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        body: get(row, "body")?,
        attributes: parsed(get(row, "attributes")?)?,
        extra: extra.as_deref().map(parsed).transpose()?,
    })
}

/// The kind of this name.
pub(super) fn kind(name: &str) -> Result<DeadLetterKind> {
    [DeadLetterKind::Event, DeadLetterKind::Delivery, DeadLetterKind::Command]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| unknown_word("kind of dead letter", name))
}

fn parsed(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text)
        .map_err(|e| StoreError::Refused(format!("a stored dead letter cannot be read: {e}")))
}
