//! Receiving.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::queue::local::{
    call::{Call, parse, seconds},
    digest::{self, WireAttributes},
    error::ApiError,
    model::{Job, Receive, Received},
    validate::within,
};

/// The sender that every message names: there are no accounts here.
const SENDER: &str = "AIDAIENQZJOLO23YVJ4VO";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    queue_url: Option<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    /// The older name of the same list.
    #[serde(default)]
    attribute_names: Vec<String>,
}

pub(super) async fn messages(call: &Call<'_>) -> Result<Value, ApiError> {
    let input: Input = parse(call.body)?;
    let queue = call.backend.registry.by_url(input.queue_url.as_deref())?;
    let config = &queue.config;
    let max = within("MaxNumberOfMessages", input.max_number_of_messages, 1, 1..=10)?;
    let visibility = within("VisibilityTimeout", input.visibility_timeout, config.visibility_s, 0..=43_200)?;
    let wait = within("WaitTimeSeconds", input.wait_time_seconds, config.wait_s, 0..=20)?;
    let receive = Receive {
        queue: queue.id,
        max: usize::try_from(max).unwrap_or(1),
        visibility: seconds(if call.strike.duplicate { 0 } else { visibility }),
        deadline: Instant::now() + seconds(wait),
    };
    let received = call.backend.ask(|reply| Job::Receive { receive, reply }).await?;
    if received.is_empty() {
        return Ok(json!({}));
    }
    let messages: Vec<Value> = received.into_iter().map(|message| shown(message, &input)).collect();
    Ok(json!({ "Messages": messages }))
}

/// A message with what was asked for.
fn shown(message: Received, input: &Input) -> Value {
    let system = system_attributes(&message, input);
    let mut shown = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.handle.encode(),
        "MD5OfBody": message.body_md5,
        "Body": message.body,
    });
    if !system.is_empty() {
        shown["Attributes"] = Value::Object(system);
    }
    let asked = |name: &str| input.message_attribute_names.iter().any(|pattern| matches(pattern, name));
    let stored = message.attributes.filter(|_| !input.message_attribute_names.is_empty());
    if let Some(all) = stored.and_then(|text| serde_json::from_str::<WireAttributes>(&text).ok()) {
        let count = all.len();
        let some: WireAttributes = all.into_iter().filter(|(name, _)| asked(name)).collect();
        if !some.is_empty() {
            // The digest covers what is returned, not what was sent.
            let whole = (some.len() == count).then_some(message.attributes_md5).flatten();
            shown["MD5OfMessageAttributes"] = json!(whole.unwrap_or_else(|| digest::of_attributes(&some)));
            shown["MessageAttributes"] = json!(some);
        }
    }
    shown
}

/// `All`, `.*`, a name, or a prefix with `.*` or `*` behind it.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern {
        "All" | ".*" => true,
        _ => match pattern.strip_suffix(".*") {
            Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')),
            None => pattern == name,
        },
    }
}

fn system_attributes(message: &Received, input: &Input) -> Map<String, Value> {
    let asked = |name: &str| {
        let lists = [&input.message_system_attribute_names, &input.attribute_names];
        lists.into_iter().flatten().any(|wanted| wanted == "All" || wanted == name)
    };
    let millis = |micros: i64| Some((micros / 1_000).to_string());
    [
        ("SenderId", Some(SENDER.to_owned())),
        ("SentTimestamp", millis(message.sent_at)),
        ("ApproximateReceiveCount", Some(message.receives.to_string())),
        ("ApproximateFirstReceiveTimestamp", millis(message.first_received_at)),
        ("MessageGroupId", message.group.clone()),
        ("AWSTraceHeader", message.trace.clone()),
        ("DeadLetterQueueSourceArn", message.source.clone()),
    ]
    .into_iter()
    .filter(|(name, _)| asked(name))
    .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_patterns() {
        for (pattern, name, wanted) in [
            ("All", "x", true),
            (".*", "x", true),
            ("x", "x", true),
            ("x", "x.y", false),
            ("x.*", "x.y", true),
            ("x.*", "xy", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }
}
