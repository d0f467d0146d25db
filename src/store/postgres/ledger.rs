//! One row for each billed call.

use std::borrow::Cow;

use sqlx::PgConnection;

use crate::{
    domain::record::LedgerRow,
    store::postgres::db::{Step, calendar, clean, column},
};

/// Writes ledger rows; an id that is there at the same time stays as it is.
pub(super) async fn insert(tx: &mut PgConnection, rows: &[Cow<'_, LedgerRow>]) -> Step<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO llm_ledger (id, at, tenant, event_key, step, status, provider, requested_model,
            served_model, uncached_input, cache_read, cache_write, output, reasoning, usage_source, cost,
            price_version, latency_ms, chat_user, specialist, request_id)
         SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
            $14::bigint[], $15::text[], $16::bigint[], $17::text[], $18::bigint[], $19::text[], $20::text[],
            $21::text[])
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
    .execute(tx)
    .await?;
    Ok(())
}
