//! Every statement on messages. Times in microseconds since the epoch; all inside the caller's transaction.

use serde_json::json;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use crate::queue::local::{
    handle::{Handle, fresh_token},
    model::{NewMessage, Received},
};

/// What decides whether a due message is given out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) seq: i64,
    pub(super) sent_at: i64,
    pub(super) receives_here: i64,
}

/// A message that is given out, before its receive is noted.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) due: Due,
    pub(super) message: Received,
}

/// Stores messages, numbered from `seq` on. False when there is no such queue (any more).
pub(super) async fn insert(
    db: &mut SqliteConnection,
    queue: i64,
    seq: i64,
    now: i64,
    messages: &[NewMessage],
) -> Result<bool, sqlx::Error> {
    let numbered = || (seq..).zip(messages);
    let rows: Vec<_> = numbered().map(|(seq, message)| json!([seq, after(now, message.delay)])).collect();
    let inserted = sqlx::query(
        "INSERT INTO messages (seq, queue, visible_at, sent_at)
         SELECT value ->> 0, ?2, value ->> 1, ?3 FROM json_each(?1)
         WHERE EXISTS (SELECT 1 FROM queues WHERE id = ?2)",
    )
    .bind(json!(rows).to_string())
    .bind(queue)
    .bind(now)
    .execute(&mut *db)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    for (seq, message) in numbered() {
        insert_body(db, seq, message).await?;
    }
    Ok(true)
}

async fn insert_body(db: &mut SqliteConnection, seq: i64, message: &NewMessage) -> Result<(), sqlx::Error> {
    let attributes = message.attributes.as_ref().map(|attributes| json!(attributes).to_string());
    sqlx::query(
        "INSERT INTO bodies (seq, id, body, body_md5, attributes, attributes_md5, trace, group_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(seq)
    .bind(&message.id)
    .bind(&message.body)
    .bind(&message.body_md5)
    .bind(attributes)
    .bind(&message.attributes_md5)
    .bind(&message.trace)
    .bind(&message.group)
    .execute(&mut *db)
    .await?;
    Ok(())
}

/// This much later; saturates.
pub(super) fn after(now: i64, by: std::time::Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

/// The messages that have been due the longest, with their bodies, each with a fresh token.
pub(super) async fn candidates(
    db: &mut SqliteConnection,
    queue: i64,
    now: i64,
    limit: usize,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT m.seq, m.sent_at, m.receives_here, m.receives, m.first_received_at, m.source,
                b.id, b.body, b.body_md5, b.attributes, b.attributes_md5, b.trace, b.group_id
         FROM messages m CROSS JOIN bodies b ON b.seq = m.seq
         WHERE m.queue = ?1 AND m.visible_at <= ?2 ORDER BY m.visible_at, m.seq LIMIT ?3",
    )
    .bind(queue)
    .bind(now)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| candidate(row, queue, now)).collect()
}

fn candidate(row: &SqliteRow, queue: i64, now: i64) -> Result<Candidate, sqlx::Error> {
    let due = Due { seq: row.try_get(0)?, sent_at: row.try_get(1)?, receives_here: row.try_get(2)? };
    let message = Received {
        handle: Handle { queue, seq: due.seq, token: fresh_token() },
        receives: row.try_get::<i64, _>(3)? + 1,
        sent_at: due.sent_at,
        first_received_at: row.try_get::<Option<i64>, _>(4)?.unwrap_or(now),
        source: row.try_get(5)?,
        id: row.try_get(6)?,
        body: row.try_get(7)?,
        body_md5: row.try_get(8)?,
        attributes: row.try_get(9)?,
        attributes_md5: row.try_get(10)?,
        trace: row.try_get(11)?,
        group: row.try_get(12)?,
    };
    Ok(Candidate { due, message })
}

/// The same without bodies, for clearing many that nobody gets.
pub(super) async fn due(
    db: &mut SqliteConnection,
    queue: i64,
    now: i64,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT seq, sent_at, receives_here FROM messages
         WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, seq LIMIT ?3",
    )
    .bind(queue)
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(seq, sent_at, receives_here)| Due { seq, sent_at, receives_here }).collect())
}

/// Notes a receive: hidden until `visible_at`, settled by the tokens of `handles` only.
pub(super) async fn note_receive(
    db: &mut SqliteConnection,
    handles: &[Handle],
    now: i64,
    visible_at: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE messages SET visible_at = ?3, received_at = ?2, token = taken.value ->> 1,
             first_received_at = coalesce(first_received_at, ?2),
             receives = receives + 1, receives_here = receives_here + 1
         FROM json_each(?1) AS taken WHERE messages.seq = taken.value ->> 0",
    )
    .bind(pairs(handles))
    .bind(now)
    .bind(visible_at)
    .execute(db)
    .await?;
    Ok(())
}

fn pairs(handles: &[Handle]) -> String {
    json!(handles.iter().map(|handle| (handle.seq, handle.token)).collect::<Vec<_>>()).to_string()
}

/// Moves messages to another queue, visible at once, as new there: old handles settle nothing any more.
/// The id and the time of sending stay.
pub(super) async fn dead_letter(
    db: &mut SqliteConnection,
    seqs: &[i64],
    target: i64,
    source_arn: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE messages SET queue = ?2, source = ?3, visible_at = ?4, receives_here = 0, token = 0
         WHERE seq IN (SELECT value FROM json_each(?1))",
    )
    .bind(json!(seqs).to_string())
    .bind(target)
    .bind(source_arn)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes what the handles name; superseded and used ones name nothing.
pub(super) async fn delete(
    db: &mut SqliteConnection,
    queue: i64,
    handles: &[Handle],
) -> Result<(), sqlx::Error> {
    // The plus keeps the planner from walking the whole queue by its index instead of looking up ten rows.
    // Tokens are random over 64 bits, so that one message's number never meets another one's token.
    let deleted: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM messages WHERE +queue = ?2
             AND seq IN (SELECT value ->> 0 FROM json_each(?1))
             AND token IN (SELECT value ->> 1 FROM json_each(?1))
         RETURNING seq",
    )
    .bind(pairs(handles))
    .bind(queue)
    .fetch_all(&mut *db)
    .await?;
    delete_bodies(db, &deleted).await
}

/// Drops messages by number.
pub(super) async fn drop_all(db: &mut SqliteConnection, seqs: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM messages WHERE seq IN (SELECT value FROM json_each(?1))")
        .bind(json!(seqs).to_string())
        .execute(&mut *db)
        .await?;
    delete_bodies(db, seqs).await
}

async fn delete_bodies(db: &mut SqliteConnection, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if seqs.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM bodies WHERE seq IN (SELECT value FROM json_each(?1))")
        .bind(json!(seqs).to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// Empties a queue.
pub(super) async fn drop_queue(db: &mut SqliteConnection, queue: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM bodies WHERE seq IN (SELECT seq FROM messages WHERE queue = ?1)")
        .bind(queue)
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM messages WHERE queue = ?1").bind(queue).execute(db).await?;
    Ok(())
}

/// What a handle's message looks like now.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) seq: i64,
    pub(super) queue: i64,
    pub(super) token: i64,
    pub(super) visible_at: i64,
    pub(super) received_at: i64,
}

/// The messages that handles name, those that still exist.
pub(super) async fn find(
    db: &mut SqliteConnection,
    handles: &[Handle],
) -> Result<Vec<InFlight>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT seq, queue, token, visible_at, coalesce(received_at, 0) FROM messages
         WHERE seq IN (SELECT value ->> 0 FROM json_each(?1))",
    )
    .bind(pairs(handles))
    .fetch_all(db)
    .await?;
    let read = |(seq, queue, token, visible_at, received_at)| InFlight {
        seq,
        queue,
        token,
        visible_at,
        received_at,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Sets when messages become visible: pairs of number and time.
pub(super) async fn set_visible(db: &mut SqliteConnection, times: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE messages SET visible_at = given.value ->> 1
         FROM json_each(?1) AS given WHERE messages.seq = given.value ->> 0",
    )
    .bind(json!(times).to_string())
    .execute(db)
    .await?;
    Ok(())
}

/// When the queue's next message becomes visible.
pub(super) async fn next_visible(db: &mut SqliteConnection, queue: i64) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT min(visible_at) FROM messages WHERE queue = ?1")
        .bind(queue)
        .fetch_one(db)
        .await
}

/// The highest number given so far.
pub(super) async fn last_seq(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM messages").fetch_one(db).await
}
