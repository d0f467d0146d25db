//! Common buckets of requests and tokens.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    domain::rate::{RateAsk, RateGrant},
    store::{
        contract::Result,
        rate_bucket::Bucket,
        rows::{indexed, json},
        sqlite::db::{Db, failed, get},
    },
};

const READ: &str = "
    SELECT bucket, requests, tokens, at FROM rate_buckets WHERE bucket IN (SELECT value FROM json_each(?1))";

const WRITE: &str = "
    INSERT INTO rate_buckets (bucket, requests, tokens, at)
    SELECT value ->> 'bucket', value ->> 'requests', value ->> 'tokens', value ->> 'at' FROM json_each(?1) WHERE true
    ON CONFLICT (bucket) DO UPDATE SET requests = excluded.requests, tokens = excluded.tokens, at = excluded.at";

#[derive(Serialize)]
struct BucketRow {
    bucket: String,
    requests: i64,
    tokens: i64,
    at: i64,
}

pub(super) async fn take(db: &Db, asks: &[RateAsk]) -> Result<Vec<RateGrant>> {
    let names: Vec<_> = asks.iter().map(|ask| indexed(&ask.bucket).into_owned()).collect();
    let mut tx = db.write().await?;
    let rows = sqlx::query(READ).bind(json(&names)?).fetch_all(tx.on()).await.map_err(failed)?;
    let mut buckets: HashMap<String, Bucket> = HashMap::new();
    for row in &rows {
        let bucket =
            Bucket { requests: get(row, "requests")?, tokens: get(row, "tokens")?, at: get(row, "at")? };
        buckets.insert(get(row, "bucket")?, bucket);
    }
    let now = tx.now;
    let grants = asks.iter().zip(&names).map(|(ask, name)| {
        buckets.entry(name.clone()).or_insert_with(|| Bucket::full(ask, now)).take(ask, now)
    });
    let grants = grants.collect();
    let rows = buckets.into_iter();
    let rows =
        rows.map(|(bucket, Bucket { requests, tokens, at })| BucketRow { bucket, requests, tokens, at });
    let rows: Vec<_> = rows.collect();
    sqlx::query(WRITE).bind(json(&rows)?).execute(tx.on()).await.map_err(failed)?;
    tx.commit().await?;
    Ok(grants)
}
