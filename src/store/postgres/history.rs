//! Everything known about one event.

use serde_json::{Value, json};
use sqlx::{PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{ids::EventKey, money::Money},
    store::{
        contract::{EventHistory, StoreError},
        postgres::{
            db::{Step, clean, time},
            reports,
        },
        report::{AuditRow, CallRow},
    },
};

const EVENT: &str = "
    SELECT state, revision, ticket, failures, deferrals, reason, tenant, source, kind, first_at, updated_at
    FROM inbox WHERE key = $1";

const AUDIT: &str = "SELECT at, actor, action, detail FROM audit_log WHERE subject = $1 ORDER BY id";

/// Tokens and cost stand in the ledger row that the call's end wrote.
const CALLS: &str = "
    SELECT j.step, j.revision, j.attempt, j.state, j.provider, j.model,
           COALESCE(l.uncached_input + l.cache_read + l.cache_write + l.cache_write_1h, 0) AS input,
           COALESCE(l.output, 0) AS output, l.cost, COALESCE(l.latency_ms, 0) AS latency_ms
    FROM llm_journal j LEFT JOIN llm_ledger l ON l.id = j.ledger_id
    WHERE j.event_key = $1 ORDER BY j.sent_at, j.step, j.attempt";

const COMMANDS: &str = "
    SELECT id, event_key, tenant, kind, lane, state, tries, vendor_id, detail, created_at, updated_at
    FROM outbox WHERE event_key = $1 ORDER BY seq";

const RESULTS: &str = "
    SELECT kind, revision, body::text AS body FROM results WHERE event_key = $1 ORDER BY revision, kind";

pub(super) async fn event_history(pool: &PgPool, key: &EventKey) -> Step<Option<EventHistory>> {
    let found = sqlx::query(EVENT).bind(clean(key.as_str())).fetch_optional(pool).await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(EventHistory {
        key: key.0.clone(),
        state: row.try_get("state")?,
        revision: row.try_get("revision")?,
        ticket: row.try_get("ticket")?,
        failures: row.try_get("failures")?,
        deferrals: row.try_get("deferrals")?,
        reason: row.try_get("reason")?,
        tenant: row.try_get("tenant")?,
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        first_at: time(&row, "first_at")?,
        updated_at: time(&row, "updated_at")?,
        audit: rows(pool, AUDIT, key, audit).await?,
        calls: rows(pool, CALLS, key, call).await?,
        commands: rows(pool, COMMANDS, key, reports::command).await?,
        results: rows(pool, RESULTS, key, result).await?,
    }))
}

async fn rows<T>(
    pool: &PgPool,
    statement: &'static str,
    key: &EventKey,
    read: fn(&PgRow) -> Step<T>,
) -> Step<Vec<T>> {
    let rows = sqlx::query(statement).bind(clean(key.as_str())).fetch_all(pool).await?;
    rows.iter().map(read).collect()
}

fn audit(row: &PgRow) -> Step<AuditRow> {
    Ok(AuditRow {
        at: time(row, "at")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        detail: row.try_get("detail")?,
    })
}

fn call(row: &PgRow) -> Step<CallRow> {
    Ok(CallRow {
        step: row.try_get("step")?,
        revision: row.try_get("revision")?,
        attempt: row.try_get("attempt")?,
        state: row.try_get("state")?,
        provider: row.try_get("provider")?,
        model: row.try_get("model")?,
        input: row.try_get("input")?,
        output: row.try_get("output")?,
        cost: row.try_get::<Option<i64>, _>("cost")?.map(Money),
        latency_ms: row.try_get("latency_ms")?,
    })
}

fn result(row: &PgRow) -> Step<Value> {
    let body: Value = serde_json::from_str(row.try_get("body")?)
        .map_err(|e| StoreError::Refused(format!("a stored result cannot be read: {e}")))?;
    let revision: i32 = row.try_get("revision")?;
    Ok(json!({ "kind": row.try_get::<String, _>("kind")?, "revision": revision, "body": body }))
}
