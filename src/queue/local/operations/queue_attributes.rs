//! Settings and tags of a queue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::queue::local::{
    attributes::{self, AttributeTexts},
    call::{Call, parse},
    counts,
    error::{ApiError, Code},
    model::Job,
    registry::Queue,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

pub(super) async fn get(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Get = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    if let Some(unknown) = input.attribute_names.iter().find(|name| !attributes::is_readable(name)) {
        return Err(ApiError::new(Code::InvalidAttributeName, format!("Unknown Attribute {unknown}.")));
    }
    if input.attribute_names.is_empty() {
        return Ok(json!({}));
    }
    let mut all = attributes::shown(&queue.attributes);
    all.extend(computed(call, &queue).await?);
    if !input.attribute_names.iter().any(|name| name == "All") {
        all.retain(|name, _| input.attribute_names.contains(name));
    }
    Ok(json!({ "Attributes": all }))
}

async fn computed(call: &Call<'_>, queue: &Queue) -> Result<AttributeTexts, ApiError> {
    let backend = call.backend;
    let counts = counts::count(&backend.readers, queue.id, backend.clock.now().0).await.map_err(|error| {
        tracing::error!(%error, "the queue's file cannot be read");
        ApiError::new(Code::InternalError, "The queue's storage failed.")
    })?;
    let seconds = |micros: i64| (micros / 1_000_000).to_string();
    let values = [
        backend.registry.arn(&queue.name),
        seconds(queue.created_at),
        seconds(queue.modified_at),
        counts.visible.to_string(),
        counts.in_flight.to_string(),
        counts.delayed.to_string(),
    ];
    Ok(attributes::COMPUTED.iter().map(|name| (*name).to_owned()).zip(values).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Set {
    queue_url: Option<String>,
    #[serde(default)]
    attributes: AttributeTexts,
}

pub(super) async fn set(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Set = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    call.backend.registry.check_redrive(&input.attributes)?;
    let job = |reply| Job::SetAttributes { queue: queue.id, attributes: input.attributes, reply };
    call.backend.ask(job).await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    queue_url: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

pub(super) async fn tag(call: &Call<'_>) -> Result<Value, ApiError> {
    change_tags(call).await
}

pub(super) async fn untag(call: &Call<'_>) -> Result<Value, ApiError> {
    change_tags(call).await
}

/// The two inputs differ in their field only.
async fn change_tags(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Tags = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    let job = |reply| Job::SetTags { queue: queue.id, set: input.tags, remove: input.tag_keys, reply };
    call.backend.ask(job).await?;
    Ok(json!({}))
}

pub(super) fn tags(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Tags = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    if queue.tags.is_empty() { Ok(json!({})) } else { Ok(json!({ "Tags": queue.tags })) }
}
