//! Fresh starts for dead letters. A person's order, so letter after letter; locked in the order of their
//! ids first, so that two orders at once give each letter one fresh start.

use std::collections::HashMap;

use sqlx::{PgConnection, Row as _};

use crate::{
    domain::{
        dead_letter::DeadLetterKind,
        ids::{CommandId, EventKey, Revision},
    },
    store::{
        contract::{Replayed, requeue_command_id},
        postgres::{
            audit,
            db::{Step, clean, column, indexed},
            dead_letters::kind,
            plan,
        },
        rows::{AuditEntry, PlannedCommand, requeue_command},
    },
};

/// Gives dead letters a fresh start; answers in the order asked.
pub(super) async fn replay(tx: &mut PgConnection, ids: &[String], actor: &str) -> Step<Vec<Replayed>> {
    let mut open = lock_open(tx, ids).await?;
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        // The same id twice: the first closed it.
        answers.push(match open.remove(&indexed(id)) {
            Some(letter) => replay_one(tx, &letter, actor).await?,
            None => Replayed::NotOpen,
        });
    }
    Ok(answers)
}

/// An open dead letter.
struct Letter {
    id: String,
    kind: DeadLetterKind,
    event_key: Option<String>,
    seen: i32,
}

async fn lock_open(tx: &mut PgConnection, ids: &[String]) -> Step<HashMap<String, Letter>> {
    let rows = sqlx::query(
        "SELECT id, kind, event_key, seen FROM dead_letters
         WHERE id = ANY($1) AND state = 'open' ORDER BY id FOR UPDATE",
    )
    .bind(column(ids, |id| indexed(id)))
    .fetch_all(tx)
    .await?;
    let mut letters = HashMap::with_capacity(rows.len());
    for row in rows {
        let letter = Letter {
            id: row.try_get("id")?,
            kind: kind(row.try_get("kind")?)?,
            event_key: row.try_get("event_key")?,
            seen: row.try_get("seen")?,
        };
        letters.insert(letter.id.clone(), letter);
    }
    Ok(letters)
}

async fn replay_one(tx: &mut PgConnection, letter: &Letter, actor: &str) -> Step<Replayed> {
    let (replayed, tenant) = match letter.kind {
        DeadLetterKind::Event => replay_event(tx, letter).await?,
        DeadLetterKind::Delivery => replay_delivery(tx, letter).await?,
        DeadLetterKind::Command => replay_command(tx, letter).await?,
    };
    if replayed != Replayed::NotOpen {
        close(tx, letter, &replayed, tenant.as_deref(), actor).await?;
    }
    Ok(replayed)
}

/// Counters start anew; the ticket goes on, so that an owner of long ago stays locked out.
async fn replay_event(tx: &mut PgConnection, letter: &Letter) -> Step<(Replayed, Option<String>)> {
    let key = letter.event_key.clone().unwrap_or_default();
    let row = sqlx::query(
        "UPDATE inbox SET revision = revision + 1, state = 'parked', failures = 0, deferrals = 0, panics = 0,
            started = 0, lone_deaths = 0, lease_until = NULL, retry_at = NULL, updated_at = clock_timestamp()
         WHERE key = $1 AND state = 'buried' RETURNING revision, tenant",
    )
    .bind(&key)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok((Replayed::NotOpen, None)) };
    let revision: i32 = row.try_get("revision")?;
    sqlx::query(
        "INSERT INTO parked (key, revision, due_at) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, due_at = excluded.due_at,
            woken_at = NULL",
    )
    .bind(&key)
    .bind(revision)
    .execute(tx)
    .await?;
    Ok((Replayed::Event(EventKey(key), Revision(revision)), row.try_get("tenant")?))
}

async fn replay_delivery(tx: &mut PgConnection, letter: &Letter) -> Step<(Replayed, Option<String>)> {
    let id = requeue_command_id(&letter.id, letter.seen);
    plan::insert(tx, &[PlannedCommand::new(id, None, &requeue_command(&letter.id))?]).await?;
    Ok((Replayed::Delivery, None))
}

async fn replay_command(tx: &mut PgConnection, letter: &Letter) -> Step<(Replayed, Option<String>)> {
    let tenant: Option<String> = sqlx::query_scalar(
        "UPDATE outbox SET state = 'planned', not_before = clock_timestamp(), lease_until = NULL,
            updated_at = clock_timestamp()
         WHERE id = $1 AND state = 'refused' RETURNING tenant",
    )
    .bind(&letter.id)
    .fetch_optional(tx)
    .await?;
    Ok(match tenant {
        Some(tenant) => (Replayed::Command(CommandId(letter.id.clone())), Some(tenant)),
        None => (Replayed::NotOpen, None),
    })
}

/// Closes the dead letter, and writes down who did it.
async fn close(
    tx: &mut PgConnection,
    letter: &Letter,
    replayed: &Replayed,
    tenant: Option<&str>,
    actor: &str,
) -> Step<()> {
    let revision = if let Replayed::Event(_, revision) = replayed { Some(revision.0) } else { None };
    sqlx::query(
        "WITH closed AS (UPDATE dead_letters SET state = 'replayed' WHERE id = $1)
         INSERT INTO replays (dead_letter, at, actor, event_key, revision)
         VALUES ($1, clock_timestamp(), $2, $3, $4)",
    )
    .bind(&letter.id)
    .bind(clean(actor))
    .bind(letter.event_key.as_deref())
    .bind(revision)
    .execute(&mut *tx)
    .await?;
    let entry = AuditEntry {
        actor,
        action: "replay",
        subject: letter.event_key.as_deref().unwrap_or(&letter.id),
        tenant,
        detail: letter.id.clone(),
    };
    audit::insert(tx, &[entry]).await
}
