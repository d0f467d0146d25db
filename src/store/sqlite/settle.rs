//! Verdicts: everything that an event's end writes, in one transaction, fenced by its ticket.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        ids::EventKey,
        outcome::{Failure, Fence, Held, Settled, Verdict},
    },
    store::{
        budget_rows::count_alerts,
        contract::{Result, command_id, copy_command_id, event_dead_letter_id, spoils_answer},
        record_rows::RecordRows,
        rows::{AuditEntry, InboxChange, PlannedCommand, copy_command, json, text},
        sqlite::{
            audit,
            db::{Db, Tx, failed, get},
            dead_letters::{self, NewDeadLetter},
            erase,
            inbox::fences,
            journal, plan, records,
        },
    },
};

/// The fence: only a holder's row changes, and only what it answers is written for.
const CHANGE: &str = "
    UPDATE inbox SET
        state = mine.value ->> 'state', lease_until = NULL, started = 0, updated_at = ?2,
        retry_at = CASE mine.value ->> 'state' WHEN 'waiting' THEN COALESCE(mine.value ->> 'retry_at', ?2) END,
        failures = failures + (mine.value ->> 'failures'),
        deferrals = deferrals + (mine.value ->> 'deferrals'),
        panics = panics + (mine.value ->> 'panics'),
        reason = COALESCE(mine.value ->> 'reason', reason),
        detail = COALESCE(mine.value ->> 'detail', detail)
    FROM json_each(?1) AS mine
    WHERE inbox.key = mine.value ->> 'key' AND inbox.ticket = mine.value ->> 'ticket' AND inbox.state = 'open'
    RETURNING inbox.key, inbox.ticket, inbox.tenant, inbox.source";

const PARK: &str = "
    INSERT INTO parked (key, revision, due_at)
    SELECT value ->> 'key', value ->> 'revision', value ->> 'due_at' FROM json_each(?1) WHERE true
    ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, due_at = excluded.due_at, woken_at = NULL";

/// An event that is to be woken.
#[derive(Serialize)]
pub(super) struct ParkedRow<'a> {
    pub(super) key: &'a EventKey,
    pub(super) revision: i32,
    pub(super) due_at: i64,
}

pub(super) async fn settle(db: &Db, group: &[Settled]) -> Result<Vec<Fence>> {
    let mut tx = db.write().await?;
    let changed = change_inbox(&mut tx, group).await?;
    let answers = fenced(&changed, group)?;
    let committed: Vec<&Settled> =
        group.iter().zip(&answers).filter(|(_, fence)| **fence == Fence::Committed).map(|(s, _)| s).collect();
    let rows = write_outcomes(&mut tx, &committed).await?;
    write_parked(&mut tx, &committed).await?;
    let owners = owners(&changed)?;
    bury(&mut tx, &committed, &owners).await?;
    let said: Vec<_> = committed
        .iter()
        .map(|s| AuditEntry::of(s, owners.get(&s.held.key).map_or("", |owner| owner.tenant.as_str())))
        .collect();
    audit::insert(&mut tx, &said).await?;
    let alerts = erase::carry_out(&mut tx, &rows.erasures).await?;
    tx.commit().await?;
    count_alerts(&alerts);
    Ok(answers)
}

async fn change_inbox(tx: &mut Tx, group: &[Settled]) -> Result<Vec<SqliteRow>> {
    let mut once = HashSet::new();
    let changes: Vec<_> = group
        .iter()
        .filter(|settled| once.insert((&settled.held.key, settled.held.ticket)))
        .map(InboxChange::of)
        .collect();
    let now = tx.now;
    sqlx::query(CHANGE).bind(json(&changes)?).bind(now).fetch_all(tx.on()).await.map_err(failed)
}

/// The first verdict of a claim counts; a second one in the same group finds the claim gone.
fn fenced(changed: &[SqliteRow], group: &[Settled]) -> Result<Vec<Fence>> {
    let mut once = HashSet::new();
    let mut answers = fences(changed, group.iter().map(|s| &s.held))?;
    for (settled, answer) in group.iter().zip(&mut answers) {
        if !once.insert((&settled.held.key, settled.held.ticket)) {
            *answer = Fence::Lost;
        }
    }
    Ok(answers)
}

/// Whose an event is.
struct Owner {
    tenant: String,
    source: String,
}

fn owners(changed: &[SqliteRow]) -> Result<HashMap<EventKey, Owner>> {
    let owner = |row| Ok((EventKey(get(row, 0)?), Owner { tenant: get(row, 2)?, source: get(row, 3)? }));
    changed.iter().map(owner).collect()
}

async fn write_outcomes<'a>(tx: &mut Tx, committed: &[&'a Settled]) -> Result<RecordRows<'a>> {
    let mut rows = RecordRows::default();
    let mut commands = Vec::new();
    for Settled { held, verdict } in committed {
        let Verdict::Done(outcome) = verdict else { continue };
        for write in &outcome.writes {
            rows.add(held, write)?;
        }
        for (position, command) in outcome.commands.iter().enumerate() {
            commands.push(PlannedCommand::new(command_id(held, position), Some(&held.key), command)?);
        }
    }
    records::insert(tx, &rows).await?;
    plan::insert(tx, &commands).await?;
    Ok(rows)
}

async fn write_parked(tx: &mut Tx, committed: &[&Settled]) -> Result<()> {
    let parked = committed.iter().filter_map(|Settled { held, verdict }| match verdict {
        Verdict::Retry { at, park: true, .. } | Verdict::Defer { at, park: true, .. } => {
            Some(ParkedRow { key: &held.key, revision: held.revision.0, due_at: at.0 })
        }
        _ => None,
    });
    park(tx, &parked.collect::<Vec<_>>()).await
}

/// Parks events; a row that is there already is set anew.
pub(super) async fn park(tx: &mut Tx, rows: &[ParkedRow<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(PARK).bind(json(rows)?).execute(tx.on()).await.map_err(failed)?;
    Ok(())
}

async fn bury(tx: &mut Tx, committed: &[&Settled], owners: &HashMap<EventKey, Owner>) -> Result<()> {
    let buried: Vec<(&Held, &Failure)> = committed
        .iter()
        .filter_map(|s| if let Verdict::Bury(failure) = &s.verdict { Some((&s.held, failure)) } else { None })
        .collect();
    if buried.is_empty() {
        return Ok(());
    }
    let bodies = bodies(tx, &buried).await?;
    let mut letters = Vec::new();
    let mut copies = Vec::new();
    for (held, failure) in &buried {
        let id = event_dead_letter_id(&held.key, held.revision);
        let owner = owners.get(&held.key);
        let body = bodies.get(held.key.as_str());
        let correlation = body.and_then(|body| body.correlation.as_deref());
        let command = copy_command(&id, owner.map_or("", |o| o.tenant.as_str()), correlation);
        // A revision is buried once, so its copy is the first.
        copies.push(PlannedCommand::new(copy_command_id(&id, 1), Some(&held.key), &command)?);
        letters.push(NewDeadLetter {
            id,
            kind: "event",
            source: owner.map(|o| o.source.clone()),
            event_key: Some(held.key.0.clone()),
            reason: failure.reason.code(),
            detail: text(&failure.detail).into_owned(),
            body: body.map(|body| body.text.clone()).unwrap_or_default(),
            attributes: "{}".to_owned(),
            extra: failure.raw.as_ref().map(json).transpose()?,
        });
    }
    dead_letters::insert(tx, &letters).await?;
    plan::insert(tx, &copies).await?;
    let spoilt = buried.iter().filter(|(_, failure)| spoils_answer(failure.reason));
    journal::reject_all(tx, &spoilt.map(|(held, _)| &held.key).collect::<Vec<_>>()).await
}

/// A stored event.
struct Body {
    text: String,
    correlation: Option<String>,
}

async fn bodies(tx: &mut Tx, buried: &[(&Held, &Failure)]) -> Result<HashMap<String, Body>> {
    let keys: Vec<_> = buried.iter().map(|(held, _)| &held.key).collect();
    let rows = sqlx::query(
        "SELECT key, body, body ->> 'correlation_id' AS correlation FROM events
         WHERE key IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&keys)?)
    .fetch_all(tx.on())
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok((get(row, "key")?, Body { text: get(row, "body")?, correlation: get(row, "correlation")? }))
        })
        .collect()
}
