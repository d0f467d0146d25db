//! The LLM journal: what was bought, so that it is never bought twice.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        call::{CallState, JournalEntry, RecentAnswer, StepKey},
        ids::{EventKey, Revision, TenantId},
        money::Money,
        timestamp::Timestamp,
    },
    store::{
        common_sql::SENDING,
        contract::Result,
        rows::{indexed, json},
        sqlite::db::{Db, Tx, failed, get, micros, unknown_word, until},
    },
};

const FIND: &str = "
    SELECT attempt, revision, state, provider, model, sent_at, timeout_us, reserve_us, worst_cost, hold, text, rejected
    FROM llm_journal WHERE event_key = ?1 AND step = ?2 AND input_hash = ?3 ORDER BY attempt";

const RECENT: &str = "
    SELECT text, ledger_id FROM llm_journal
    WHERE state = 'answered' AND tenant = ?1 AND step = ?2 AND input_hash = ?3 AND ended_at >= ?4
      AND rejected = 0 AND text IS NOT NULL AND ledger_id IS NOT NULL AND provider <> 'cache'
    ORDER BY ended_at DESC LIMIT 1";

pub(super) async fn find(db: &Db, step: &StepKey) -> Result<Vec<JournalEntry>> {
    let now = db.now().await?;
    let rows = sqlx::query(FIND)
        .bind(step.event.as_str())
        .bind(&step.step)
        .bind(&step.input_hash)
        .fetch_all(db.readers())
        .await
        .map_err(failed)?;
    rows.iter().map(|row| entry(row, now)).collect()
}

/// A call as the journal remembers it.
pub(super) fn entry(row: &SqliteRow, now: i64) -> Result<JournalEntry> {
    let state: String = get(row, "state")?;
    let state = CallState::from_name(&state).ok_or_else(|| unknown_word("call state", &state))?;
    let sent_at: i64 = get(row, "sent_at")?;
    let may_take: i64 = match state {
        CallState::Reserved => {
            get::<Option<i64>, _>(row, "reserve_us")?.unwrap_or(0).saturating_add(micros(SENDING))
        }
        _ => get(row, "timeout_us")?,
    };
    let overdue_at = sent_at.saturating_add(may_take);
    Ok(JournalEntry {
        attempt: get(row, "attempt")?,
        revision: Revision(get(row, "revision")?),
        state,
        provider: get(row, "provider")?,
        model: get(row, "model")?,
        sent_at: Timestamp(sent_at),
        overdue: overdue_at <= now,
        overdue_in: until(overdue_at, now),
        worst_cost: get::<Option<i64>, _>(row, "worst_cost")?.map(Money),
        hold: get::<Option<i64>, _>(row, "hold")?.map(Money),
        text: get(row, "text")?,
        rejected: get(row, "rejected")?,
    })
}

pub(super) async fn recent(
    db: &Db,
    tenant: &TenantId,
    step: &str,
    input_hash: &str,
    within: Duration,
) -> Result<Option<RecentAnswer>> {
    let since = db.now().await?.saturating_sub(micros(within));
    let found = sqlx::query(RECENT)
        .bind(indexed(tenant.as_str()))
        .bind(step)
        .bind(input_hash)
        .bind(since)
        .fetch_optional(db.readers())
        .await
        .map_err(failed)?;
    found
        .map(|row| Ok(RecentAnswer { text: get(&row, "text")?, ledger_id: get(&row, "ledger_id")? }))
        .transpose()
}

pub(super) async fn reject(db: &Db, step: &StepKey, attempt: i32) -> Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "UPDATE llm_journal SET rejected = 1
         WHERE event_key = ?1 AND step = ?2 AND input_hash = ?3 AND attempt = ?4 AND state = 'answered'",
    )
    .bind(step.event.as_str())
    .bind(&step.step)
    .bind(&step.input_hash)
    .bind(attempt)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    tx.commit().await
}

/// Marks every answer of these events as unusable.
pub(super) async fn reject_all(tx: &mut Tx, keys: &[&EventKey]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE llm_journal SET rejected = 1
         WHERE event_key IN (SELECT value FROM json_each(?1)) AND state = 'answered'",
    )
    .bind(json(keys)?)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    Ok(())
}
