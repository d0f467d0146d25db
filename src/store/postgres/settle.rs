//! Verdicts: everything that an event's end writes, in one transaction, fenced by its ticket.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row as _};

use crate::{
    domain::{
        outcome::{Failure, Fence, Held, Settled, Verdict},
        timestamp::Timestamp,
    },
    store::{
        budget_rows::Alert,
        contract::{command_id, copy_command_id, event_dead_letter_id, spoils_answer},
        postgres::{
            audit,
            db::{Step, calendar, clean, column},
            dead_letters::{self, NewDeadLetter},
            erase, journal, plan, records,
        },
        record_rows::RecordRows,
        rows::{AuditEntry, InboxChange, PlannedCommand, copy_command, json},
    },
};

/// Commits the members that hold their tickets; in the order of the tables everywhere: inbox, parked,
/// records, journal, dead letters, outbox, audit; then what is to be erased.
pub(super) async fn settle(tx: &mut PgConnection, group: &[Settled]) -> Step<(Vec<Fence>, Vec<Alert>)> {
    erase::lock_if_asked(tx, group).await?;
    let mut first = HashSet::new();
    let firsts: Vec<bool> =
        group.iter().map(|member| first.insert((&member.held.key, member.held.ticket))).collect();
    let asked: Vec<&Settled> =
        group.iter().zip(&firsts).filter(|(_, first)| **first).map(|(s, _)| s).collect();
    let owners = change_inbox(tx, &asked).await?;
    let owner = |held: &Held| owners.get(&(clean(held.key.as_str()), held.ticket.0));
    let committed: Vec<(&Settled, &Owner)> =
        asked.iter().filter_map(|member| owner(&member.held).map(|owner| (*member, owner))).collect();
    park(tx, &committed).await?;
    let (rows, mut commands) = write_outcomes(tx, &committed).await?;
    commands.extend(bury(tx, &committed).await?);
    plan::insert(tx, &commands).await?;
    let said: Vec<_> =
        committed.iter().map(|(member, owner)| AuditEntry::of(member, owner.tenant.as_str())).collect();
    audit::insert(tx, &said).await?;
    let alerts = erase::carry_out(tx, &rows).await?;
    let fence = |(member, first): (&Settled, &bool)| match *first && owner(&member.held).is_some() {
        true => Fence::Committed,
        false => Fence::Lost,
    };
    Ok((group.iter().zip(&firsts).map(fence).collect(), alerts))
}

/// Whose an event is.
struct Owner {
    tenant: String,
    source: String,
}

/// The fence: only a holder's row changes, and only what it answers is written for.
async fn change_inbox(tx: &mut PgConnection, asked: &[&Settled]) -> Step<HashMap<(String, i64), Owner>> {
    let changes: Vec<_> = asked.iter().map(|member| InboxChange::of(member)).collect();
    let rows = sqlx::query(
        "WITH mine AS MATERIALIZED (
            SELECT change.* FROM inbox i
            JOIN unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::int[], $6::int[],
                $7::int[], $8::text[], $9::text[])
                AS change (key, ticket, state, retry_at, failures, deferrals, panics, reason, detail)
                ON i.key = change.key AND i.ticket = change.ticket
            WHERE i.state = 'open' ORDER BY i.key COLLATE \"C\" FOR UPDATE OF i
         )
         UPDATE inbox i SET state = mine.state, lease_until = NULL, started = 0,
            retry_at = CASE mine.state WHEN 'waiting' THEN coalesce(mine.retry_at, clock_timestamp()) END,
            failures = i.failures + mine.failures, deferrals = i.deferrals + mine.deferrals,
            panics = i.panics + mine.panics, reason = coalesce(mine.reason, i.reason),
            detail = coalesce(mine.detail, i.detail), updated_at = clock_timestamp()
         FROM mine WHERE i.key = mine.key AND i.ticket = mine.ticket AND i.state = 'open'
         RETURNING i.key, i.ticket, i.tenant, i.source",
    )
    .bind(column(&changes, |change| clean(change.key.as_str())))
    .bind(column(&changes, |change| change.ticket))
    .bind(column(&changes, |change| change.state))
    .bind(column(&changes, |change| change.retry_at.map(|at| calendar(Timestamp(at)))))
    .bind(column(&changes, |change| change.failures))
    .bind(column(&changes, |change| change.deferrals))
    .bind(column(&changes, |change| change.panics))
    .bind(column(&changes, |change| change.reason))
    .bind(column(&changes, |change| change.detail.as_deref()))
    .fetch_all(tx)
    .await?;
    let mut owners = HashMap::with_capacity(rows.len());
    for row in rows {
        let owner = Owner { tenant: row.try_get(2)?, source: row.try_get(3)? };
        owners.insert((row.try_get(0)?, row.try_get(1)?), owner);
    }
    Ok(owners)
}

async fn park(tx: &mut PgConnection, committed: &[(&Settled, &Owner)]) -> Step<()> {
    let mut parked: Vec<(String, i32, Timestamp)> = committed
        .iter()
        .filter_map(|(Settled { held, verdict }, _)| match verdict {
            Verdict::Retry { at, park: true, .. } | Verdict::Defer { at, park: true, .. } => {
                Some((clean(held.key.as_str()), held.revision.0, *at))
            }
            _ => None,
        })
        .collect();
    if parked.is_empty() {
        return Ok(());
    }
    parked.sort();
    sqlx::query(
        "INSERT INTO parked (key, revision, due_at)
         SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[])
         ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, due_at = excluded.due_at,
            woken_at = NULL",
    )
    .bind(column(&parked, |row| row.0.as_str()))
    .bind(column(&parked, |row| row.1))
    .bind(column(&parked, |row| calendar(row.2)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the rows of the members that are done, and answers them and their commands, in the order of the group:
/// it is the order within a lane.
async fn write_outcomes<'a>(
    tx: &mut PgConnection,
    committed: &[(&'a Settled, &Owner)],
) -> Step<(RecordRows<'a>, Vec<PlannedCommand>)> {
    let mut rows = RecordRows::default();
    let mut commands = Vec::new();
    for (Settled { held, verdict }, _) in committed {
        let Verdict::Done(outcome) = verdict else { continue };
        for write in &outcome.writes {
            rows.add(held, write)?;
        }
        for (position, command) in outcome.commands.iter().enumerate() {
            commands.push(PlannedCommand::new(command_id(held, position), Some(&held.key), command)?);
        }
    }
    records::insert(tx, &rows).await?;
    Ok((rows, commands))
}

/// Keeps buried events with their stored bodies, and answers the commands that copy them to the DLQ.
async fn bury(tx: &mut PgConnection, committed: &[(&Settled, &Owner)]) -> Step<Vec<PlannedCommand>> {
    let buried: Vec<(&Held, &Failure, &Owner)> = committed
        .iter()
        .filter_map(|(member, owner)| match &member.verdict {
            Verdict::Bury(failure) => Some((&member.held, failure, *owner)),
            _ => None,
        })
        .collect();
    if buried.is_empty() {
        return Ok(Vec::new());
    }
    let spoilt = buried.iter().filter(|(_, failure, _)| spoils_answer(failure.reason));
    let spoilt: Vec<_> = spoilt.map(|(held, ..)| clean(held.key.as_str())).collect();
    journal::reject_all(tx, &spoilt).await?;
    let bodies = bodies(tx, &buried).await?;
    let mut letters = Vec::new();
    let mut copies = Vec::new();
    for (held, failure, owner) in buried {
        let id = event_dead_letter_id(&held.key, held.revision);
        let body = bodies.get(&clean(held.key.as_str()));
        let command = copy_command(&id, &owner.tenant, body.map(|body| body.correlation.as_str()));
        // A revision is buried once, so its copy is the first.
        copies.push(PlannedCommand::new(copy_command_id(&id, 1), Some(&held.key), &command)?);
        letters.push(NewDeadLetter {
            id,
            kind: "event",
            source: Some(owner.source.clone()),
            event_key: Some(held.key.0.clone()),
            reason: failure.reason.code(),
            detail: failure.detail.clone(),
            body: body.map(|body| body.text.clone()).unwrap_or_default(),
            attributes: "{}".to_owned(),
            extra: failure.raw.as_ref().map(json).transpose()?,
        });
    }
    dead_letters::insert(tx, letters).await?;
    Ok(copies)
}

/// A stored event.
struct Body {
    text: String,
    correlation: String,
}

async fn bodies(tx: &mut PgConnection, buried: &[(&Held, &Failure, &Owner)]) -> Step<HashMap<String, Body>> {
    let rows = sqlx::query(
        "SELECT key, body::text, coalesce(body ->> 'correlation_id', key) FROM events WHERE key = ANY($1)",
    )
    .bind(column(buried, |(held, ..)| clean(held.key.as_str())))
    .fetch_all(tx)
    .await?;
    let mut bodies = HashMap::with_capacity(rows.len());
    for row in rows {
        bodies.insert(row.try_get(0)?, Body { text: row.try_get(1)?, correlation: row.try_get(2)? });
    }
    Ok(bodies)
}
