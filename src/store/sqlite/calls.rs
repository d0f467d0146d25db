//! Calls under way: begun with their money set aside, sent, ended with what they cost.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        call::{Begun, CallEnd, CallId, CallResult, CallStart, CallState, LapsedCall, Opens, StepKey},
        ids::{EventKey, TenantId},
        money::Money,
        record::LedgerRow,
        timestamp::Timestamp,
    },
    store::{
        budget_rows::{self, Alert, Ended, Windows, charged_to, tenant_text},
        common_sql::FORGET_AT_ONCE,
        contract::Result,
        rows::{indexed, json, ledger_row, text},
        sqlite::{
            budgets,
            db::{Db, Tx, failed, get, micros},
            journal, records,
        },
    },
};

const BEGIN: &str = "
    INSERT INTO llm_journal (event_key, step, input_hash, attempt, revision, tenant, state, provider, model,
                             worst_cost, sent_at, timeout_us, reserve_us, hold, day_from, month_from)
    SELECT value ->> 'event_key', value ->> 'step', value ->> 'input_hash', value ->> 'attempt',
           value ->> 'revision', value ->> 'tenant', value ->> 'state', value ->> 'provider', value ->> 'model',
           value ->> 'worst_cost', ?2, value ->> 'timeout_us', value ->> 'reserve_us', value ->> 'hold',
           value ->> 'day_from', value ->> 'month_from'
    FROM json_each(?1) WHERE true
    ON CONFLICT (event_key, step, input_hash, attempt) DO NOTHING
    RETURNING event_key, step, input_hash, attempt";

/// Calls that found no room in a budget, as if they had never been there.
const TAKE_BACK: &str = "
    DELETE FROM llm_journal WHERE (event_key, step, input_hash, attempt) IN (
        SELECT value ->> 'event_key', value ->> 'step', value ->> 'input_hash', value ->> 'attempt'
        FROM json_each(?1))";

/// One whose time has passed is not sent any more: another owner may be about to buy the step.
const SEND: &str = "
    UPDATE llm_journal SET state = 'sent', sent_at = ?2
    FROM json_each(?1) AS call
    WHERE llm_journal.event_key = call.value ->> 'event_key' AND llm_journal.step = call.value ->> 'step'
      AND llm_journal.input_hash = call.value ->> 'input_hash'
      AND llm_journal.attempt = call.value ->> 'attempt'
      AND llm_journal.state = 'reserved' AND llm_journal.sent_at + llm_journal.reserve_us > ?2
    RETURNING llm_journal.event_key, llm_journal.step, llm_journal.input_hash, llm_journal.attempt";

/// Only a call under way ends: repeating it changes nothing, and a late answer finds it ended.
const FINISH: &str = "
    UPDATE llm_journal SET state = ended.value ->> 'state', ended_at = ?2, text = ended.value ->> 'text',
                           detail = ended.value ->> 'detail', ledger_id = ended.value ->> 'ledger_id'
    FROM json_each(?1) AS ended
    WHERE llm_journal.event_key = ended.value ->> 'event_key' AND llm_journal.step = ended.value ->> 'step'
      AND llm_journal.input_hash = ended.value ->> 'input_hash'
      AND llm_journal.attempt = ended.value ->> 'attempt' AND llm_journal.state IN ('reserved', 'sent')
    RETURNING llm_journal.event_key, llm_journal.step, llm_journal.input_hash, llm_journal.attempt,
              llm_journal.tenant, llm_journal.hold, llm_journal.day_from, llm_journal.month_from";

const GIVE_UP: &str = "
    UPDATE llm_journal SET state = 'failed', ended_at = ?1, detail = 'never sent'
    WHERE (event_key, step, input_hash, attempt) IN (
        SELECT event_key, step, input_hash, attempt FROM llm_journal
        WHERE state = 'reserved' AND sent_at + reserve_us <= ?1 ORDER BY sent_at + reserve_us LIMIT ?2)
    RETURNING tenant, hold, day_from, month_from";

const OVERDUE: &str = "
    SELECT event_key, step, input_hash, tenant, attempt, revision, state, provider, model, sent_at, timeout_us,
           reserve_us, worst_cost, hold, text, rejected
    FROM llm_journal WHERE state = 'sent' AND sent_at + timeout_us <= ?1 ORDER BY sent_at + timeout_us LIMIT ?2";

const ERASE: &str = "
    DELETE FROM llm_journal WHERE event_key IN (SELECT value FROM json_each(?1))
    RETURNING tenant, state, hold, day_from, month_from";

#[derive(Serialize)]
struct CallRow<'a> {
    event_key: &'a EventKey,
    step: &'a str,
    input_hash: &'a str,
    attempt: i32,
}

impl<'a> CallRow<'a> {
    fn new(step: &'a StepKey, attempt: i32) -> Self {
        Self { event_key: &step.event, step: &step.step, input_hash: &step.input_hash, attempt }
    }
}

#[derive(Serialize)]
struct StartRow<'a> {
    #[serde(flatten)]
    call: CallRow<'a>,
    revision: i32,
    tenant: String,
    state: &'static str,
    provider: &'a str,
    model: &'a str,
    worst_cost: Option<Money>,
    timeout_us: i64,
    reserve_us: Option<i64>,
    hold: Option<Money>,
    day_from: Option<Timestamp>,
    month_from: Option<Timestamp>,
}

impl<'a> StartRow<'a> {
    fn new(call: &'a CallStart, windows: &Windows) -> Self {
        let tenant = tenant_text(&call.tenant);
        let [day_from, month_from] = charged_to(windows, &tenant);
        let (state, reserve_us) = match call.opens {
            Opens::Sent => (CallState::Sent, None),
            Opens::Reserved(within) => (CallState::Reserved, Some(micros(within))),
        };
        Self {
            call: CallRow::new(&call.step, call.attempt),
            revision: call.revision.0,
            tenant,
            state: state.name(),
            provider: &call.provider,
            model: &call.model,
            worst_cost: call.worst_cost,
            timeout_us: micros(call.timeout),
            reserve_us,
            hold: call.hold,
            day_from,
            month_from,
        }
    }
}

pub(super) async fn begin(db: &Db, calls: &[CallStart]) -> Result<Vec<Begun>> {
    let mut tx = db.write().await?;
    let tenants: Vec<_> = calls.iter().map(|call| tenant_text(&call.tenant)).collect();
    let mut windows = budgets::open(&mut tx, &tenants).await?;
    let mut new = insert(&mut tx, calls, &windows).await?;
    let mut refused = Vec::new();
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        if !new.remove(&(call.step.clone(), call.attempt)) {
            answers.push(Begun::Taken);
            continue;
        }
        let begun = budget_rows::set_aside(&mut windows, call);
        if begun != Begun::Written {
            refused.push(CallRow::new(&call.step, call.attempt));
        }
        answers.push(begun);
    }
    if !refused.is_empty() {
        sqlx::query(TAKE_BACK).bind(json(&refused)?).execute(tx.on()).await.map_err(failed)?;
    }
    budgets::write(&mut tx, &windows).await?;
    tx.commit().await?;
    Ok(answers)
}

async fn insert(tx: &mut Tx, calls: &[CallStart], windows: &Windows) -> Result<HashSet<(StepKey, i32)>> {
    let rows: Vec<_> = calls.iter().map(|call| StartRow::new(call, windows)).collect();
    let now = tx.now;
    let new = sqlx::query(BEGIN).bind(json(&rows)?).bind(now).fetch_all(tx.on()).await.map_err(failed)?;
    new.iter().map(call_key).collect()
}

fn call_key(row: &SqliteRow) -> Result<(StepKey, i32)> {
    Ok((step_key(row)?, get(row, "attempt")?))
}

fn step_key(row: &SqliteRow) -> Result<StepKey> {
    let event = EventKey(get(row, "event_key")?);
    Ok(StepKey { event, step: get(row, "step")?, input_hash: get(row, "input_hash")? })
}

pub(super) async fn send(db: &Db, calls: &[CallId]) -> Result<Vec<bool>> {
    let rows: Vec<_> = calls.iter().map(|call| CallRow::new(&call.step, call.attempt)).collect();
    let mut tx = db.write().await?;
    let now = tx.now;
    let sent = sqlx::query(SEND).bind(json(&rows)?).bind(now).fetch_all(tx.on()).await.map_err(failed)?;
    let mut sent: HashSet<(StepKey, i32)> = sent.iter().map(call_key).collect::<Result<_>>()?;
    tx.commit().await?;
    Ok(calls.iter().map(|call| sent.remove(&(call.step.clone(), call.attempt))).collect())
}

#[derive(Serialize)]
struct EndRow<'a> {
    #[serde(flatten)]
    call: CallRow<'a>,
    state: &'static str,
    text: Option<Cow<'a, str>>,
    detail: Option<Cow<'a, str>>,
    ledger_id: Option<Cow<'a, str>>,
}

impl<'a> EndRow<'a> {
    fn new(end: &'a CallEnd) -> Self {
        let (state, answer, detail) = match &end.end {
            CallResult::Answered { text, .. } => (CallState::Answered, Some(text), None),
            CallResult::Failed { detail, .. } => (CallState::Failed, None, Some(detail)),
            CallResult::Ambiguous { detail, .. } => (CallState::Ambiguous, None, Some(detail)),
        };
        Self {
            call: CallRow::new(&end.step, end.attempt),
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
    let moved: HashMap<(StepKey, i32), &SqliteRow> =
        moved.iter().map(|row| Ok((call_key(row)?, row))).collect::<Result<_>>()?;
    let mut ended = Ended::default();
    let mut ledger = Vec::new();
    for end in ends {
        let Some(row) = moved.get(&(end.step.clone(), end.attempt)) else { continue };
        add(&mut ended, row, end.charge)?;
        ledger.extend(billed(end).map(ledger_row));
    }
    records::ledger(&mut tx, &ledger).await?;
    let alerts = budgets::end(&mut tx, &ended).await?;
    tx.commit().await?;
    budget_rows::count_alerts(&alerts);
    Ok(())
}

/// Adds a row of the journal that ended.
fn add(ended: &mut Ended, row: &SqliteRow, charge: Money) -> Result<()> {
    let windows = [window(row, "day_from")?, window(row, "month_from")?];
    ended.add(get(row, "tenant")?, windows, get::<Option<i64>, _>(row, "hold")?.map(Money), charge);
    Ok(())
}

fn window(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>> {
    Ok(get::<Option<i64>, _>(row, column)?.map(Timestamp))
}

/// Gives up what was never sent, whoever was to send it.
pub(super) async fn give_up_lapsed(db: &Db) -> Result<()> {
    let mut tx = db.write().await?;
    let alerts = give_up(&mut tx, FORGET_AT_ONCE).await?;
    tx.commit().await?;
    budget_rows::count_alerts(&alerts);
    Ok(())
}

/// Gives up what was never sent, with its money given back.
async fn give_up(tx: &mut Tx, limit: i64) -> Result<Vec<Alert>> {
    let now = tx.now;
    let given = sqlx::query(GIVE_UP).bind(now).bind(limit).fetch_all(tx.on()).await.map_err(failed)?;
    let mut ended = Ended::default();
    for row in &given {
        add(&mut ended, row, Money::ZERO)?;
    }
    budgets::end(tx, &ended).await
}

pub(super) async fn lapsed(db: &Db, limit: i64) -> Result<Vec<LapsedCall>> {
    let mut tx = db.write().await?;
    let alerts = give_up(&mut tx, limit).await?;
    let now = tx.now;
    let rows = sqlx::query(OVERDUE).bind(now).bind(limit).fetch_all(tx.on()).await.map_err(failed)?;
    let lapsed = rows.iter().map(|row| lapsed_call(row, now)).collect::<Result<_>>()?;
    tx.commit().await?;
    budget_rows::count_alerts(&alerts);
    Ok(lapsed)
}

fn lapsed_call(row: &SqliteRow, now: i64) -> Result<LapsedCall> {
    let tenant = TenantId(get(row, "tenant")?);
    Ok(LapsedCall { step: step_key(row)?, tenant, entry: journal::entry(row, now)? })
}

/// Erases the calls of these events. What may have been billed is charged at what was set aside for it.
pub(super) async fn erase(tx: &mut Tx, events: &[String]) -> Result<Vec<Alert>> {
    let erased = sqlx::query(ERASE).bind(json(events)?).fetch_all(tx.on()).await.map_err(failed)?;
    let mut ended = Ended::default();
    for row in &erased {
        let hold = budget_rows::held(get::<Option<i64>, _>(row, "hold")?.map(Money));
        match CallState::from_name(get(row, "state")?) {
            Some(CallState::Reserved) => add(&mut ended, row, Money::ZERO)?,
            Some(CallState::Sent) => add(&mut ended, row, hold)?,
            _ => {}
        }
    }
    budgets::end(tx, &ended).await
}
