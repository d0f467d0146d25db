//! The LLM journal: what was bought, so that it is never bought twice.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{
        call::{CallState, JournalEntry, RecentAnswer, StepKey},
        ids::{Revision, TenantId},
        money::Money,
    },
    store::{
        common_sql::SENDING,
        postgres::db::{Step, clean, indexed, left, micros, span, time, unknown_word},
    },
};

/// Every call of a step, oldest first.
pub(super) async fn find(pool: &PgPool, step: &StepKey) -> Step<Vec<JournalEntry>> {
    let rows = sqlx::query(
        "SELECT attempt, revision, state, provider, model, sent_at, worst_cost, hold, text, rejected,
            (extract(epoch FROM sent_at - clock_timestamp()) * 1000000)::bigint
                + CASE state WHEN 'reserved' THEN reserve_us + $4 ELSE timeout_us END AS overdue_in
         FROM llm_journal WHERE event_key = $1 AND step = $2 AND input_hash = $3 ORDER BY attempt",
    )
    .bind(clean(step.event.as_str()))
    .bind(clean(&step.step))
    .bind(clean(&step.input_hash))
    .bind(micros(SENDING))
    .fetch_all(pool)
    .await?;
    rows.iter().map(entry).collect()
}

/// A call as the journal remembers it.
pub(super) fn entry(row: &PgRow) -> Step<JournalEntry> {
    let state: String = row.try_get("state")?;
    let overdue_in = left(row.try_get("overdue_in")?);
    Ok(JournalEntry {
        hold: row.try_get::<Option<i64>, _>("hold")?.map(Money),
        attempt: row.try_get("attempt")?,
        revision: Revision(row.try_get("revision")?),
        state: CallState::from_name(&state).ok_or_else(|| unknown_word("call state", &state))?,
        provider: row.try_get("provider")?,
        model: row.try_get("model")?,
        sent_at: time(row, "sent_at")?,
        overdue: overdue_in.is_zero(),
        overdue_in,
        worst_cost: row.try_get::<Option<i64>, _>("worst_cost")?.map(Money),
        text: row.try_get("text")?,
        rejected: row.try_get("rejected")?,
    })
}

/// The newest good answer of a short while ago.
pub(super) async fn recent(
    pool: &PgPool,
    tenant: &TenantId,
    step: &str,
    input_hash: &str,
    within: Duration,
) -> Step<Option<RecentAnswer>> {
    let found = sqlx::query(
        "SELECT text, ledger_id FROM llm_journal
         WHERE state = 'answered' AND tenant = $1 AND step = $2 AND input_hash = $3
            AND ended_at >= clock_timestamp() - $4 * interval '1 microsecond'
            AND NOT rejected AND text IS NOT NULL AND ledger_id IS NOT NULL AND provider <> 'cache'
         ORDER BY ended_at DESC LIMIT 1",
    )
    .bind(indexed(tenant.as_str()))
    .bind(clean(step))
    .bind(clean(input_hash))
    .bind(span(within))
    .fetch_optional(pool)
    .await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(RecentAnswer { text: row.try_get("text")?, ledger_id: row.try_get("ledger_id")? }))
}

/// Marks one answer as unusable.
pub(super) async fn reject(tx: &mut PgConnection, step: &StepKey, attempt: i32) -> Step<()> {
    sqlx::query(
        "UPDATE llm_journal SET rejected = true
         WHERE event_key = $1 AND step = $2 AND input_hash = $3 AND attempt = $4",
    )
    .bind(clean(step.event.as_str()))
    .bind(clean(&step.step))
    .bind(clean(&step.input_hash))
    .bind(attempt)
    .execute(tx)
    .await?;
    Ok(())
}

/// Marks every answer to these events as unusable.
pub(super) async fn reject_all(tx: &mut PgConnection, keys: &[String]) -> Step<()> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH spoilt AS MATERIALIZED (
            SELECT event_key, step, input_hash, attempt FROM llm_journal
            WHERE event_key = ANY($1) AND state = 'answered'
            ORDER BY event_key COLLATE \"C\", step COLLATE \"C\", input_hash COLLATE \"C\", attempt FOR UPDATE
         )
         UPDATE llm_journal j SET rejected = true FROM spoilt
         WHERE j.event_key = spoilt.event_key AND j.step = spoilt.step AND j.input_hash = spoilt.input_hash
            AND j.attempt = spoilt.attempt",
    )
    .bind(keys)
    .execute(tx)
    .await?;
    Ok(())
}
