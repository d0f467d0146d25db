//! Forgetting old keys: what is older cannot come again, or is told by its age.

use sqlx::{PgConnection, Row as _};

use crate::{
    domain::ids::sha256_hex,
    store::{
        common_sql::{FORGET_AFTER, FORGET_AT_ONCE, KEEP_BUCKETS, KEEP_WINDOWS},
        postgres::db::{Step, micros},
    },
};

/// Two workers at once take different ones.
const OLD: &str = "
    SELECT key, occurred_at IS NULL AS timeless FROM inbox
    WHERE first_at < now() - $1 * interval '1 microsecond'
      AND updated_at < now() - $1 * interval '1 microsecond' AND state = 'done'
    ORDER BY first_at LIMIT $2 FOR UPDATE SKIP LOCKED";

const OLD_MONEY: &str = "
    DELETE FROM budget_windows WHERE (tenant, period, from_at) IN (
        SELECT tenant, period, from_at FROM budget_windows
        WHERE until_at < clock_timestamp() - $1 * interval '1 microsecond'
        ORDER BY until_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

const IDLE: &str = "
    DELETE FROM rate_buckets WHERE bucket IN (
        SELECT bucket FROM rate_buckets WHERE at < clock_timestamp() - $1 * interval '1 microsecond'
        ORDER BY bucket FOR UPDATE SKIP LOCKED)";

/// Windows of budgets that nobody asks for any more, and limits that nobody is near to.
pub(super) async fn forget_money(tx: &mut PgConnection) -> Step<()> {
    sqlx::query(OLD_MONEY).bind(micros(KEEP_WINDOWS)).bind(FORGET_AT_ONCE).execute(&mut *tx).await?;
    sqlx::query(IDLE).bind(micros(KEEP_BUCKETS)).execute(tx).await?;
    Ok(())
}

/// Takes some old keys out of the inbox, with their events. Where the sender tells no time, duplicates have no age:
/// those keys are kept for good, as hashes.
pub(super) async fn forget(tx: &mut PgConnection) -> Step<()> {
    let old = sqlx::query(OLD).bind(micros(FORGET_AFTER)).bind(FORGET_AT_ONCE).fetch_all(&mut *tx).await?;
    let (mut keys, mut hashes) = (Vec::<String>::new(), Vec::new());
    for row in &old {
        let key: String = row.try_get("key")?;
        if row.try_get("timeless")? {
            hashes.push(sha256_hex(&[key.as_bytes()]));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Ok(());
    }
    hashes.sort();
    sqlx::query("INSERT INTO forgotten (hash) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING")
        .bind(&hashes)
        .execute(&mut *tx)
        .await?;
    for statement in ["DELETE FROM events WHERE key = ANY($1)", "DELETE FROM inbox WHERE key = ANY($1)"] {
        sqlx::query(statement).bind(&keys).execute(&mut *tx).await?;
    }
    Ok(())
}
