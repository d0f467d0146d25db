//! What people and dashboards read.

use sqlx::{PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::command::CommandState,
    store::{
        common_sql::{COUNTS, GAUGES},
        contract::{CommandRow, Gauges, TableCounts},
        postgres::db::{Step, time},
    },
};

const OUTBOX: &str = "
    SELECT id, event_key, tenant, kind, lane, state, tries, vendor_id, detail, created_at, updated_at
    FROM outbox WHERE $1::text IS NULL OR state = $1 ORDER BY seq DESC LIMIT $2";

pub(super) async fn outbox(pool: &PgPool, state: Option<CommandState>, limit: i64) -> Step<Vec<CommandRow>> {
    let rows = sqlx::query(OUTBOX).bind(state.map(CommandState::name)).bind(limit).fetch_all(pool).await?;
    rows.iter().map(command).collect()
}

/// A row of the outbox.
pub(super) fn command(row: &PgRow) -> Step<CommandRow> {
    Ok(CommandRow {
        id: row.try_get("id")?,
        event_key: row.try_get("event_key")?,
        tenant: row.try_get("tenant")?,
        kind: row.try_get("kind")?,
        lane: row.try_get("lane")?,
        state: row.try_get("state")?,
        tries: row.try_get("tries")?,
        vendor_id: row.try_get("vendor_id")?,
        detail: row.try_get("detail")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

pub(super) async fn gauges(pool: &PgPool) -> Step<Gauges> {
    let row = sqlx::query(GAUGES).fetch_one(pool).await?;
    let letters =
        sqlx::query("SELECT reason, count(*) FROM dead_letters WHERE state = 'open' GROUP BY reason")
            .fetch_all(pool)
            .await?;
    Ok(Gauges {
        calls: row.try_get("calls")?,
        parked: row.try_get("parked")?,
        planned: row.try_get("planned")?,
        unknown: row.try_get("unknown")?,
        dead_letters: letters.iter().map(count).collect::<Step<_>>()?,
    })
}

pub(super) async fn table_counts(pool: &PgPool) -> Step<TableCounts> {
    let rows = sqlx::query(COUNTS).fetch_all(pool).await?;
    rows.iter().map(count).collect()
}

fn count(row: &PgRow) -> Step<(String, i64)> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}
