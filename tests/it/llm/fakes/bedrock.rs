//! Bedrock's answers and its binary frames, written by the SDK's own writer of frames, checksums included.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::{Value, json};

use super::raw::Said;

/// Everything that it counts.
pub(in crate::llm) fn counts() -> Value {
    json!({
        "inputTokens": 30, "outputTokens": 90, "totalTokens": 6620,
        "cacheReadInputTokens": 6000, "cacheWriteInputTokens": 500,
        "cacheDetails": [{ "ttl": "5m", "inputTokens": 200 }, { "ttl": "1h", "inputTokens": 300 }]
    })
}

/// A whole answer.
pub(in crate::llm) fn answer(text: &str, stop_reason: &str) -> Value {
    json!({
        "output": { "message": { "role": "assistant", "content": [
            { "reasoningContent": { "reasoningText": { "text": "Hm.", "signature": "c2ln" } } }, { "text": text }
        ] } },
        "stopReason": stop_reason, "usage": counts(), "metrics": { "latencyMs": 12 },
        "serviceTier": { "type": "priority" }
    })
}

/// An error answer: its kind stands in a header.
pub(in crate::llm) fn error(status: u16, kind: &str, message: &str) -> Said {
    Said::json(status, &json!({ "message": message })).header("x-amzn-errortype", kind)
}

/// One event.
pub(in crate::llm) fn event(kind: &str, payload: &Value) -> Vec<u8> {
    frame("event", ":event-type", kind, payload)
}

/// An exception in the middle of a stream.
pub(in crate::llm) fn exception(kind: &str, payload: &Value) -> Vec<u8> {
    frame("exception", ":exception-type", kind, payload)
}

fn frame(message_type: &str, kind_header: &str, kind: &str, payload: &Value) -> Vec<u8> {
    let text = |value: &str| HeaderValue::String(value.to_owned().into());
    let headers = vec![
        Header::new(":message-type".to_owned(), text(message_type)),
        Header::new(kind_header.to_owned(), text(kind)),
        Header::new(":content-type".to_owned(), text("application/json")),
    ];
    let mut bytes = Vec::new();
    write_message_to(&Message::new_from_parts(headers, payload.to_string().into_bytes()), &mut bytes)
        .unwrap();
    bytes
}

/// All before the end: some reasoning, then the text in two pieces.
pub(in crate::llm) fn pieces() -> Vec<u8> {
    let delta = |index: u8, delta: Value| {
        event("contentBlockDelta", &json!({ "contentBlockIndex": index, "delta": delta, "p": "abcdef" }))
    };
    [
        event("messageStart", &json!({ "role": "assistant" })),
        delta(0, json!({ "reasoningContent": { "text": "Hm." } })),
        event("contentBlockStop", &json!({ "contentBlockIndex": 0 })),
        delta(1, json!({ "text": "About " })),
        delta(1, json!({ "text": "ten €." })),
        event("contentBlockStop", &json!({ "contentBlockIndex": 1 })),
    ]
    .concat()
}

pub(in crate::llm) fn stop(reason: &str) -> Vec<u8> {
    event("messageStop", &json!({ "stopReason": reason }))
}

/// The last event: it comes after `messageStop`.
pub(in crate::llm) fn metadata() -> Vec<u8> {
    let told =
        json!({ "usage": counts(), "metrics": { "latencyMs": 12 }, "serviceTier": { "type": "flex" } });
    event("metadata", &told)
}

/// A whole stream.
pub(in crate::llm) fn stream() -> Vec<u8> {
    [pieces(), stop("end_turn"), metadata()].concat()
}

pub(in crate::llm) fn frames(bytes: Vec<u8>) -> Said {
    Said::bytes(200, "application/vnd.amazon.eventstream", bytes).header("x-amzn-requestid", "req-9")
}
