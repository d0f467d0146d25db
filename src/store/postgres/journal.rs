//! The LLM journal: what was bought, so that it is never bought twice.

use std::collections::{BTreeMap, HashSet};

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{
        call::{Begun, CallEnd, CallResult, CallStart, CallState, JournalEntry, StepKey},
        ids::Revision,
        money::Money,
        record::LedgerRow,
    },
    store::{
        postgres::{
            db::{Step, clean, column, indexed, left, micros, time, unknown_word},
            ledger,
        },
        rows::ledger_row,
    },
};

/// Every call of a step, oldest first.
pub(super) async fn find(pool: &PgPool, step: &StepKey) -> Step<Vec<JournalEntry>> {
    let rows = sqlx::query(
        "SELECT attempt, revision, state, provider, model, sent_at, worst_cost, text, rejected,
            (extract(epoch FROM sent_at - clock_timestamp()) * 1000000)::bigint + timeout_us AS overdue_in
         FROM llm_journal WHERE event_key = $1 AND step = $2 AND input_hash = $3 ORDER BY attempt",
    )
    .bind(clean(step.event.as_str()))
    .bind(clean(&step.step))
    .bind(clean(&step.input_hash))
    .fetch_all(pool)
    .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &PgRow) -> Step<JournalEntry> {
    let state: String = row.try_get("state")?;
    let overdue_in = left(row.try_get("overdue_in")?);
    Ok(JournalEntry {
        hold: None,
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

/// Makes calls durable as `sent`, all or none.
pub(super) async fn begin(tx: &mut PgConnection, calls: &[CallStart]) -> Step<Vec<Begun>> {
    let mut calls: Vec<&CallStart> = calls.iter().collect();
    calls.sort_by_cached_key(|call| name(&call.step, call.attempt));
    let made = sqlx::query(
        "INSERT INTO llm_journal (event_key, step, input_hash, attempt, revision, tenant, state, provider,
            model, worst_cost, sent_at, timeout_us)
         SELECT event_key, step, input_hash, attempt, revision, tenant, 'sent', provider, model, worst_cost,
            clock_timestamp(), timeout_us
         FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[],
            $8::text[], $9::bigint[], $10::bigint[])
            AS new (event_key, step, input_hash, attempt, revision, tenant, provider, model, worst_cost,
                    timeout_us)
         ON CONFLICT (event_key, step, input_hash, attempt) DO NOTHING",
    )
    .bind(column(&calls, |call| clean(call.step.event.as_str())))
    .bind(column(&calls, |call| clean(&call.step.step)))
    .bind(column(&calls, |call| clean(&call.step.input_hash)))
    .bind(column(&calls, |call| call.attempt))
    .bind(column(&calls, |call| call.revision.0))
    .bind(column(&calls, |call| clean(call.tenant.as_str())))
    .bind(column(&calls, |call| clean(&call.provider)))
    .bind(column(&calls, |call| clean(&call.model)))
    .bind(column(&calls, |call| call.worst_cost.map(|cost| cost.0)))
    .bind(column(&calls, |call| micros(call.timeout)))
    .execute(tx)
    .await?
    .rows_affected();
    if usize::try_from(made).is_ok_and(|made| made == calls.len()) {
        return Ok(vec![Begun::Written; calls.len()]);
    }
    Ok(vec![Begun::Taken; calls.len()])
}

/// A call's name in the table.
type Name = (String, String, String, i32);

fn name(step: &StepKey, attempt: i32) -> Name {
    (clean(step.event.as_str()), clean(&step.step), clean(&step.input_hash), attempt)
}

/// One end, as columns.
struct End<'a> {
    state: CallState,
    text: Option<&'a str>,
    detail: Option<&'a str>,
    ledger: Option<&'a LedgerRow>,
}

impl<'a> End<'a> {
    fn new(result: &'a CallResult) -> Self {
        match result {
            CallResult::Answered { text, ledger } => {
                Self { state: CallState::Answered, text: Some(text), detail: None, ledger: Some(ledger) }
            }
            CallResult::Failed { detail, ledger } => {
                Self { state: CallState::Failed, text: None, detail: Some(detail), ledger: ledger.as_ref() }
            }
            CallResult::Ambiguous { detail, ledger } => {
                Self { state: CallState::Ambiguous, text: None, detail: Some(detail), ledger: Some(ledger) }
            }
        }
    }
}

/// Records how calls ended. Only a call that is `sent` ends: repeating it changes nothing, and a late answer
/// finds it ended. A ledger row is written only by the end that counted.
pub(super) async fn finish(tx: &mut PgConnection, ends: &[CallEnd]) -> Step<()> {
    let mut first: BTreeMap<Name, End<'_>> = BTreeMap::new();
    for end in ends {
        first.entry(name(&end.step, end.attempt)).or_insert_with(|| End::new(&end.end));
    }
    let ends: Vec<(Name, End<'_>)> = first.into_iter().collect();
    let rows = sqlx::query(
        "WITH ended AS MATERIALIZED (
            SELECT e.* FROM llm_journal j
            JOIN unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[],
                $8::text[])
                AS e (event_key, step, input_hash, attempt, state, text, detail, ledger_id)
                USING (event_key, step, input_hash, attempt)
            WHERE j.state = 'sent'
            ORDER BY event_key COLLATE \"C\", step COLLATE \"C\", input_hash COLLATE \"C\", attempt
            FOR UPDATE OF j
         )
         UPDATE llm_journal j SET state = ended.state, text = ended.text, detail = ended.detail,
            ledger_id = ended.ledger_id, ended_at = clock_timestamp()
         FROM ended
         WHERE j.event_key = ended.event_key AND j.step = ended.step AND j.input_hash = ended.input_hash
            AND j.attempt = ended.attempt AND j.state = 'sent'
         RETURNING j.event_key, j.step, j.input_hash, j.attempt",
    )
    .bind(column(&ends, |(name, _)| name.0.as_str()))
    .bind(column(&ends, |(name, _)| name.1.as_str()))
    .bind(column(&ends, |(name, _)| name.2.as_str()))
    .bind(column(&ends, |(name, _)| name.3))
    .bind(column(&ends, |(_, end)| end.state.name()))
    .bind(column(&ends, |(_, end)| end.text.map(clean)))
    .bind(column(&ends, |(_, end)| end.detail.map(clean)))
    .bind(column(&ends, |(_, end)| end.ledger.map(|row| indexed(&row.id))))
    .fetch_all(&mut *tx)
    .await?;
    let mut counted = HashSet::new();
    for row in rows {
        counted.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    }
    let billed = ends
        .iter()
        .filter(|(name, _)| counted.contains(name))
        .filter_map(|(_, end)| end.ledger.map(ledger_row));
    ledger::insert(tx, &billed.collect::<Vec<_>>()).await
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
