//! Common buckets of requests and tokens.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};

use crate::{
    domain::{
        rate::{RateAsk, RateGrant},
        timestamp::Timestamp,
    },
    store::{
        postgres::db::{Step, calendar, column, indexed, time},
        rate_bucket::Bucket,
    },
};

/// Makes and locks the buckets, in order. Nobody waits for the disk here: should the server lose power, what was taken
/// within its last moment may be taken again.
const LOCK: &str = "
    WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO rate_buckets (bucket, requests, tokens, at)
    SELECT new.bucket, new.requests, new.tokens, clock_timestamp()
    FROM quick, unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (bucket, requests, tokens)
    ORDER BY new.bucket
    ON CONFLICT (bucket) DO UPDATE SET bucket = excluded.bucket
    RETURNING bucket, requests, tokens, at, clock_timestamp() AS now";

const WRITE: &str = "
    UPDATE rate_buckets b SET requests = new.requests, tokens = new.tokens, at = new.at
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS new (bucket, requests, tokens, at)
    WHERE b.bucket = new.bucket";

/// Takes from buckets what is there.
pub(super) async fn take(tx: &mut PgConnection, asks: &[RateAsk]) -> Step<Vec<RateGrant>> {
    let names = column(asks, |ask| indexed(&ask.bucket));
    let mut new: BTreeMap<&str, Bucket> = BTreeMap::new();
    for (name, ask) in names.iter().zip(asks) {
        new.entry(name).or_insert_with(|| Bucket::full(ask, 0));
    }
    let new: Vec<(&str, Bucket)> = new.into_iter().collect();
    let rows = sqlx::query(LOCK)
        .bind(column(&new, |(name, _)| *name))
        .bind(column(&new, |(_, bucket)| bucket.requests))
        .bind(column(&new, |(_, bucket)| bucket.tokens))
        .fetch_all(&mut *tx)
        .await?;
    let mut buckets: BTreeMap<String, Bucket> = BTreeMap::new();
    let mut now = Timestamp(i64::MIN);
    for row in &rows {
        now = now.max(time(row, "now")?);
        let (requests, tokens) = (row.try_get("requests")?, row.try_get("tokens")?);
        buckets.insert(row.try_get("bucket")?, Bucket { requests, tokens, at: time(row, "at")?.0 });
    }
    let grants = names.iter().zip(asks).map(|(name, ask)| match buckets.get_mut(name) {
        Some(bucket) => bucket.take(ask, now.0),
        None => RateGrant::default(),
    });
    let grants = grants.collect();
    let rows: Vec<_> = buckets.iter().collect();
    sqlx::query(WRITE)
        .bind(column(&rows, |(name, _)| name.as_str()))
        .bind(column(&rows, |(_, bucket)| bucket.requests))
        .bind(column(&rows, |(_, bucket)| bucket.tokens))
        .bind(column(&rows, |(_, bucket)| calendar(Timestamp(bucket.at))))
        .execute(tx)
        .await?;
    Ok(grants)
}
