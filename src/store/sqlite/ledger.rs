//! What was billed, read for people and priced afterwards.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        ids::{EventKey, TenantId},
        money::Money,
        record::LedgerRow,
        timestamp::Timestamp,
        usage::Usage,
    },
    store::{
        contract::{LedgerQuery, PricedRow, Result, UsageFilter, UsageRow},
        rows::{AuditEntry, json, stored_word},
        sqlite::{
            audit,
            db::{Db, failed, get, time},
        },
    },
};

const USAGE: &str = "
    SELECT tenant, COALESCE(prompt, '') AS prompt, COALESCE(served_model, requested_model) AS model,
           strftime('%Y-%m-%d', at / 1000000, 'unixepoch') AS day,
           count(*) AS calls, sum(status = 'ambiguous') AS ambiguous, sum(cost IS NULL) AS unpriced,
           sum(uncached_input + cache_read + cache_write + cache_write_1h) AS input, sum(cache_read) AS cached,
           sum(output) AS output, sum(COALESCE(cost, 0)) AS cost
    FROM llm_ledger
    WHERE (?1 IS NULL OR tenant = ?1) AND at >= ?2 AND (?3 IS NULL OR at < ?3)
      AND (?4 IS NULL OR prompt = ?4 OR substr(prompt, 1, length(?4) + 1) = ?4 || '@')
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";

const PAGE: &str = "
    SELECT * FROM llm_ledger
    WHERE (?1 IS NULL OR tenant = ?1) AND at >= ?2 AND (?3 IS NULL OR at < ?3)
      AND (?4 IS NULL OR prompt = ?4 OR substr(prompt, 1, length(?4) + 1) = ?4 || '@')
      AND (?5 = 0 OR cost IS NULL) AND (?6 IS NULL OR (at, id) > (?6, ?7))
    ORDER BY at, id LIMIT ?8";

const PRICE: &str = "
    UPDATE llm_ledger SET cost = priced.value ->> 'cost', price_version = priced.value ->> 'price_version'
    FROM json_each(?1) AS priced
    WHERE llm_ledger.id = priced.value ->> 'id' AND llm_ledger.at = priced.value ->> 'at' AND llm_ledger.cost IS NULL";

pub(super) async fn usage(db: &Db, filter: &UsageFilter) -> Result<Vec<UsageRow>> {
    let rows = sqlx::query(USAGE)
        .bind(filter.tenant.as_deref())
        .bind(filter.from.map_or(i64::MIN, |at| at.0))
        .bind(filter.until.map(|at| at.0))
        .bind(filter.prompt.as_deref())
        .fetch_all(db.readers())
        .await
        .map_err(failed)?;
    rows.iter().map(usage_row).collect()
}

fn usage_row(row: &SqliteRow) -> Result<UsageRow> {
    Ok(UsageRow {
        tenant: get(row, "tenant")?,
        prompt: get(row, "prompt")?,
        model: get(row, "model")?,
        day: get(row, "day")?,
        calls: get(row, "calls")?,
        ambiguous: get(row, "ambiguous")?,
        unpriced: get(row, "unpriced")?,
        input: get(row, "input")?,
        cached: get(row, "cached")?,
        output: get(row, "output")?,
        cost: Money(get(row, "cost")?),
    })
}

/// No row before this one is looked at again.
fn since(query: &LedgerQuery) -> Option<Timestamp> {
    query.filter.from.max(query.after.as_ref().map(|(at, _)| *at))
}

pub(super) async fn page(db: &Db, query: &LedgerQuery) -> Result<Vec<LedgerRow>> {
    let rows = sqlx::query(PAGE)
        .bind(query.filter.tenant.as_deref())
        .bind(since(query).map_or(i64::MIN, |at| at.0))
        .bind(query.filter.until.map(|at| at.0))
        .bind(query.filter.prompt.as_deref())
        .bind(query.unpriced)
        .bind(query.after.as_ref().map(|(at, _)| at.0))
        .bind(query.after.as_ref().map(|(_, id)| id.as_str()))
        .bind(query.limit)
        .fetch_all(db.readers())
        .await
        .map_err(failed)?;
    rows.iter().map(ledger_row).collect()
}

fn ledger_row(row: &SqliteRow) -> Result<LedgerRow> {
    Ok(LedgerRow {
        id: get(row, "id")?,
        tenant: TenantId(get(row, "tenant")?),
        at: time(row, "at")?,
        event_key: EventKey(get(row, "event_key")?),
        step: get(row, "step")?,
        status: stored_word(get(row, "status")?)?,
        provider: get(row, "provider")?,
        requested_model: get(row, "requested_model")?,
        served_model: get(row, "served_model")?,
        usage: Usage {
            uncached_input: get(row, "uncached_input")?,
            cache_read: get(row, "cache_read")?,
            cache_write: get(row, "cache_write")?,
            cache_write_1h: get(row, "cache_write_1h")?,
            output: get(row, "output")?,
            reasoning: get(row, "reasoning")?,
        },
        usage_source: stored_word(get(row, "usage_source")?)?,
        cost: get::<Option<i64>, _>(row, "cost")?.map(Money),
        price_version: get(row, "price_version")?,
        latency_ms: get(row, "latency_ms")?,
        user: get(row, "chat_user")?,
        specialist: get(row, "specialist")?,
        request_id: get(row, "request_id")?,
        prompt: get(row, "prompt")?,
        prompt_hash: get(row, "prompt_hash")?,
        requested_tier: get(row, "requested_tier")?,
        served_tier: get(row, "served_tier")?,
    })
}

#[derive(Serialize)]
struct Priced<'a> {
    id: &'a str,
    at: i64,
    cost: Money,
    price_version: &'a str,
}

impl<'a> Priced<'a> {
    fn new(row: &'a PricedRow) -> Self {
        Self { id: &row.id, at: row.at.0, cost: row.cost, price_version: &row.price_version }
    }
}

/// Fills in what rows cost whose price was not known.
pub(super) async fn price(db: &Db, rows: &[PricedRow], actor: &str) -> Result<i64> {
    let priced: Vec<_> = rows.iter().map(Priced::new).collect();
    let mut tx = db.write().await?;
    let done = sqlx::query(PRICE).bind(json(&priced)?).execute(tx.on()).await.map_err(failed)?;
    let changed = i64::try_from(done.rows_affected()).unwrap_or(i64::MAX);
    audit::insert(&mut tx, &[AuditEntry::repriced(actor, changed)]).await?;
    tx.commit().await?;
    Ok(changed)
}
