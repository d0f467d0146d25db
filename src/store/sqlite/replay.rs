//! Fresh starts for dead letters.

use crate::{
    domain::{
        dead_letter::DeadLetterKind,
        ids::{CommandId, EventKey, Revision},
    },
    store::{
        contract::{Replayed, Result, requeue_command_id},
        rows::{AuditEntry, PlannedCommand, indexed, requeue_command, text},
        sqlite::{
            audit,
            db::{Db, Tx, failed, get},
            dead_letters::kind,
            plan,
            settle::{ParkedRow, park},
        },
    },
};

/// Counters start anew; the ticket goes on, so that an owner of long ago stays locked out.
const NEW_REVISION: &str = "
    UPDATE inbox SET revision = revision + 1, state = 'parked', failures = 0, deferrals = 0, panics = 0,
                     started = 0, lone_deaths = 0, lease_until = NULL, retry_at = NULL, updated_at = ?2
    WHERE key = ?1 AND state = 'buried'
    RETURNING revision, tenant";

const PLAN_AGAIN: &str = "
    UPDATE outbox SET state = 'planned', not_before = ?2, lease_until = NULL, updated_at = ?2
    WHERE id = ?1 AND state = 'refused'
    RETURNING tenant";

pub(super) async fn replay(db: &Db, ids: &[String], actor: &str) -> Result<Vec<Replayed>> {
    let mut tx = db.write().await?;
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        answers.push(replay_one(&mut tx, &indexed(id), actor).await?);
    }
    tx.commit().await?;
    Ok(answers)
}

/// An open dead letter.
struct Letter {
    id: String,
    event_key: Option<String>,
    seen: i32,
}

async fn replay_one(tx: &mut Tx, id: &str, actor: &str) -> Result<Replayed> {
    let found =
        sqlx::query("SELECT kind, event_key, seen FROM dead_letters WHERE id = ?1 AND state = 'open'")
            .bind(id)
            .fetch_optional(tx.on())
            .await
            .map_err(failed)?;
    let Some(row) = found else { return Ok(Replayed::NotOpen) };
    let letter = Letter { id: id.to_owned(), event_key: get(&row, "event_key")?, seen: get(&row, "seen")? };
    let (replayed, tenant) = match kind(get(&row, "kind")?)? {
        DeadLetterKind::Event => replay_event(tx, &letter).await?,
        DeadLetterKind::Delivery => replay_delivery(tx, &letter).await?,
        DeadLetterKind::Command => replay_command(tx, &letter).await?,
    };
    if replayed != Replayed::NotOpen {
        close(tx, &letter, &replayed, tenant.as_deref(), actor).await?;
    }
    Ok(replayed)
}

async fn replay_event(tx: &mut Tx, letter: &Letter) -> Result<(Replayed, Option<String>)> {
    let now = tx.now;
    let key = EventKey(letter.event_key.clone().unwrap_or_default());
    let row = sqlx::query(NEW_REVISION)
        .bind(key.as_str())
        .bind(now)
        .fetch_optional(tx.on())
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok((Replayed::NotOpen, None)) };
    let revision: i32 = get(&row, "revision")?;
    park(tx, &[ParkedRow { key: &key, revision, due_at: now }]).await?;
    Ok((Replayed::Event(key, Revision(revision)), get(&row, "tenant")?))
}

async fn replay_delivery(tx: &mut Tx, letter: &Letter) -> Result<(Replayed, Option<String>)> {
    let id = requeue_command_id(&letter.id, letter.seen);
    plan::insert(tx, &[PlannedCommand::new(id, None, &requeue_command(&letter.id))?]).await?;
    Ok((Replayed::Delivery, None))
}

async fn replay_command(tx: &mut Tx, letter: &Letter) -> Result<(Replayed, Option<String>)> {
    let now = tx.now;
    let row =
        sqlx::query(PLAN_AGAIN).bind(&letter.id).bind(now).fetch_optional(tx.on()).await.map_err(failed)?;
    let Some(row) = row else { return Ok((Replayed::NotOpen, None)) };
    Ok((Replayed::Command(CommandId(letter.id.clone())), get(&row, "tenant")?))
}

/// Closes the dead letter, and writes down who did it.
async fn close(
    tx: &mut Tx,
    letter: &Letter,
    replayed: &Replayed,
    tenant: Option<&str>,
    actor: &str,
) -> Result<()> {
    let now = tx.now;
    let revision = if let Replayed::Event(_, revision) = replayed { Some(revision.0) } else { None };
    sqlx::query("UPDATE dead_letters SET state = 'replayed' WHERE id = ?1")
        .bind(&letter.id)
        .execute(tx.on())
        .await
        .map_err(failed)?;
    sqlx::query(
        "INSERT INTO replays (dead_letter, at, actor, event_key, revision) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .bind(&letter.id)
    .bind(now)
    .bind(text(actor))
    .bind(letter.event_key.as_deref())
    .bind(revision)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    let entry = AuditEntry {
        actor,
        action: "replay",
        subject: letter.event_key.as_deref().unwrap_or(&letter.id),
        tenant,
        detail: letter.id.clone(),
    };
    audit::insert(tx, &[entry]).await
}
