//! Calls under way: begun with their money set aside, sent, ended with what they cost.

use std::collections::{BTreeMap, HashSet};

use sqlx::{PgConnection, Row as _, postgres::PgRow};
use time::OffsetDateTime;

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
        postgres::{
            budgets,
            db::{Step, calendar, clean, column, indexed, span},
            journal, ledger,
        },
        rows::ledger_row,
    },
};

const BEGIN: &str = "
    INSERT INTO llm_journal (event_key, step, input_hash, attempt, revision, tenant, state, provider, model,
        worst_cost, sent_at, timeout_us, reserve_us, hold, day_from, month_from)
    SELECT event_key, step, input_hash, attempt, revision, tenant, state, provider, model, worst_cost,
        clock_timestamp(), timeout_us, reserve_us, hold, day_from, month_from
    FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::timestamptz[],
        $15::timestamptz[])
        AS new (event_key, step, input_hash, attempt, revision, tenant, state, provider, model, worst_cost,
                timeout_us, reserve_us, hold, day_from, month_from)
    ON CONFLICT (event_key, step, input_hash, attempt) DO NOTHING
    RETURNING event_key, step, input_hash, attempt";

/// Calls that found no room in a budget, as if they had never been there.
const TAKE_BACK: &str = "
    DELETE FROM llm_journal WHERE (event_key, step, input_hash, attempt) IN (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]))";

// A call is found by its name. That is why `SEND` and `FINISH` say which states it must not have: said the other way
// round, the planner takes the index of calls under way for a shortcut, and each call reads all its dead entries.

/// One whose time has passed is not sent any more: another owner may be about to buy the step.
const SEND: &str = "
    WITH sent AS MATERIALIZED (
        SELECT j.event_key, j.step, j.input_hash, j.attempt FROM llm_journal j
        JOIN unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS c (event_key, step, input_hash, attempt)
            USING (event_key, step, input_hash, attempt)
        WHERE j.state NOT IN ('sent', 'answered', 'failed', 'ambiguous')
        ORDER BY event_key COLLATE \"C\", step COLLATE \"C\", input_hash COLLATE \"C\", attempt FOR UPDATE OF j
    )
    UPDATE llm_journal j SET state = 'sent', sent_at = clock_timestamp()
    FROM sent
    WHERE j.event_key = sent.event_key AND j.step = sent.step AND j.input_hash = sent.input_hash
        AND j.attempt = sent.attempt
        AND j.state NOT IN ('sent', 'answered', 'failed', 'ambiguous')
        AND j.sent_at + j.reserve_us * interval '1 microsecond' > clock_timestamp()
    RETURNING j.event_key, j.step, j.input_hash, j.attempt";

/// Only a call under way ends: repeating it changes nothing, and a late answer finds it ended.
const FINISH: &str = "
    WITH ended AS MATERIALIZED (
        SELECT e.* FROM llm_journal j
        JOIN unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[])
            AS e (event_key, step, input_hash, attempt, state, text, detail, ledger_id)
            USING (event_key, step, input_hash, attempt)
        WHERE j.state NOT IN ('answered', 'failed', 'ambiguous')
        ORDER BY event_key COLLATE \"C\", step COLLATE \"C\", input_hash COLLATE \"C\", attempt
        FOR UPDATE OF j
    )
    UPDATE llm_journal j SET state = ended.state, text = ended.text, detail = ended.detail,
        ledger_id = ended.ledger_id, ended_at = clock_timestamp()
    FROM ended
    WHERE j.event_key = ended.event_key AND j.step = ended.step AND j.input_hash = ended.input_hash
        AND j.attempt = ended.attempt
        AND j.state NOT IN ('answered', 'failed', 'ambiguous')
    RETURNING j.event_key, j.step, j.input_hash, j.attempt, j.tenant, j.hold, j.day_from, j.month_from";

/// Those that somebody sends or ends in this moment are passed over.
const GIVE_UP: &str = "
    WITH given AS MATERIALIZED (
        SELECT event_key, step, input_hash, attempt FROM llm_journal
        WHERE state = 'reserved' AND sent_at + reserve_us * interval '1 microsecond' <= clock_timestamp()
        ORDER BY sent_at + reserve_us * interval '1 microsecond' LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    UPDATE llm_journal j SET state = 'failed', ended_at = clock_timestamp(), detail = 'never sent'
    FROM given
    WHERE j.event_key = given.event_key AND j.step = given.step AND j.input_hash = given.input_hash
        AND j.attempt = given.attempt AND j.state = 'reserved'
    RETURNING j.tenant, j.hold, j.day_from, j.month_from";

const OVERDUE: &str = "
    SELECT event_key, step, input_hash, tenant, attempt, revision, state, provider, model, sent_at, worst_cost, hold,
        text, rejected, (extract(epoch FROM sent_at - clock_timestamp()) * 1000000)::bigint + timeout_us AS overdue_in
    FROM llm_journal
    WHERE state = 'sent' AND sent_at + timeout_us * interval '1 microsecond' <= clock_timestamp()
    ORDER BY sent_at + timeout_us * interval '1 microsecond' LIMIT $1";

const ERASE: &str = "
    WITH erased AS MATERIALIZED (
        SELECT event_key, step, input_hash, attempt FROM llm_journal WHERE event_key = ANY($1)
        ORDER BY event_key COLLATE \"C\", step COLLATE \"C\", input_hash COLLATE \"C\", attempt FOR UPDATE
    )
    DELETE FROM llm_journal j USING erased
    WHERE j.event_key = erased.event_key AND j.step = erased.step AND j.input_hash = erased.input_hash
        AND j.attempt = erased.attempt
    RETURNING j.tenant, j.state, j.hold, j.day_from, j.month_from";

/// A call's name in the table.
type Name = (String, String, String, i32);

fn name(step: &StepKey, attempt: i32) -> Name {
    (clean(step.event.as_str()), clean(&step.step), clean(&step.input_hash), attempt)
}

fn names(rows: &[PgRow]) -> Step<HashSet<Name>> {
    rows.iter().map(name_of).collect()
}

fn name_of(row: &PgRow) -> Step<Name> {
    let step = (row.try_get("event_key")?, row.try_get("step")?, row.try_get("input_hash")?);
    Ok((step.0, step.1, step.2, row.try_get("attempt")?))
}

/// Makes calls durable with their money set aside.
pub(super) async fn begin(tx: &mut PgConnection, calls: &[CallStart]) -> Step<Vec<Begun>> {
    let mut tenants: Vec<_> = calls.iter().map(|call| tenant_text(&call.tenant)).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let mut windows = budgets::open(tx, &tenants).await?;
    let mut new = insert(tx, calls, &windows).await?;
    budgets::stand(tx, &mut windows).await?;
    let mut refused = Vec::new();
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        let name = name(&call.step, call.attempt);
        if !new.remove(&name) {
            answers.push(Begun::Taken);
            continue;
        }
        let begun = budget_rows::set_aside(&mut windows, call);
        if begun != Begun::Written {
            refused.push(name);
        }
        answers.push(begun);
    }
    take_back(tx, &refused).await?;
    budgets::write(tx, &windows).await?;
    Ok(answers)
}

async fn insert(tx: &mut PgConnection, calls: &[CallStart], windows: &Windows) -> Step<HashSet<Name>> {
    let mut calls: Vec<&CallStart> = calls.iter().collect();
    calls.sort_by_cached_key(|call| name(&call.step, call.attempt));
    let tenants = column(&calls, |call| tenant_text(&call.tenant));
    let from: Vec<_> =
        tenants.iter().map(|tenant| charged_to(windows, tenant).map(|at| at.map(calendar))).collect();
    let opens = |call: &&CallStart| match call.opens {
        Opens::Sent => (CallState::Sent, None),
        Opens::Reserved(within) => (CallState::Reserved, Some(span(within))),
    };
    let rows = sqlx::query(BEGIN)
        .bind(column(&calls, |call| clean(call.step.event.as_str())))
        .bind(column(&calls, |call| clean(&call.step.step)))
        .bind(column(&calls, |call| clean(&call.step.input_hash)))
        .bind(column(&calls, |call| call.attempt))
        .bind(column(&calls, |call| call.revision.0))
        .bind(&tenants)
        .bind(column(&calls, |call| opens(call).0.name()))
        .bind(column(&calls, |call| clean(&call.provider)))
        .bind(column(&calls, |call| clean(&call.model)))
        .bind(column(&calls, |call| call.worst_cost.map(|cost| cost.0)))
        .bind(column(&calls, |call| span(call.timeout)))
        .bind(column(&calls, |call| opens(call).1))
        .bind(column(&calls, |call| call.hold.map(|hold| hold.0)))
        .bind(column(&from, |from| from[0]))
        .bind(column(&from, |from| from[1]))
        .fetch_all(tx)
        .await?;
    names(&rows)
}

async fn take_back(tx: &mut PgConnection, refused: &[Name]) -> Step<()> {
    if refused.is_empty() {
        return Ok(());
    }
    sqlx::query(TAKE_BACK)
        .bind(column(refused, |name| name.0.as_str()))
        .bind(column(refused, |name| name.1.as_str()))
        .bind(column(refused, |name| name.2.as_str()))
        .bind(column(refused, |name| name.3))
        .execute(tx)
        .await?;
    Ok(())
}

/// Reserved calls go on the wire.
pub(super) async fn send(tx: &mut PgConnection, calls: &[CallId]) -> Step<Vec<bool>> {
    let asked = column(calls, |call| name(&call.step, call.attempt));
    let mut once: Vec<&Name> = asked.iter().collect();
    once.sort_unstable();
    once.dedup();
    let rows = sqlx::query(SEND)
        .bind(column(&once, |name| name.0.as_str()))
        .bind(column(&once, |name| name.1.as_str()))
        .bind(column(&once, |name| name.2.as_str()))
        .bind(column(&once, |name| name.3))
        .fetch_all(tx)
        .await?;
    let mut sent = names(&rows)?;
    Ok(asked.iter().map(|name| sent.remove(name)).collect())
}

/// One end, as columns.
struct End<'a> {
    state: CallState,
    text: Option<&'a str>,
    detail: Option<&'a str>,
    ledger: Option<&'a LedgerRow>,
    charge: Money,
}

impl<'a> End<'a> {
    fn new(end: &'a CallEnd) -> Self {
        let (state, text, detail, ledger) = match &end.end {
            CallResult::Answered { text, ledger } => {
                (CallState::Answered, Some(text.as_str()), None, Some(ledger))
            }
            CallResult::Failed { detail, ledger } => {
                (CallState::Failed, None, Some(detail.as_str()), ledger.as_ref())
            }
            CallResult::Ambiguous { detail, ledger } => {
                (CallState::Ambiguous, None, Some(detail.as_str()), Some(ledger))
            }
        };
        Self { state, text, detail, ledger, charge: end.charge }
    }
}

/// Records how calls ended. A ledger row is written, and money charged, only by the end that counted.
pub(super) async fn finish(tx: &mut PgConnection, ends: &[CallEnd]) -> Step<Vec<Alert>> {
    let mut first: BTreeMap<Name, End<'_>> = BTreeMap::new();
    for end in ends {
        first.entry(name(&end.step, end.attempt)).or_insert_with(|| End::new(end));
    }
    let ends: Vec<(&Name, &End<'_>)> = first.iter().collect();
    let rows = sqlx::query(FINISH)
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
    let mut ended = Ended::default();
    let mut billed = Vec::new();
    for row in &rows {
        let Some(end) = first.get(&name_of(row)?) else { continue };
        add(&mut ended, row, end.charge)?;
        billed.extend(end.ledger.map(ledger_row));
    }
    ledger::insert(tx, &billed).await?;
    budgets::end(tx, &ended).await
}

/// Adds a row of the journal that ended.
fn add(ended: &mut Ended, row: &PgRow, charge: Money) -> Step<()> {
    let from =
        |column| Ok::<_, sqlx::Error>(row.try_get::<Option<OffsetDateTime>, _>(column)?.map(Timestamp::from));
    let hold: Option<i64> = row.try_get("hold")?;
    ended.add(row.try_get("tenant")?, [from("day_from")?, from("month_from")?], hold.map(Money), charge);
    Ok(())
}

/// Gives up what was never sent, with its money given back.
pub(super) async fn give_up(tx: &mut PgConnection, limit: i64) -> Step<Vec<Alert>> {
    let mut ended = Ended::default();
    for row in &sqlx::query(GIVE_UP).bind(limit).fetch_all(&mut *tx).await? {
        add(&mut ended, row, Money::ZERO)?;
    }
    budgets::end(tx, &ended).await
}

/// Gives up what was never sent, and answers what was sent and never heard of again.
pub(super) async fn lapsed(tx: &mut PgConnection, limit: i64) -> Step<(Vec<LapsedCall>, Vec<Alert>)> {
    let alerts = give_up(tx, limit).await?;
    let rows = sqlx::query(OVERDUE).bind(limit).fetch_all(tx).await?;
    Ok((rows.iter().map(lapsed_call).collect::<Step<_>>()?, alerts))
}

fn lapsed_call(row: &PgRow) -> Step<LapsedCall> {
    let (event, step, input_hash, _) = name_of(row)?;
    let step = StepKey { event: EventKey(event), step, input_hash };
    Ok(LapsedCall { step, tenant: TenantId(row.try_get("tenant")?), entry: journal::entry(row)? })
}

/// Erases the calls of these events. What may have been billed is charged at what was set aside for it.
pub(super) async fn erase(tx: &mut PgConnection, events: &[String]) -> Step<Vec<Alert>> {
    let mut ended = Ended::default();
    for row in &sqlx::query(ERASE).bind(events).fetch_all(&mut *tx).await? {
        let hold = budget_rows::held(row.try_get::<Option<i64>, _>("hold")?.map(Money));
        match CallState::from_name(row.try_get("state")?) {
            Some(CallState::Reserved) => add(&mut ended, row, Money::ZERO)?,
            Some(CallState::Sent) => add(&mut ended, row, hold)?,
            _ => {}
        }
    }
    budgets::end(tx, &ended).await
}
