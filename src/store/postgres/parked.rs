//! Events that wait for the scheduler's wake.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row as _};

use crate::{
    domain::{
        ids::{EventKey, Revision, TenantId},
        reason::Reason,
    },
    store::{
        contract::Wake,
        postgres::db::{Step, clean, left, micros},
    },
};

/// What a tenant's events wait for may be over: all that wait for this reason are due now.
pub(super) async fn due_now(tx: &mut PgConnection, tenant: &TenantId, reason: Reason) -> Step<()> {
    sqlx::query(
        "UPDATE parked p SET due_at = clock_timestamp() FROM inbox i
         WHERE i.key = p.key AND p.due_at > clock_timestamp() AND i.tenant = $1 AND i.reason = $2",
    )
    .bind(clean(tenant.as_str()))
    .bind(reason.code())
    .execute(tx)
    .await?;
    Ok(())
}

/// Due events whose last wake is old enough; marks them. Two schedulers at once get different ones.
pub(super) async fn wakes_due(tx: &mut PgConnection, limit: i64, resend: Duration) -> Step<Vec<Wake>> {
    let rows = sqlx::query(
        "WITH due AS MATERIALIZED (
            SELECT key, due_at FROM parked
            WHERE due_at <= clock_timestamp()
              AND (woken_at IS NULL OR woken_at <= clock_timestamp() - $2 * interval '1 microsecond')
            ORDER BY due_at, key LIMIT $1 FOR UPDATE SKIP LOCKED
         ), woken AS (
            UPDATE parked p SET woken_at = clock_timestamp() FROM due WHERE p.key = due.key
            RETURNING p.key, p.revision, p.due_at
         )
         SELECT key, revision FROM woken ORDER BY due_at, key",
    )
    .bind(limit)
    .bind(micros(resend))
    .fetch_all(tx)
    .await?;
    let mut wakes = Vec::with_capacity(rows.len());
    for row in rows {
        wakes.push(Wake { key: EventKey(row.try_get(0)?), revision: Revision(row.try_get(1)?) });
    }
    Ok(wakes)
}

/// Those that were woken already do not count: their wake is on its way.
pub(super) async fn wakes_next(pool: &PgPool) -> Step<Option<Duration>> {
    let wait: Option<i64> = sqlx::query_scalar(
        "SELECT greatest(extract(epoch FROM min(due_at) - clock_timestamp()) * 1000000, 0)::bigint
         FROM parked WHERE woken_at IS NULL HAVING min(due_at) IS NOT NULL",
    )
    .fetch_optional(pool)
    .await?;
    Ok(wait.map(|wait| left(Some(wait))))
}
