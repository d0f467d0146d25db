//! Reads beside the writer: how many messages there are, and which are past their retention.

use sqlx::sqlite::SqlitePool;

/// Messages of one queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) visible: i64,
    pub(super) in_flight: i64,
    pub(super) delayed: i64,
}

/// Counts a queue. Hidden and never received here means delayed.
pub(super) async fn count(readers: &SqlitePool, queue: i64, now: i64) -> Result<Counts, sqlx::Error> {
    let (visible, in_flight, delayed): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at <= ?2),
                count(*) FILTER (WHERE receives_here > 0), count(*) FILTER (WHERE receives_here = 0)
         FROM messages WHERE queue = ?1 AND visible_at > ?2",
    )
    .bind(queue)
    .bind(now)
    .fetch_one(readers)
    .await?;
    Ok(Counts { visible, in_flight, delayed })
}

/// Some messages of a queue that were sent before `cutoff`, by number.
pub(super) async fn expired(readers: &SqlitePool, queue: i64, cutoff: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT seq FROM messages WHERE queue = ?1 AND sent_at <= ?2 LIMIT 500")
        .bind(queue)
        .bind(cutoff)
        .fetch_all(readers)
        .await
}
