//! Deleting and changing visibility, one and many.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::queue::local::{
    call::{Call, parse, seconds},
    error::{ApiError, Code},
    handle::Handle,
    model::{Change, Job},
    validate,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Single {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    queue_url: Option<String>,
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    id: String,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

/// A text that no receive of this queue gave out is refused; whether it still settles something is
/// seen later.
fn handle(queue: i64, text: Option<&str>) -> Result<Handle, ApiError> {
    let text = text.ok_or_else(|| ApiError::missing("ReceiptHandle"))?;
    let handle = Handle::decode(text).filter(|handle| handle.queue == queue);
    let refusal = || ApiError::new(Code::ReceiptHandleIsInvalid, "The input receipt handle is invalid.");
    handle.ok_or_else(refusal)
}

fn change_of(queue: i64, text: Option<&str>, timeout: Option<i64>) -> Result<Change, ApiError> {
    let handle = handle(queue, text)?;
    let timeout = timeout.ok_or_else(|| ApiError::missing("VisibilityTimeout"))?;
    let timeout = validate::within("VisibilityTimeout", Some(timeout), 0, 0..=43_200)?;
    Ok(Change { handle, visibility: seconds(timeout) })
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Single = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?.id;
    let handles = vec![handle(queue, input.receipt_handle.as_deref())?];
    call.backend.ask(|reply| Job::Delete { queue, handles, reply }).await?;
    Ok(json!({}))
}

pub(super) async fn delete_batch(call: &Call<'_>) -> Result<Value, ApiError> {
    let (queue, entries) = batch(call)?;
    let mut answer = Answer::default();
    let mut handles = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let judged = call.strike.entry(at).and_then(|()| handle(queue, entry.receipt_handle.as_deref()));
        answer.add(&entry.id, judged.map(|handle| handles.push(handle)));
    }
    if !handles.is_empty() {
        call.backend.ask(|reply| Job::Delete { queue, handles, reply }).await?;
    }
    Ok(answer.done())
}

pub(super) async fn change(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Single = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?.id;
    let changes = vec![change_of(queue, input.receipt_handle.as_deref(), input.visibility_timeout)?];
    let results = call.backend.ask(|reply| Job::ChangeVisibility { queue, changes, reply }).await?;
    results.into_iter().collect::<Result<Vec<()>, ApiError>>()?;
    Ok(json!({}))
}

pub(super) async fn change_batch(call: &Call<'_>) -> Result<Value, ApiError> {
    let (queue, entries) = batch(call)?;
    let mut answer = Answer::default();
    let (mut ids, mut changes) = (Vec::new(), Vec::new());
    for (at, entry) in entries.iter().enumerate() {
        let judged = call.strike.entry(at);
        let change = change_of(queue, entry.receipt_handle.as_deref(), entry.visibility_timeout);
        match judged.and(change) {
            Ok(change) => {
                ids.push(entry.id.as_str());
                changes.push(change);
            }
            Err(refusal) => answer.add(&entry.id, Err(refusal)),
        }
    }
    if !changes.is_empty() {
        let results = call.backend.ask(|reply| Job::ChangeVisibility { queue, changes, reply }).await?;
        ids.iter().zip(results).for_each(|(id, result)| answer.add(id, result));
    }
    Ok(answer.done())
}

fn batch(call: &Call<'_>) -> Result<(i64, Vec<Entry>), ApiError> {
    let input: Batch = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?.id;
    validate::batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    Ok((queue, input.entries))
}

/// A batch's answer, entry by entry.
#[derive(Default)]
struct Answer {
    successful: Vec<Value>,
    failed: Vec<Value>,
}

impl Answer {
    fn add(&mut self, id: &str, result: Result<(), ApiError>) {
        match result {
            Ok(()) => self.successful.push(json!({ "Id": id })),
            Err(refusal) => self.failed.push(refusal.entry(id)),
        }
    }

    fn done(self) -> Value {
        json!({ "Successful": self.successful, "Failed": self.failed })
    }
}
