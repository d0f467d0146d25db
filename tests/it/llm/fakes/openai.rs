//! OpenAI's answers and events, as its API reference and SDK show them (openai-python 3.3), and those of its like.

use longshore::{config::ProviderSettings, domain::usage::Usage, http::Http, llm::vendors};
use serde_json::{Value, json};

use super::raw::{Called, Said};

/// What the answers here say was used, in normal form.
pub(in crate::llm) const USED: Usage = Usage {
    uncached_input: 300,
    cache_read: 600,
    cache_write: 100,
    cache_write_1h: 0,
    output: 90,
    reasoning: 40,
};

/// What the streamed answers here say.
pub(in crate::llm) const TEXT: &str = "About ten € – 十.";

/// The same provider with other settings.
pub(in crate::llm) fn with(mut called: Called, change: impl FnOnce(&mut ProviderSettings)) -> Called {
    change(&mut called.settings);
    called.provider = vendors::provider(&called.settings, &Http::new().unwrap()).unwrap();
    called
}

/// A body in chunks of so many bytes; without its last chunk the connection closes in the middle of it.
pub(in crate::llm) fn chunked(body: &[u8], bytes: usize, whole: bool) -> Said {
    let mut wire = Vec::new();
    for chunk in body.chunks(bytes) {
        wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        wire.extend([chunk, b"\r\n"].concat());
    }
    if whole {
        wire.extend(b"0\r\n\r\n");
    }
    // Where both are told, the chunks count and the length does not.
    Said::bytes(200, "text/event-stream", wire).header("transfer-encoding", "chunked")
}

/// An error body.
pub(in crate::llm) fn error(kind: &str, code: &str) -> Value {
    json!({ "error": { "message": "That went wrong.", "type": kind, "param": null, "code": code } })
}

pub(in crate::llm) fn chat_usage() -> Value {
    json!({
        "prompt_tokens": 1000, "completion_tokens": 90, "total_tokens": 1090,
        "prompt_tokens_details": { "cached_tokens": 600, "cache_write_tokens": 100, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": 40, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 3
        }
    })
}

/// A whole completion.
pub(in crate::llm) fn completion(text: &str, finish: &Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_000_000, "model": "gpt-5-2025-08-07",
        "choices": [{
            "index": 0, "finish_reason": finish, "logprobs": null,
            "message": { "role": "assistant", "content": text, "refusal": null, "annotations": [] }
        }],
        "service_tier": "flex", "usage": chat_usage()
    })
}

pub(in crate::llm) fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A chunk with these choices.
pub(in crate::llm) fn chunk(choices: &Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_000_000, "model": "gpt-5-2025-08-07",
        "service_tier": "flex", "choices": choices, "usage": null, "obfuscation": "x9"
    })
}

/// A piece of the answer.
pub(in crate::llm) fn delta(delta: &Value) -> String {
    data(&chunk(&json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }])))
}

pub(in crate::llm) fn finished(reason: &str) -> String {
    data(&chunk(&json!([{ "index": 0, "delta": {}, "finish_reason": reason }])))
}

/// The last but one event, where it was asked for.
pub(in crate::llm) fn counts() -> String {
    let mut chunk = chunk(&json!([]));
    chunk["usage"] = chat_usage();
    data(&chunk)
}

pub(in crate::llm) fn done() -> String {
    "data: [DONE]\n\n".to_owned()
}

/// [`TEXT`] in three pieces.
pub(in crate::llm) fn said() -> String {
    [
        ": keep-alive\n\n".to_owned(),
        delta(&json!({ "role": "assistant", "content": "", "refusal": null })),
        delta(&json!({ "content": "About " })),
        delta(&json!({ "content": "ten € " })),
        delta(&json!({ "content": "– 十." })),
    ]
    .concat()
}

/// A good stream, whole.
pub(in crate::llm) fn stream() -> String {
    [said(), finished("stop"), counts(), done()].concat()
}

/// A whole response.
pub(in crate::llm) fn response(status: &str, text: &str) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_795_000_000, "status": status, "error": null,
        "incomplete_details": null, "model": "gpt-5-2025-08-07", "service_tier": "flex",
        "output": [
            { "id": "rs_1", "type": "reasoning", "summary": [] },
            {
                "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{ "type": "output_text", "text": text, "annotations": [] }]
            }
        ],
        "usage": {
            "input_tokens": 1000, "input_tokens_details": { "cached_tokens": 600, "cache_write_tokens": 100 },
            "output_tokens": 90, "output_tokens_details": { "reasoning_tokens": 40 }, "total_tokens": 1090
        }
    })
}

/// A named event.
pub(in crate::llm) fn event(kind: &str, mut rest: Value) -> String {
    rest["type"] = json!(kind);
    format!("event: {kind}\n{}", data(&rest))
}

/// [`TEXT`] as a response says it, up to its last event.
pub(in crate::llm) fn response_said() -> String {
    let begun = || {
        let mut response = response("in_progress", "");
        response["output"] = json!([]);
        response["usage"] = json!(null);
        json!({ "response": response })
    };
    let piece = |text: &str| {
        event("response.output_text.delta", json!({ "item_id": "msg_1", "output_index": 1, "delta": text }))
    };
    [
        event("response.created", begun()),
        event("response.in_progress", begun()),
        event("response.output_item.added", json!({ "output_index": 1, "item": { "type": "message" } })),
        event("response.content_part.added", json!({ "part": { "type": "output_text", "text": "" } })),
        piece("About "),
        piece("ten € "),
        piece("– 十."),
        event("response.output_text.done", json!({ "text": TEXT })),
    ]
    .concat()
}

/// Its last event.
pub(in crate::llm) fn response_end(kind: &str, response: &Value) -> String {
    event(kind, json!({ "response": response }))
}
