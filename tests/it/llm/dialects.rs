//! How each kind of provider words its answers: the least that a client can understand.

use serde_json::{Value, json};

/// One kind of provider.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// Its name in the settings.
    pub(super) kind: &'static str,
    /// What a base URL ends with.
    pub(super) version: &'static str,
    /// More lines for its settings.
    pub(super) settings: &'static str,
    /// Is this request for a stream?
    pub(super) streams: fn(&Value) -> bool,
    /// A plain answer with this text.
    pub(super) answer: fn(&str) -> String,
    /// A stream with this text; its last event proves that it is whole. None: not streamed here.
    pub(super) events: fn(&str) -> Vec<String>,
    /// The body of an error of this status.
    pub(super) error: fn(u16) -> String,
    /// Status and body of an account without money.
    pub(super) no_money: fn() -> (u16, String),
}

pub(super) const OPENAI: Dialect = Dialect {
    kind: "openai",
    version: "/v1",
    settings: "",
    streams: |request| request["stream"] == true,
    answer: |text| {
        json!({
            "id": "c", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [{
                "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text },
            }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20 },
        })
        .to_string()
    },
    events: |text| {
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            let chunk = json!({
                "id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [choice],
            });
            format!("data: {chunk}\n\n")
        };
        let (half, rest) = text.split_at(text.len() / 2);
        let usage = json!({ "prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20 });
        let counts = json!({
            "id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [], "usage": usage,
        });
        vec![
            chunk(json!({ "role": "assistant", "content": half }), Value::Null),
            chunk(json!({ "content": rest }), Value::Null),
            chunk(json!({}), json!("stop")),
            format!("data: {counts}\n\n"),
            "data: [DONE]\n\n".to_owned(),
        ]
    },
    error: |status| openai_error(&format!("status {status}"), "some_error"),
    no_money: || (429, openai_error("You exceeded your current quota", "credit_balance_exhausted")),
};

pub(super) const OPENAI_RESPONSES: Dialect = Dialect {
    kind: "openai-responses",
    answer: |text| response(text).to_string(),
    events: |text| {
        let event = |name: &str, mut body: Value| {
            body["type"] = json!(name);
            format!("event: {name}\ndata: {body}\n\n")
        };
        vec![
            event("response.created", json!({ "response": { "id": "r", "status": "in_progress" } })),
            event(
                "response.output_text.delta",
                json!({ "delta": text, "output_index": 0, "content_index": 0 }),
            ),
            event("response.completed", json!({ "response": response(text) })),
        ]
    },
    ..OPENAI
};

pub(super) const ANTHROPIC: Dialect = Dialect {
    kind: "anthropic",
    answer: |text| {
        json!({
            "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 10, "output_tokens": 10 },
        })
        .to_string()
    },
    events: |text| {
        let event = |name: &str, mut body: Value| {
            body["type"] = json!(name);
            format!("event: {name}\ndata: {body}\n\n")
        };
        let start = json!({ "message": {
            "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": [],
            "stop_reason": null, "usage": { "input_tokens": 10, "output_tokens": 1 },
        } });
        vec![
            event("message_start", start),
            event(
                "content_block_start",
                json!({ "index": 0, "content_block": { "type": "text", "text": "" } }),
            ),
            event(
                "content_block_delta",
                json!({ "index": 0, "delta": { "type": "text_delta", "text": text } }),
            ),
            event("content_block_stop", json!({ "index": 0 })),
            event(
                "message_delta",
                json!({
                    "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": 10 },
                }),
            ),
            event("message_stop", json!({})),
        ]
    },
    error: |status| anthropic_error(status, &Value::Null),
    no_money: || (429, anthropic_error(429, &json!({ "error_code": "enforced_spend_limit_reached" }))),
    ..OPENAI
};

pub(super) const GEMINI: Dialect = Dialect {
    kind: "gemini",
    version: "/v1beta",
    // The path says it; the answer to a stream may be cut, so the reader tells by what it is sent.
    streams: |_| false,
    answer: |text| frame(text, json!("STOP")).to_string(),
    events: |text| {
        let (half, rest) = text.split_at(text.len() / 2);
        let last = frame(rest, json!("STOP"));
        vec![format!("data: {}\n\n", frame(half, Value::Null)), format!("data: {last}\n\n")]
    },
    error: |status| {
        gemini_error(status, if status == 429 { "RESOURCE_EXHAUSTED" } else { "INVALID_ARGUMENT" })
    },
    no_money: || (402, gemini_error(402, "RESOURCE_EXHAUSTED")),
    ..OPENAI
};

pub(super) const BEDROCK: Dialect = Dialect {
    kind: "bedrock",
    version: "",
    settings: "region = \"us-east-1\"",
    streams: |_| false,
    answer: |text| {
        json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
            "stopReason": "end_turn", "metrics": { "latencyMs": 5 },
            "usage": { "inputTokens": 10, "outputTokens": 10, "totalTokens": 20 },
        })
        .to_string()
    },
    events: |_| Vec::new(),
    error: |status| json!({ "message": format!("status {status}") }).to_string(),
    no_money: || (402, json!({ "message": "no money" }).to_string()),
};

fn openai_error(message: &str, code: &str) -> String {
    json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } })
        .to_string()
}

fn anthropic_error(status: u16, details: &Value) -> String {
    let kind = match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": "m", "details": details }, "request_id": "q" })
        .to_string()
}

fn gemini_error(status: u16, word: &str) -> String {
    json!({ "error": { "code": status, "message": "m", "status": word, "details": [] } }).to_string()
}

fn frame(text: &str, finish: Value) -> Value {
    let mut candidate = json!({ "index": 0, "content": { "role": "model", "parts": [{ "text": text }] } });
    if !finish.is_null() {
        candidate["finishReason"] = finish;
    }
    json!({
        "candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r",
        "usageMetadata": { "promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20 },
    })
}

fn response(text: &str) -> Value {
    json!({
        "id": "r", "object": "response", "status": "completed", "model": "gpt-4o-mini", "error": null,
        "incomplete_details": null, "output": [{
            "type": "message", "id": "o", "status": "completed", "role": "assistant",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }],
        }],
        "usage": { "input_tokens": 10, "output_tokens": 10, "total_tokens": 20 },
    })
}
