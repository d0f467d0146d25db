//! Queues themselves: create, find, list, empty, delete.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::queue::local::{
    attributes::{self, AttributeTexts},
    call::{Call, parse},
    error::ApiError,
    model::Job,
    registry::{ACCOUNT, Queue},
    validate,
};

/// Input of the operations that name a queue by URL only.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    queue_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: AttributeTexts,
    #[serde(default, rename = "tags")]
    tags: BTreeMap<String, String>,
}

pub(super) async fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Create = parse(call.body)?;
    let name = input.queue_name.ok_or_else(|| ApiError::missing("QueueName"))?;
    if name.ends_with(".fifo") {
        return Err(attributes::no_fifo());
    }
    validate::queue_name(&name)?;
    call.backend.registry.check_redrive(&input.attributes)?;
    let url = queue_url(call.base, &name);
    let job = |reply| Job::CreateQueue { name, attributes: input.attributes, tags: input.tags, reply };
    call.backend.ask(job).await?;
    Ok(json!({ "QueueUrl": url }))
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = named(call)?;
    call.backend.ask(|reply| Job::DeleteQueue { queue: queue.id, reply }).await?;
    Ok(json!({}))
}

pub(super) async fn purge(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = named(call)?;
    call.backend.ask(|reply| Job::Purge { queue: queue.id, reply }).await?;
    Ok(json!({}))
}

fn named(call: &Call<'_>) -> Result<std::sync::Arc<Queue>, ApiError> {
    let input: OfQueue = parse(call.body)?;
    call.backend.registry.by_url(input.queue_url.as_deref())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetUrl {
    queue_name: Option<String>,
}

pub(super) fn url(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: GetUrl = parse(call.body)?;
    let name = input.queue_name.ok_or_else(|| ApiError::missing("QueueName"))?;
    let queue = call.backend.registry.by_name(&name)?;
    Ok(json!({ "QueueUrl": queue_url(call.base, &queue.name) }))
}

fn queue_url(base: &str, name: &str) -> String {
    format!("{base}/{ACCOUNT}/{name}")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn list(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: List = parse(call.body)?;
    let prefix = input.queue_name_prefix.clone().unwrap_or_default();
    let names = call.backend.registry.all().into_iter().map(|queue| queue.name.clone());
    page(call, "QueueUrls", names.filter(|name| name.starts_with(&prefix)), &input)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSources {
    queue_url: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn list_sources(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: ListSources = parse(call.body)?;
    let registry = &call.backend.registry;
    let target = registry.arn(&registry.by_url(input.queue_url.as_deref())?.name);
    let feeds = |queue: &Queue| {
        queue.config.redrive.as_ref().is_some_and(|policy| policy.dead_letter_target_arn == target)
    };
    let sources = registry.all().into_iter().filter(|queue| feeds(queue)).map(|queue| queue.name.clone());
    let paging =
        List { queue_name_prefix: None, max_results: input.max_results, next_token: input.next_token };
    page(call, "queueUrls", sources, &paging)
}

/// One page of URLs; the token is the last name of the page before.
fn page(
    call: &Call<'_>,
    field: &str,
    names: impl Iterator<Item = String>,
    paging: &List,
) -> Result<Value, ApiError> {
    let most = validate::within("MaxResults", paging.max_results, 1_000, 1..=1_000)?;
    let most = usize::try_from(most).unwrap_or(1_000);
    let after = |name: &String| paging.next_token.as_ref().is_none_or(|token| name > token);
    let mut names: Vec<String> = names.filter(after).take(most + 1).collect();
    let more = names.len() > most;
    names.truncate(most);
    let urls: Vec<String> = names.iter().map(|name| queue_url(call.base, name)).collect();
    let mut answer = json!({ field: urls });
    // Amazon gives a token only to those who asked for pages.
    if let (true, Some(last), Some(_)) = (more, names.last(), paging.max_results) {
        answer["NextToken"] = json!(last);
    }
    Ok(answer)
}
