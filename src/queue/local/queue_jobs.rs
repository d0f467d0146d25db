//! Changes of queues, inside the writer's transaction, judged by what the table says there.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use crate::queue::local::{
    attributes::{self, AttributeTexts},
    error::{ApiError, Code},
    messages_table, queues_table as table,
    registry::Queue,
};

/// One purge per minute (SQS API reference, `PurgeQueue`).
const PURGE_PAUSE: i64 = 60 * 1_000_000;

type Answer = Result<Result<(), ApiError>, sqlx::Error>;

async fn find(
    db: &mut SqliteConnection,
    is_it: impl Fn(&Queue) -> bool,
) -> Result<Option<Queue>, sqlx::Error> {
    Ok(table::all(db).await?.into_iter().find(is_it))
}

/// Creating a queue again with what it has already is fine.
pub(super) async fn create(
    db: &mut SqliteConnection,
    name: &str,
    given: &AttributeTexts,
    tags: &BTreeMap<String, String>,
    now: i64,
) -> Answer {
    let attributes = match attributes::merge(&AttributeTexts::new(), given) {
        Ok(attributes) => attributes,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if table::insert(db, name, &attributes, tags, now).await? {
        return Ok(Ok(()));
    }
    let existing = find(db, |queue| queue.name == name).await?;
    let has = existing.map(|queue| attributes::shown(&queue.attributes)).unwrap_or_default();
    match attributes.iter().find(|(name, value)| has.get(*name) != Some(value)) {
        None => Ok(Ok(())),
        Some((other, _)) => Ok(Err(ApiError::new(
            Code::QueueNameExists,
            format!("A queue already exists with the same name and a different value for attribute {other}."),
        ))),
    }
}

pub(super) async fn set_attributes(
    db: &mut SqliteConnection,
    id: i64,
    given: &AttributeTexts,
    now: i64,
) -> Answer {
    let Some(queue) = find(db, |queue| queue.id == id).await? else { return Ok(Err(ApiError::no_queue())) };
    match attributes::merge(&queue.attributes, given) {
        Ok(merged) => Ok(Ok(table::set_attributes(db, id, &merged, now).await?)),
        Err(refusal) => Ok(Err(refusal)),
    }
}

pub(super) async fn set_tags(
    db: &mut SqliteConnection,
    id: i64,
    set: BTreeMap<String, String>,
    remove: &[String],
) -> Answer {
    let Some(queue) = find(db, |queue| queue.id == id).await? else { return Ok(Err(ApiError::no_queue())) };
    let mut tags = queue.tags;
    tags.extend(set);
    tags.retain(|name, _| !remove.contains(name));
    Ok(Ok(table::set_tags(db, id, &tags).await?))
}

/// The queue with all its messages. The name is free again at once, unlike Amazon's.
pub(super) async fn delete(db: &mut SqliteConnection, id: i64) -> Answer {
    messages_table::drop_queue(db, id).await?;
    Ok(Ok(table::delete(db, id).await?))
}

pub(super) async fn purge(db: &mut SqliteConnection, id: i64, now: i64) -> Answer {
    let Some(queue) = find(db, |queue| queue.id == id).await? else { return Ok(Err(ApiError::no_queue())) };
    if queue.purged_at.is_some_and(|at| at.saturating_add(PURGE_PAUSE) > now) {
        return Ok(Err(ApiError::new(
            Code::PurgeQueueInProgress,
            "Only one PurgeQueue operation is allowed every 60 seconds.",
        )));
    }
    messages_table::drop_queue(db, id).await?;
    Ok(Ok(table::set_purged(db, id, now).await?))
}
