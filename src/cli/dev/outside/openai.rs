//! `POST /v1/chat/completions`, with the bodies of OpenAI. The model behind it is a word list.
//!
//! Tags in the user's text ask for trouble:
//!
//! | tag | what happens |
//! |---|---|
//! | `#fail-twice` | HTTP 500 the first two times |
//! | `#rate-limit` | 429 with `retry-after: 1`, once |
//! | `#rate-limit-long` | 429 with `retry-after: 11`, once: too long to sleep |
//! | `#no-credit` | 429 `credit_balance_exhausted`, always |
//! | `#refuse`, `#filter`, `#cut`, `#odd` | declined, filtered, cut off, unknown finish reason |
//! | `#bad-json` | an answer that breaks the schema, also when asked to repair it |
//! | `#bad-once` | the same, but the repair is right |
//! | `#no-usage` | an answer that does not say what it used |
//! | `#slow` | answered after two seconds |
//! | `#drop` | billed, and the connection cut, once |

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Uri},
    response::Response,
};
use serde_json::{Value, json};

use crate::{
    cli::dev::outside::{
        model,
        reply::{Reply, raw},
        script::{Fault, Service, error, out_of_money, rate_limit, server_error},
        world::{Bill, Effect, World},
    },
    clock::{Clock as _, SystemClock},
    queue::local::listener::Scissors,
};

pub(crate) async fn completions(
    State(world): State<Arc<World>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let fault = match model::wrong(&request) {
        Some(what) => Some(Fault::Answer {
            status: 400,
            headers: Vec::new(),
            body: error(&what, "invalid_request_error", ""),
        }),
        None => world.scripted(Service::Llm, &text).or_else(|| by_tags(&world, &request)),
    };
    let billed = !matches!(fault, Some(Fault::Answer { .. } | Fault::Code(_) | Fault::CutBefore));
    let said = model::say(&request, fault.as_ref()).await;
    let bill = billed.then(|| Bill { model: model::name(&request), usage: said.usage });
    let number = world.next_id();
    let reply = Reply::to(
        fault,
        |code| raw(500, &[], error(&code.to_string(), "server_error", "")),
        || (200, completion(&request, &said, number)),
    );
    let correlation_id =
        headers.get("x-client-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let effect = Effect { status: reply.status(), bill, message_id: None };
    world.record(Service::Llm, uri.path(), request, correlation_id, effect);
    let mut response = reply.send(&scissors).await;
    if let Ok(id) = format!("req_outside{number:08}").parse() {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// The tags of what the user says; counted per text, so that two texts do not share their troubles.
fn by_tags(world: &World, request: &Value) -> Option<Fault> {
    let user = model::user_text(request);
    let repaired = request["messages"].as_array().is_some_and(|turns| turns.len() > 2);
    let times = |limit: u32, fault: Fault| (world.before(&format!("llm {user}")) < limit).then_some(fault);
    let (_, after) = user.split_once('#')?;
    // The text may stand in JSON: the tag ends where its letters do.
    let end = after.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(after.len());
    match after.get(..end)? {
        "fail-twice" => times(2, server_error()),
        "rate-limit" => times(1, rate_limit("1")),
        "rate-limit-long" => times(1, rate_limit("11")),
        "no-credit" => Some(out_of_money()),
        "refuse" => Some(Fault::Refuse),
        "filter" => Some(Fault::Filter),
        "cut" => Some(Fault::Truncate),
        "odd" => Some(Fault::OddFinish),
        "bad-json" => Some(Fault::BadJson),
        "bad-once" => (!repaired).then_some(Fault::BadJson),
        "no-usage" => Some(Fault::NoUsage),
        "slow" => Some(Fault::Slow(Duration::from_secs(2))),
        "drop" => times(1, Fault::CutAfter),
        _ => None,
    }
}

fn completion(request: &Value, said: &model::Said, number: u64) -> Value {
    let usage = &said.usage;
    let mut body = json!({
        "id": format!("chatcmpl-outside{number:08}"),
        "object": "chat.completion",
        "created": SystemClock.now().seconds(),
        "model": model::name(request),
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": said.content,
                "refusal": said.refusal,
                "annotations": [],
            },
            "logprobs": null,
            "finish_reason": said.finish,
        }],
        "service_tier": "default",
        "system_fingerprint": null,
    });
    if said.tells_usage {
        body["usage"] = json!({
            "prompt_tokens": usage.input(),
            "completion_tokens": usage.output,
            "total_tokens": usage.input() + usage.output,
            "prompt_tokens_details": { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        });
    }
    body
}
