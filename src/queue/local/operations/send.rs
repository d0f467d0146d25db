//! Sending, one and many.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::queue::local::{
    call::{Call, parse, seconds},
    digest::{self, WireAttributes},
    error::{ApiError, Code},
    model::{Job, NewMessage},
    registry::Queue,
    validate,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Single {
    queue_url: Option<String>,
    #[serde(flatten)]
    message: Message,
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
    #[serde(flatten)]
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(default)]
    message_body: String,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: WireAttributes,
    #[serde(default)]
    message_system_attributes: WireAttributes,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

impl Message {
    fn size(&self) -> usize {
        validate::size(&self.message_body, &self.message_attributes)
    }
}

pub(super) async fn message(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Single = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    let (message, answer) = judge(&queue, input.message)?;
    store(call, &queue, vec![message]).await?;
    Ok(Value::Object(answer))
}

pub(super) async fn batch(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Batch = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    validate::batch(input.entries.iter().map(|entry| entry.id.as_str()))?;
    let total: usize = input.entries.iter().map(|entry| entry.message.size()).sum();
    if total > validate::LARGEST {
        return Err(ApiError::new(
            Code::BatchRequestTooLong,
            format!("Batch requests cannot be longer than 1048576 bytes. You have sent {total} bytes."),
        ));
    }
    let (mut messages, mut successful, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (at, entry) in input.entries.into_iter().enumerate() {
        let judged = call.strike.entry(at).and_then(|()| judge(&queue, entry.message));
        match judged {
            Ok((message, mut answer)) => {
                answer.insert("Id".to_owned(), json!(entry.id));
                messages.push(message);
                successful.push(answer);
            }
            Err(refusal) => failed.push(refusal.entry(&entry.id)),
        }
    }
    store(call, &queue, messages).await?;
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

/// The message to store and its part of the answer.
fn judge(queue: &Queue, message: Message) -> Result<(NewMessage, Map<String, Value>), ApiError> {
    let size = validate::message(&message.message_body, &message.message_attributes)?;
    if i64::try_from(size).unwrap_or(i64::MAX) > queue.config.max_size {
        return Err(ApiError::invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
            queue.config.max_size
        )));
    }
    let delay = validate::within("DelaySeconds", message.delay_seconds, queue.config.delay_s, 0..=900)?;
    validate::group(message.message_group_id.as_deref())?;
    if message.message_deduplication_id.is_some() {
        let text = "The request includes a parameter that is not valid for this queue type: \
                    MessageDeduplicationId.";
        return Err(ApiError::invalid(text));
    }
    let trace = trace(&message.message_system_attributes)?;
    let digest_of =
        |attributes: &WireAttributes| (!attributes.is_empty()).then(|| digest::of_attributes(attributes));
    let stored = NewMessage {
        id: uuid::Uuid::new_v4().to_string(),
        body_md5: digest::of_body(&message.message_body),
        attributes_md5: digest_of(&message.message_attributes),
        attributes: (!message.message_attributes.is_empty()).then_some(message.message_attributes),
        body: message.message_body,
        trace,
        group: message.message_group_id,
        delay: seconds(delay),
    };
    let answer = [
        ("MessageId", Some(&stored.id)),
        ("MD5OfMessageBody", Some(&stored.body_md5)),
        ("MD5OfMessageAttributes", stored.attributes_md5.as_ref()),
        ("MD5OfMessageSystemAttributes", digest_of(&message.message_system_attributes).as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
    .collect();
    Ok((stored, answer))
}

/// `AWSTraceHeader` is the only system attribute a sender may give (SQS API reference, `SendMessage`).
fn trace(system: &WireAttributes) -> Result<Option<String>, ApiError> {
    match system.iter().find(|(name, _)| *name != "AWSTraceHeader") {
        Some((other, _)) => {
            Err(ApiError::invalid(format!("Message system attribute name '{other}' is invalid.")))
        }
        None => Ok(system.get("AWSTraceHeader").and_then(|header| header.string.clone())),
    }
}

async fn store(call: &Call<'_>, queue: &Queue, mut messages: Vec<NewMessage>) -> Result<(), ApiError> {
    if messages.is_empty() {
        return Ok(());
    }
    if call.strike.duplicate {
        messages.extend(messages.clone());
    }
    call.backend.ask(|reply| Job::Send { queue: queue.id, messages, reply }).await
}
