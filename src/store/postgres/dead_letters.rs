//! What could not be processed: kept whole, and listed for people.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{
        dead_letter::{DeadDelivery, DeadLetter, DeadLetterFilter, DeadLetterKind, DeadLetterState},
        ids::EventKey,
        reason::Reason,
    },
    store::{
        contract::{StoreError, copy_command_id},
        postgres::{
            audit,
            db::{Step, clean, column, indexed, time, unknown_word},
            plan,
        },
        rows::{AuditEntry, PlannedCommand, copy_command, json},
    },
};

/// A dead letter about to be kept; `attributes` and `extra` are JSON text.
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

/// Keeps dead letters; answers how often each was seen by now. A second burial only raises `seen`; one that
/// was replayed meanwhile is opened again, with its new reason. What was erased stays so.
pub(super) async fn insert(
    tx: &mut PgConnection,
    letters: Vec<NewDeadLetter>,
) -> Step<BTreeMap<String, i32>> {
    let mut distinct: BTreeMap<String, (NewDeadLetter, i32)> = BTreeMap::new();
    for letter in letters {
        distinct.entry(indexed(&letter.id)).or_insert((letter, 0)).1 += 1;
    }
    let rows: Vec<(String, (NewDeadLetter, i32))> = distinct.into_iter().collect();
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let seen = sqlx::query(
        "INSERT INTO dead_letters AS old (id, kind, state, source, event_key, reason, detail, seen, first_at,
            last_at, body, attributes, extra)
         SELECT id, kind, 'open', source, event_key, reason, detail, seen, clock_timestamp(),
            clock_timestamp(), body, attributes::json, extra::json
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
            $8::text[], $9::text[], $10::text[])
            AS new (id, kind, source, event_key, reason, detail, seen, body, attributes, extra)
         ON CONFLICT (id) DO UPDATE SET
            reason = CASE old.state WHEN 'replayed' THEN excluded.reason ELSE old.reason END,
            detail = CASE old.state WHEN 'replayed' THEN excluded.detail ELSE old.detail END,
            state = CASE old.state WHEN 'erased' THEN old.state ELSE 'open' END, seen = old.seen + excluded.seen, last_at = excluded.last_at
         RETURNING id, seen",
    )
    .bind(column(&rows, |(id, _)| id.as_str()))
    .bind(column(&rows, |(_, (letter, _))| letter.kind))
    .bind(column(&rows, |(_, (letter, _))| letter.source.as_deref().map(clean)))
    .bind(column(&rows, |(_, (letter, _))| letter.event_key.as_deref().map(clean)))
    .bind(column(&rows, |(_, (letter, _))| letter.reason))
    .bind(column(&rows, |(_, (letter, _))| clean(&letter.detail)))
    .bind(column(&rows, |(_, (_, seen))| *seen))
    .bind(column(&rows, |(_, (letter, _))| clean(&letter.body)))
    .bind(column(&rows, |(_, (letter, _))| letter.attributes.as_str()))
    .bind(column(&rows, |(_, (letter, _))| letter.extra.as_deref()))
    .fetch_all(tx)
    .await?;
    let mut counts = BTreeMap::new();
    for row in seen {
        counts.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(counts)
}

/// Buries deliveries or items.
pub(super) async fn bury(tx: &mut PgConnection, dead: &[DeadDelivery]) -> Step<()> {
    let letters = dead.iter().map(letter).collect::<Step<Vec<_>>>()?;
    let open = lock_open(tx, &letters).await?;
    let seen = insert(tx, letters).await?;
    // One that is open has its copy planned or made: another burial of it needs none.
    let mut copies = Vec::new();
    for (id, seen) in seen.iter().filter(|(id, _)| !open.contains(id)) {
        copies.push(PlannedCommand::new(copy_command_id(id, *seen), None, &copy_command(id, "", None))?);
    }
    plan::insert(tx, &copies).await?;
    let said: Vec<_> = dead
        .iter()
        .map(|dead| AuditEntry {
            actor: "worker",
            action: "bury",
            subject: &dead.id,
            tenant: None,
            detail: format!("{}: {}", dead.reason, dead.detail),
        })
        .collect();
    audit::insert(tx, &said).await
}

fn letter(dead: &DeadDelivery) -> Step<NewDeadLetter> {
    Ok(NewDeadLetter {
        id: dead.id.clone(),
        kind: "delivery",
        source: dead.source.clone(),
        event_key: None,
        reason: dead.reason.code(),
        detail: dead.detail.clone(),
        body: dead.body.clone(),
        attributes: json(&dead.attributes)?,
        extra: dead.item.as_ref().map(json).transpose()?,
    })
}

/// Which are open already. Locked, so that a replay at the same time comes before or after, not between.
async fn lock_open(tx: &mut PgConnection, letters: &[NewDeadLetter]) -> Step<Vec<String>> {
    let open = sqlx::query_scalar(
        "SELECT id FROM dead_letters WHERE id = ANY($1) AND state <> 'replayed' ORDER BY id FOR UPDATE",
    );
    Ok(open.bind(column(letters, |letter| indexed(&letter.id))).fetch_all(tx).await?)
}

/// Dead letters for people, newest first.
pub(super) async fn list(pool: &PgPool, filter: &DeadLetterFilter) -> Step<Vec<DeadLetter>> {
    let rows = sqlx::query(
        "SELECT id, kind, state, source, event_key, reason, detail, seen, first_at, last_at, body,
            attributes::text AS attributes, extra::text AS extra
         FROM dead_letters
         WHERE (cardinality($1::text[]) = 0 OR id = ANY($1)) AND ($2::text IS NULL OR reason = $2)
           AND ($3::text IS NULL OR source = $3) AND ($4 OR state = 'open')
         ORDER BY last_at DESC, id LIMIT $5",
    )
    .bind(column(&filter.ids, |id| indexed(id)))
    .bind(filter.reason.map(Reason::code))
    .bind(filter.source.as_deref().map(clean))
    .bind(filter.closed)
    .bind(filter.limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Step<DeadLetter> {
    let reason: String = row.try_get("reason")?;
    let state: String = row.try_get("state")?;
    let extra: Option<&str> = row.try_get("extra")?;
    Ok(DeadLetter {
        id: row.try_get("id")?,
        kind: kind(row.try_get("kind")?)?,
        state: DeadLetterState::named(&state).ok_or_else(|| unknown_word("state", &state))?,
        source: row.try_get("source")?,
        event_key: row.try_get::<Option<String>, _>("event_key")?.map(EventKey),
        reason: Reason::from_code(&reason).ok_or_else(|| unknown_word("reason", &reason))?,
        detail: row.try_get("detail")?,
        seen: row.try_get("seen")?,
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        body: row.try_get("body")?,
        attributes: parsed(row.try_get("attributes")?)?,
        extra: extra.map(parsed).transpose()?,
    })
}

fn parsed(text: &str) -> Step<serde_json::Value> {
    Ok(serde_json::from_str(text)
        .map_err(|error| StoreError::Refused(format!("a dead letter cannot be read: {error}")))?)
}

/// The kind of this name.
pub(super) fn kind(name: &str) -> Step<DeadLetterKind> {
    [DeadLetterKind::Event, DeadLetterKind::Delivery, DeadLetterKind::Command]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| unknown_word("dead letter kind", name).into())
}
