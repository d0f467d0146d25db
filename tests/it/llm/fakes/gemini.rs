//! Gemini's answers, events and errors, as its API reference and SDK show them (November 2026).

use serde_json::{Value, json};

/// Everything that it counts.
pub(in crate::llm) fn counts() -> Value {
    json!({
        "promptTokenCount": 1000, "cachedContentTokenCount": 600, "toolUsePromptTokenCount": 50,
        "candidatesTokenCount": 20, "thoughtsTokenCount": 300, "totalTokenCount": 1370,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": 1000 }], "serviceTier": "standard"
    })
}

/// A whole answer: a thought, and the text in two parts.
pub(in crate::llm) fn answer(first: &str, second: &str, finish_reason: &str) -> Value {
    json!({
        "candidates": [{
            "content": { "role": "model", "parts": [
                { "text": "Hm.", "thought": true }, { "text": first }, { "text": second, "thoughtSignature": "c2ln" }
            ] },
            "finishReason": finish_reason, "index": 0
        }],
        "usageMetadata": counts(), "modelVersion": "gemini-x-001", "responseId": "resp-1"
    })
}

/// One event of a stream.
pub(in crate::llm) fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn piece(parts: Value, counted: Value) -> String {
    event(&json!({
        "candidates": [{ "content": { "role": "model", "parts": parts }, "index": 0 }],
        "usageMetadata": counted, "modelVersion": "gemini-x-001", "responseId": "resp-1"
    }))
}

/// A thought and the text in two pieces, with counts that grow.
pub(in crate::llm) fn pieces() -> String {
    [
        piece(
            json!([{ "text": "Hm.", "thought": true }]),
            json!({ "promptTokenCount": 1000, "thoughtsTokenCount": 100 }),
        ),
        piece(
            json!([{ "text": "About " }]),
            json!({ "promptTokenCount": 1000, "thoughtsTokenCount": 300, "candidatesTokenCount": 2 }),
        ),
        piece(json!([{ "text": "ten €." }]), Value::Null),
    ]
    .concat()
}

/// The last event: why it ended, and the counts that count.
pub(in crate::llm) fn last(finish_reason: &str) -> String {
    event(&json!({
        "candidates": [{ "content": { "role": "model", "parts": [] }, "finishReason": finish_reason, "index": 0 }],
        "usageMetadata": counts(), "modelVersion": "gemini-x-001", "responseId": "resp-1"
    }))
}

/// A whole stream.
pub(in crate::llm) fn stream() -> String {
    [pieces(), last("STOP")].concat()
}

/// An error body.
pub(in crate::llm) fn error(code: u16, status: &str, message: &str, details: Value) -> Value {
    json!({ "error": { "code": code, "message": message, "status": status, "details": details } })
}

pub(in crate::llm) fn info(reason: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com" })
}

pub(in crate::llm) fn retry_in(delay: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay })
}

pub(in crate::llm) fn quota(id: &str, value: &str) -> Value {
    json!({ "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_input_token_count",
        "quotaId": id, "quotaDimensions": { "location": "global", "model": "gemini-x" }, "quotaValue": value
    }] })
}
