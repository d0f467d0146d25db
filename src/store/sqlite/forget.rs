//! Forgetting old keys: what is older cannot come again, or is told by its age.

use crate::{
    domain::ids::sha256_hex,
    store::{
        common_sql::{FORGET_AFTER, FORGET_AT_ONCE, KEEP_BUCKETS, KEEP_WINDOWS},
        contract::Result,
        rows::json,
        sqlite::db::{Db, failed, get, micros},
    },
};

const OLD: &str = "
    SELECT key, occurred_at IS NULL AS timeless FROM inbox
    WHERE first_at < ?1 AND updated_at < ?1 AND state = 'done' ORDER BY first_at LIMIT ?2";

const STATEMENTS: [&str; 2] = [
    "DELETE FROM events WHERE key IN (SELECT value FROM json_each(?1))",
    "DELETE FROM inbox WHERE key IN (SELECT value FROM json_each(?1))",
];

const OLD_MONEY: &str = "
    DELETE FROM budget_windows WHERE (tenant, period, from_at) IN (
        SELECT tenant, period, from_at FROM budget_windows WHERE until_at < ?1 ORDER BY until_at LIMIT ?2)";

const IDLE: &str = "DELETE FROM rate_buckets WHERE at < ?1";

/// Windows of budgets that nobody asks for any more, and limits that nobody is near to.
pub(super) async fn forget_money(db: &Db) -> Result<()> {
    let mut tx = db.write().await?;
    let before = tx.now.saturating_sub(micros(KEEP_WINDOWS));
    sqlx::query(OLD_MONEY).bind(before).bind(FORGET_AT_ONCE).execute(tx.on()).await.map_err(failed)?;
    let before = tx.now.saturating_sub(micros(KEEP_BUCKETS));
    sqlx::query(IDLE).bind(before).execute(tx.on()).await.map_err(failed)?;
    tx.commit().await
}

/// Takes some old keys out of the inbox, with their events. Where the sender tells no time, duplicates have no age:
/// those keys are kept for good, as hashes.
pub(super) async fn forget(db: &Db) -> Result<()> {
    let mut tx = db.write().await?;
    let before = tx.now.saturating_sub(micros(FORGET_AFTER));
    let old = sqlx::query(OLD).bind(before).bind(FORGET_AT_ONCE);
    let old = old.fetch_all(tx.on()).await.map_err(failed)?;
    if old.is_empty() {
        return Ok(());
    }
    let (mut keys, mut hashes) = (Vec::new(), Vec::new());
    for row in &old {
        let key: String = get(row, "key")?;
        if get(row, "timeless")? {
            hashes.push(sha256_hex(&[key.as_bytes()]));
        }
        keys.push(key);
    }
    sqlx::query(
        "INSERT INTO forgotten (hash) SELECT value FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING",
    )
    .bind(json(&hashes)?)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    for statement in STATEMENTS {
        sqlx::query(statement).bind(json(&keys)?).execute(tx.on()).await.map_err(failed)?;
    }
    tx.commit().await
}
