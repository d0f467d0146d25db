//! Every statement on the table of queues. Times in microseconds since the epoch.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::SqliteConnection;

use crate::queue::local::{
    attributes::{AttributeTexts, QueueConfig},
    registry::Queue,
};

type QueueRow = (i64, String, String, String, i64, i64, Option<i64>);

pub(super) async fn all(db: &mut SqliteConnection) -> Result<Vec<Queue>, sqlx::Error> {
    let rows: Vec<QueueRow> = sqlx::query_as(
        "SELECT id, name, attributes, tags, created_at, modified_at, purged_at FROM queues ORDER BY name",
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(read).collect()
}

fn read(row: QueueRow) -> Result<Queue, sqlx::Error> {
    let (id, name, attributes, tags, created_at, modified_at, purged_at) = row;
    let unreadable = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    let attributes: AttributeTexts = serde_json::from_str(&attributes).map_err(unreadable)?;
    let tags = serde_json::from_str(&tags).map_err(unreadable)?;
    let config = QueueConfig::of(&attributes);
    Ok(Queue { id, name, attributes, config, tags, created_at, modified_at, purged_at })
}

/// Adds a queue unless the name is taken; true when it was added.
pub(super) async fn insert(
    db: &mut SqliteConnection,
    name: &str,
    attributes: &AttributeTexts,
    tags: &BTreeMap<String, String>,
    now: i64,
) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO queues (name, attributes, tags, created_at, modified_at) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .bind(json!(attributes).to_string())
    .bind(json!(tags).to_string())
    .bind(now)
    .execute(db)
    .await?;
    Ok(added.rows_affected() == 1)
}

pub(super) async fn set_attributes(
    db: &mut SqliteConnection,
    queue: i64,
    attributes: &AttributeTexts,
    now: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE queues SET attributes = ?2, modified_at = ?3 WHERE id = ?1")
        .bind(queue)
        .bind(json!(attributes).to_string())
        .bind(now)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn set_tags(
    db: &mut SqliteConnection,
    queue: i64,
    tags: &BTreeMap<String, String>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE queues SET tags = ?2 WHERE id = ?1")
        .bind(queue)
        .bind(json!(tags).to_string())
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn set_purged(db: &mut SqliteConnection, queue: i64, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE queues SET purged_at = ?2 WHERE id = ?1").bind(queue).bind(now).execute(db).await?;
    Ok(())
}

pub(super) async fn delete(db: &mut SqliteConnection, queue: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM queues WHERE id = ?1").bind(queue).execute(db).await?;
    Ok(())
}
