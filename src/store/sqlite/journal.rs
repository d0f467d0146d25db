//! The LLM journal: what was bought, so that it is never bought twice.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        call::{Begun, CallEnd, CallResult, CallStart, CallState, JournalEntry, StepKey},
        ids::{EventKey, Revision},
        money::Money,
        record::LedgerRow,
        timestamp::Timestamp,
    },
    store::{
        contract::Result,
        rows::{indexed, json, ledger_row, text},
        sqlite::{
            db::{Db, Tx, failed, get, unknown_word, until},
            records,
        },
    },
};

const FIND: &str = "
    SELECT attempt, revision, state, provider, model, sent_at, timeout_us, worst_cost, text, rejected
    FROM llm_journal WHERE event_key = ?1 AND step = ?2 AND input_hash = ?3 ORDER BY attempt";

const BEGIN: &str = "
    INSERT INTO llm_journal (event_key, step, input_hash, attempt, revision, tenant, state, provider, model,
                             worst_cost, sent_at, timeout_us)
    SELECT value ->> 'event_key', value ->> 'step', value ->> 'input_hash', value ->> 'attempt',
           value ->> 'revision', value ->> 'tenant', 'sent', value ->> 'provider', value ->> 'model',
           value ->> 'worst_cost', ?2, value ->> 'timeout_us'
    FROM json_each(?1) WHERE true
    ON CONFLICT (event_key, step, input_hash, attempt) DO NOTHING";

/// Only a call that is `sent` ends: repeating it changes nothing, and a late answer finds it ended.
const FINISH: &str = "
    UPDATE llm_journal SET state = ended.value ->> 'state', ended_at = ?2, text = ended.value ->> 'text',
                           detail = ended.value ->> 'detail', ledger_id = ended.value ->> 'ledger_id'
    FROM json_each(?1) AS ended
    WHERE llm_journal.event_key = ended.value ->> 'event_key' AND llm_journal.step = ended.value ->> 'step'
      AND llm_journal.input_hash = ended.value ->> 'input_hash'
      AND llm_journal.attempt = ended.value ->> 'attempt' AND llm_journal.state = 'sent'
    RETURNING llm_journal.event_key, llm_journal.step, llm_journal.input_hash, llm_journal.attempt";

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

fn entry(row: &SqliteRow, now: i64) -> Result<JournalEntry> {
    let state: String = get(row, "state")?;
    let sent_at: i64 = get(row, "sent_at")?;
    let overdue_at = sent_at.saturating_add(get(row, "timeout_us")?);
    Ok(JournalEntry {
        attempt: get(row, "attempt")?,
        revision: Revision(get(row, "revision")?),
        state: CallState::from_name(&state).ok_or_else(|| unknown_word("call state", &state))?,
        provider: get(row, "provider")?,
        model: get(row, "model")?,
        sent_at: Timestamp(sent_at),
        overdue: overdue_at <= now,
        overdue_in: until(overdue_at, now),
        worst_cost: get::<Option<i64>, _>(row, "worst_cost")?.map(Money),
        hold: None,
        text: get(row, "text")?,
        rejected: get(row, "rejected")?,
    })
}

#[derive(Serialize)]
struct StartRow<'a> {
    event_key: &'a EventKey,
    step: &'a str,
    input_hash: &'a str,
    attempt: i32,
    revision: i32,
    tenant: &'a str,
    provider: &'a str,
    model: &'a str,
    worst_cost: Option<Money>,
    timeout_us: i64,
}

pub(super) async fn begin(db: &Db, calls: &[CallStart]) -> Result<Vec<Begun>> {
    let rows: Vec<_> = calls
        .iter()
        .map(|call| StartRow {
            event_key: &call.step.event,
            step: &call.step.step,
            input_hash: &call.step.input_hash,
            attempt: call.attempt,
            revision: call.revision.0,
            tenant: call.tenant.as_str(),
            provider: &call.provider,
            model: &call.model,
            worst_cost: call.worst_cost,
            timeout_us: i64::try_from(call.timeout.as_micros()).unwrap_or(i64::MAX),
        })
        .collect();
    let mut tx = db.write().await?;
    let now = tx.now;
    let done = sqlx::query(BEGIN).bind(json(&rows)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    if usize::try_from(done.rows_affected()) != Ok(rows.len()) {
        return Ok(vec![Begun::Taken; rows.len()]);
    }
    tx.commit().await?;
    Ok(vec![Begun::Written; rows.len()])
}

#[derive(Serialize)]
struct EndRow<'a> {
    event_key: &'a str,
    step: &'a str,
    input_hash: &'a str,
    attempt: i32,
    state: &'static str,
    text: Option<std::borrow::Cow<'a, str>>,
    detail: Option<std::borrow::Cow<'a, str>>,
    ledger_id: Option<std::borrow::Cow<'a, str>>,
}

impl<'a> EndRow<'a> {
    fn new(end: &'a CallEnd) -> Self {
        let (state, answer, detail) = match &end.end {
            CallResult::Answered { text, .. } => (CallState::Answered, Some(text), None),
            CallResult::Failed { detail, .. } => (CallState::Failed, None, Some(detail)),
            CallResult::Ambiguous { detail, .. } => (CallState::Ambiguous, None, Some(detail)),
        };
        Self {
            event_key: end.step.event.as_str(),
            step: &end.step.step,
            input_hash: &end.step.input_hash,
            attempt: end.attempt,
            state: state.name(),
            text: answer.map(|answer| text(answer)),
            detail: detail.map(|detail| text(detail)),
            ledger_id: billed(end).map(|row| indexed(&row.id)),
        }
    }
}

/// The ledger row of a call that was billed, or may have been.
fn billed(end: &CallEnd) -> Option<&LedgerRow> {
    match &end.end {
        CallResult::Answered { ledger, .. } | CallResult::Ambiguous { ledger, .. } => Some(ledger),
        CallResult::Failed { ledger, .. } => ledger.as_ref(),
    }
}

pub(super) async fn finish(db: &Db, ends: &[CallEnd]) -> Result<()> {
    // The first end of a call counts, as it would one after the other.
    let mut once = HashSet::new();
    let ends: Vec<_> = ends.iter().filter(|end| once.insert((&end.step, end.attempt))).collect();
    let rows: Vec<_> = ends.iter().map(|end| EndRow::new(end)).collect();
    let mut tx = db.write().await?;
    let now = tx.now;
    let moved = sqlx::query(FINISH).bind(json(&rows)?).bind(now).fetch_all(tx.on()).await.map_err(failed)?;
    let moved: HashSet<(StepKey, i32)> = moved.iter().map(call_key).collect::<Result<_>>()?;
    let ledger: Vec<_> = ends
        .iter()
        .filter(|end| moved.contains(&(end.step.clone(), end.attempt)))
        .filter_map(|end| billed(end).map(ledger_row))
        .collect();
    records::ledger(&mut tx, &ledger).await?;
    tx.commit().await
}

fn call_key(row: &SqliteRow) -> Result<(StepKey, i32)> {
    let step = StepKey { event: EventKey(get(row, 0)?), step: get(row, 1)?, input_hash: get(row, 2)? };
    Ok((step, get(row, 3)?))
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
