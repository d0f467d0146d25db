//! What people and dashboards read.

use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    domain::command::CommandState,
    store::{
        common_sql::{COUNTS, GAUGES},
        contract::{CommandRow, Gauges, Result, TableCounts},
        sqlite::db::{Db, failed, get, time},
    },
};

const OUTBOX: &str = "
    SELECT id, event_key, tenant, kind, lane, state, tries, vendor_id, detail, created_at, updated_at
    FROM outbox WHERE ?1 IS NULL OR state = ?1 ORDER BY seq DESC LIMIT ?2";

pub(super) async fn outbox(db: &Db, state: Option<CommandState>, limit: i64) -> Result<Vec<CommandRow>> {
    let rows = sqlx::query(OUTBOX)
        .bind(state.map(CommandState::name))
        .bind(limit)
        .fetch_all(db.readers())
        .await
        .map_err(failed)?;
    rows.iter().map(command).collect()
}

/// A row of the outbox.
pub(super) fn command(row: &SqliteRow) -> Result<CommandRow> {
    Ok(CommandRow {
        id: get(row, "id")?,
        event_key: get(row, "event_key")?,
        tenant: get(row, "tenant")?,
        kind: get(row, "kind")?,
        lane: get(row, "lane")?,
        state: get(row, "state")?,
        tries: get(row, "tries")?,
        vendor_id: get(row, "vendor_id")?,
        detail: get(row, "detail")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

pub(super) async fn gauges(db: &Db) -> Result<Gauges> {
    let row = sqlx::query(GAUGES).fetch_one(db.readers()).await.map_err(failed)?;
    let letters =
        sqlx::query("SELECT reason, count(*) FROM dead_letters WHERE state = 'open' GROUP BY reason")
            .fetch_all(db.readers())
            .await
            .map_err(failed)?;
    Ok(Gauges {
        calls: get(&row, "calls")?,
        parked: get(&row, "parked")?,
        planned: get(&row, "planned")?,
        unknown: get(&row, "unknown")?,
        dead_letters: letters.iter().map(count).collect::<Result<_>>()?,
    })
}

pub(super) async fn table_counts(db: &Db) -> Result<TableCounts> {
    let rows = sqlx::query(COUNTS).fetch_all(db.readers()).await.map_err(failed)?;
    rows.iter().map(count).collect()
}

fn count(row: &SqliteRow) -> Result<(String, i64)> {
    Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))
}
