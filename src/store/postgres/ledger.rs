//! One row for each billed call: written, read for people, and priced afterwards.

use std::borrow::Cow;

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{
        ids::{EventKey, TenantId},
        money::Money,
        record::LedgerRow,
        timestamp::Timestamp,
        usage::Usage,
    },
    store::{
        contract::{LedgerQuery, PricedRow, UsageFilter, UsageRow},
        postgres::{
            audit,
            db::{Step, calendar, clean, column, indexed, time},
        },
        rows::{AuditEntry, stored_word},
    },
};

/// Before any row.
const EVER: Timestamp = Timestamp(i64::MIN);

const USAGE: &str = "
    SELECT tenant, coalesce(prompt, '') AS prompt, coalesce(served_model, requested_model) AS model,
        to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
        count(*) AS calls, count(*) FILTER (WHERE status = 'ambiguous') AS ambiguous,
        count(*) FILTER (WHERE cost IS NULL) AS unpriced,
        sum(uncached_input + cache_read + cache_write + cache_write_1h)::bigint AS input,
        sum(cache_read)::bigint AS cached, sum(output)::bigint AS output, coalesce(sum(cost), 0)::bigint AS cost
    FROM llm_ledger
    WHERE ($1::text IS NULL OR tenant = $1) AND at >= $2
        AND ($3::timestamptz IS NULL OR at < $3)
        AND ($4::text IS NULL OR prompt = $4 OR starts_with(prompt, $4 || '@'))
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";

const PAGE: &str = "
    SELECT * FROM llm_ledger
    WHERE ($1::text IS NULL OR tenant = $1) AND at >= $2
        AND ($3::timestamptz IS NULL OR at < $3)
        AND ($4::text IS NULL OR prompt = $4 OR starts_with(prompt, $4 || '@'))
        AND (NOT $5 OR cost IS NULL) AND ($6::timestamptz IS NULL OR (at, id COLLATE \"C\") > ($6, $7))
    ORDER BY at, id COLLATE \"C\" LIMIT $8";

const PRICE: &str = "
    WITH priced AS MATERIALIZED (
        SELECT l.id, l.at, p.cost, p.price_version FROM llm_ledger l
        JOIN unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[]) AS p (id, at, cost, price_version)
            USING (id, at)
        WHERE l.cost IS NULL ORDER BY l.at, l.id COLLATE \"C\" FOR UPDATE OF l
    )
    UPDATE llm_ledger l SET cost = priced.cost, price_version = priced.price_version
    FROM priced WHERE l.id = priced.id AND l.at = priced.at AND l.cost IS NULL";

/// Writes ledger rows; an id that is there at the same time stays as it is.
pub(super) async fn insert(tx: &mut PgConnection, rows: &[Cow<'_, LedgerRow>]) -> Step<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO llm_ledger (id, at, tenant, event_key, step, status, provider, requested_model,
            served_model, uncached_input, cache_read, cache_write, output, reasoning, usage_source, cost,
            price_version, latency_ms, chat_user, specialist, request_id, cache_write_1h, prompt, prompt_hash,
            requested_tier, served_tier)
         SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
            $14::bigint[], $15::text[], $16::bigint[], $17::text[], $18::bigint[], $19::text[], $20::text[],
            $21::text[], $22::bigint[], $23::text[], $24::text[], $25::text[], $26::text[])
         ON CONFLICT (id, at) DO NOTHING",
    )
    .bind(column(rows, |row| row.id.as_str()))
    .bind(column(rows, |row| calendar(row.at)))
    .bind(column(rows, |row| clean(row.tenant.as_str())))
    .bind(column(rows, |row| clean(row.event_key.as_str())))
    .bind(column(rows, |row| clean(&row.step)))
    .bind(column(rows, |row| row.status.name()))
    .bind(column(rows, |row| clean(&row.provider)))
    .bind(column(rows, |row| clean(&row.requested_model)))
    .bind(column(rows, |row| row.served_model.as_deref().map(clean)))
    .bind(column(rows, |row| row.usage.uncached_input))
    .bind(column(rows, |row| row.usage.cache_read))
    .bind(column(rows, |row| row.usage.cache_write))
    .bind(column(rows, |row| row.usage.output))
    .bind(column(rows, |row| row.usage.reasoning))
    .bind(column(rows, |row| row.usage_source.name()))
    .bind(column(rows, |row| row.cost.map(|cost| cost.0)))
    .bind(column(rows, |row| row.price_version.as_deref().map(clean)))
    .bind(column(rows, |row| row.latency_ms))
    .bind(column(rows, |row| row.user.as_deref().map(clean)))
    .bind(column(rows, |row| row.specialist.as_deref().map(clean)))
    .bind(column(rows, |row| row.request_id.as_deref().map(clean)))
    .bind(column(rows, |row| row.usage.cache_write_1h))
    .bind(column(rows, |row| row.prompt.as_deref().map(clean)))
    .bind(column(rows, |row| row.prompt_hash.as_deref().map(clean)))
    .bind(column(rows, |row| row.requested_tier.as_deref().map(clean)))
    .bind(column(rows, |row| row.served_tier.as_deref().map(clean)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Sums for people.
pub(super) async fn usage(pool: &PgPool, filter: &UsageFilter) -> Step<Vec<UsageRow>> {
    let rows = sqlx::query(USAGE)
        .bind(filter.tenant.as_deref().map(clean))
        .bind(calendar(filter.from.unwrap_or(EVER)))
        .bind(filter.until.map(calendar))
        .bind(filter.prompt.as_deref().map(clean))
        .fetch_all(pool)
        .await?;
    rows.iter().map(usage_row).collect()
}

fn usage_row(row: &PgRow) -> Step<UsageRow> {
    Ok(UsageRow {
        tenant: row.try_get("tenant")?,
        prompt: row.try_get("prompt")?,
        model: row.try_get("model")?,
        day: row.try_get("day")?,
        calls: row.try_get("calls")?,
        ambiguous: row.try_get("ambiguous")?,
        unpriced: row.try_get("unpriced")?,
        input: row.try_get("input")?,
        cached: row.try_get("cached")?,
        output: row.try_get("output")?,
        cost: Money(row.try_get("cost")?),
    })
}

/// No row before this one is looked at again.
fn since(query: &LedgerQuery) -> Option<Timestamp> {
    query.filter.from.max(query.after.as_ref().map(|(at, _)| *at))
}

/// Rows, oldest first.
pub(super) async fn page(pool: &PgPool, query: &LedgerQuery) -> Step<Vec<LedgerRow>> {
    let rows = sqlx::query(PAGE)
        .bind(query.filter.tenant.as_deref().map(clean))
        .bind(calendar(since(query).unwrap_or(EVER)))
        .bind(query.filter.until.map(calendar))
        .bind(query.filter.prompt.as_deref().map(clean))
        .bind(query.unpriced)
        .bind(query.after.as_ref().map(|(at, _)| calendar(*at)))
        .bind(query.after.as_ref().map(|(_, id)| clean(id)))
        .bind(query.limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Step<LedgerRow> {
    Ok(LedgerRow {
        id: row.try_get("id")?,
        tenant: TenantId(row.try_get("tenant")?),
        at: time(row, "at")?,
        event_key: EventKey(row.try_get("event_key")?),
        step: row.try_get("step")?,
        status: stored_word(row.try_get("status")?)?,
        provider: row.try_get("provider")?,
        requested_model: row.try_get("requested_model")?,
        served_model: row.try_get("served_model")?,
        usage: Usage {
            uncached_input: row.try_get("uncached_input")?,
            cache_read: row.try_get("cache_read")?,
            cache_write: row.try_get("cache_write")?,
            cache_write_1h: row.try_get("cache_write_1h")?,
            output: row.try_get("output")?,
            reasoning: row.try_get("reasoning")?,
        },
        usage_source: stored_word(row.try_get("usage_source")?)?,
        cost: row.try_get::<Option<i64>, _>("cost")?.map(Money),
        price_version: row.try_get("price_version")?,
        latency_ms: row.try_get("latency_ms")?,
        user: row.try_get("chat_user")?,
        specialist: row.try_get("specialist")?,
        request_id: row.try_get("request_id")?,
        prompt: row.try_get("prompt")?,
        prompt_hash: row.try_get("prompt_hash")?,
        requested_tier: row.try_get("requested_tier")?,
        served_tier: row.try_get("served_tier")?,
    })
}

/// Fills in what rows cost whose price was not known.
pub(super) async fn price(tx: &mut PgConnection, rows: &[PricedRow], actor: &str) -> Step<i64> {
    let changed = sqlx::query(PRICE)
        .bind(column(rows, |row| indexed(&row.id)))
        .bind(column(rows, |row| calendar(row.at)))
        .bind(column(rows, |row| row.cost.0))
        .bind(column(rows, |row| clean(&row.price_version)))
        .execute(&mut *tx)
        .await?
        .rows_affected();
    let changed = i64::try_from(changed).unwrap_or(i64::MAX);
    audit::insert(tx, &[AuditEntry::repriced(actor, changed)]).await?;
    Ok(changed)
}
