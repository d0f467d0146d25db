//! Everything known about one event.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{ids::EventKey, money::Money},
    store::{
        contract::{EventHistory, Result, StoreError},
        report::{AuditRow, CallRow},
        sqlite::{
            db::{Db, failed, get, time},
            reports,
        },
    },
};

const EVENT: &str = "
    SELECT state, revision, ticket, failures, deferrals, reason, tenant, source, kind, first_at, updated_at
    FROM inbox WHERE key = ?1";

const AUDIT: &str = "SELECT at, actor, action, detail FROM audit_log WHERE subject = ?1 ORDER BY id";

/// Tokens and cost stand in the ledger row that the call's end wrote.
const CALLS: &str = "
    SELECT j.step, j.revision, j.attempt, j.state, j.provider, j.model,
           COALESCE(l.uncached_input + l.cache_read + l.cache_write + l.cache_write_1h, 0) AS input,
           COALESCE(l.output, 0) AS output, l.cost, COALESCE(l.latency_ms, 0) AS latency_ms
    FROM llm_journal j LEFT JOIN llm_ledger l ON l.id = j.ledger_id
    WHERE j.event_key = ?1 ORDER BY j.sent_at, j.step, j.attempt";

const COMMANDS: &str = "
    SELECT id, event_key, tenant, kind, lane, state, tries, vendor_id, detail, created_at, updated_at
    FROM outbox WHERE event_key = ?1 ORDER BY seq";

const RESULTS: &str = "
    SELECT kind, revision, body FROM results WHERE event_key = ?1 ORDER BY revision, kind";

pub(super) async fn event_history(db: &Db, key: &EventKey) -> Result<Option<EventHistory>> {
    let found = sqlx::query(EVENT).bind(key.as_str()).fetch_optional(db.readers()).await.map_err(failed)?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(EventHistory {
        key: key.0.clone(),
        state: get(&row, "state")?,
        revision: get(&row, "revision")?,
        ticket: get(&row, "ticket")?,
        failures: get(&row, "failures")?,
        deferrals: get(&row, "deferrals")?,
        reason: get(&row, "reason")?,
        tenant: get(&row, "tenant")?,
        source: get(&row, "source")?,
        kind: get(&row, "kind")?,
        first_at: time(&row, "first_at")?,
        updated_at: time(&row, "updated_at")?,
        audit: rows(db, AUDIT, key, audit).await?,
        calls: rows(db, CALLS, key, call).await?,
        commands: rows(db, COMMANDS, key, reports::command).await?,
        results: rows(db, RESULTS, key, result).await?,
    }))
}

async fn rows<T>(
    db: &Db,
    statement: &'static str,
    key: &EventKey,
    read: fn(&SqliteRow) -> Result<T>,
) -> Result<Vec<T>> {
    let rows = sqlx::query(statement).bind(key.as_str()).fetch_all(db.readers()).await.map_err(failed)?;
    rows.iter().map(read).collect()
}

fn audit(row: &SqliteRow) -> Result<AuditRow> {
    Ok(AuditRow {
        at: time(row, "at")?,
        actor: get(row, "actor")?,
        action: get(row, "action")?,
        detail: get(row, "detail")?,
    })
}

fn call(row: &SqliteRow) -> Result<CallRow> {
    Ok(CallRow {
        step: get(row, "step")?,
        revision: get(row, "revision")?,
        attempt: get(row, "attempt")?,
        state: get(row, "state")?,
        provider: get(row, "provider")?,
        model: get(row, "model")?,
        input: get(row, "input")?,
        output: get(row, "output")?,
        cost: get::<Option<i64>, _>(row, "cost")?.map(Money),
        latency_ms: get(row, "latency_ms")?,
    })
}

fn result(row: &SqliteRow) -> Result<Value> {
    let body: Value = serde_json::from_str(get(row, "body")?)
        .map_err(|e| StoreError::Refused(format!("a stored result cannot be read: {e}")))?;
    let revision: i32 = get(row, "revision")?;
    Ok(json!({ "kind": get::<String, _>(row, "kind")?, "revision": revision, "body": body }))
}
