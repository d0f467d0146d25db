//! Anthropic's messages and events, as its API reference and SDK show them (November 2026).

use serde_json::{Value, json};

/// A whole message.
pub(in crate::llm) fn message(text: &str, stop_reason: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-20260901",
        "content": [
            { "type": "thinking", "thinking": "Hm.", "signature": "c2ln" },
            { "type": "text", "text": text }
        ],
        "stop_reason": stop_reason, "stop_sequence": null, "stop_details": null,
        "usage": {
            "input_tokens": 30, "cache_creation_input_tokens": 500, "cache_read_input_tokens": 6000,
            "cache_creation": { "ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300 },
            "output_tokens": 90, "output_tokens_details": { "thinking_tokens": 40 }, "service_tier": "priority"
        }
    })
}

/// An error body.
pub(in crate::llm) fn error(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_1" })
}

/// One event.
pub(in crate::llm) fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

/// The first event: with what is known before anything is said.
pub(in crate::llm) fn start() -> String {
    event(&json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-20260901", "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": 30, "cache_creation_input_tokens": 500, "cache_read_input_tokens": 6000,
            "cache_creation": { "ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300 },
            "output_tokens": 1, "service_tier": "standard"
        }
    } }))
}

pub(in crate::llm) fn ping() -> String {
    event(&json!({ "type": "ping" }))
}

/// Thinking, then the text in two pieces, with pings where they please.
pub(in crate::llm) fn content() -> String {
    let delta = |index: u8, delta: Value| {
        event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
    };
    let block = |index: u8, block: Value| {
        event(&json!({ "type": "content_block_start", "index": index, "content_block": block }))
    };
    let stop = |index: u8| event(&json!({ "type": "content_block_stop", "index": index }));
    [
        block(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
        delta(0, json!({ "type": "thinking_delta", "thinking": "Hm." })),
        delta(0, json!({ "type": "signature_delta", "signature": "c2ln" })),
        stop(0),
        ping(),
        block(1, json!({ "type": "text", "text": "" })),
        delta(1, json!({ "type": "text_delta", "text": "About " })),
        ping(),
        delta(1, json!({ "type": "text_delta", "text": "ten €." })),
        stop(1),
    ]
    .concat()
}

/// The last but one event.
pub(in crate::llm) fn end(stop_reason: &str, usage: Value) -> String {
    event(&json!({
        "type": "message_delta", "delta": { "stop_reason": stop_reason, "stop_sequence": null }, "usage": usage
    }))
}

pub(in crate::llm) fn stop() -> String {
    event(&json!({ "type": "message_stop" }))
}

/// A whole stream.
pub(in crate::llm) fn stream() -> String {
    let used = json!({ "output_tokens": 90, "output_tokens_details": { "thinking_tokens": 40 } });
    [start(), ping(), content(), end("end_turn", used), ping(), stop()].concat()
}
