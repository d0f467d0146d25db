//! `POST /v1/chat/completions`, with the bodies of OpenAI. The model behind it is a word list.
//!
//! Tags in the user's text ask for trouble:
//!
//! | tag | what happens |
//! |---|---|
//! | `#fail-twice` | HTTP 500 the first two times |
//! | `#rate-limit` | 429 with `retry-after: 1`, once |
//! | `#rate-limit-long` | 429 with `retry-after: 11`, once: too long to sleep |
//! | `#too-fast` | 429 with `retry-after: 0.02`, once |
//! | `#no-credit` | 429 `credit_balance_exhausted`, always |
//! | `#refuse`, `#filter`, `#cut`, `#odd` | declined, filtered, cut off, unknown finish reason |
//! | `#bad-json` | an answer that breaks the schema, also when asked to repair it |
//! | `#bad-once` | the same, but the repair is right |
//! | `#no-usage` | an answer that does not say what it used |
//! | `#slow` | answered after two seconds |
//! | `#drop` | billed, and the connection cut, once |
//! | `#cut-stream`, `#cut-counted` | a stream that ends cleanly and too early, once: in the text, or after its counts |
//! | `#overloaded` | 529, once |
//! | `#small-down`, `#small-full` | models called mini or nano: 500, or the context is too long for them, always |

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
        limits::Pass,
        model::{self, Said},
        reply::{Reply, raw},
        script::{Cut, Fault, Service, error, out_of_money, overloaded, rate_limit, server_error, too_long},
        stream,
        world::{Bill, Effect, World},
    },
    clock::{Clock as _, SystemClock},
    queue::local::listener::Scissors,
    retry::RetryHints,
};

pub(crate) async fn completions(
    State(world): State<Arc<World>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (fault, pass) = admitted(&world, &request, &String::from_utf8_lossy(&body)).await;
    let said = model::say(&request, fault.as_ref()).await;
    let effect = effect(&request, fault.as_ref(), &said);
    let correlation_id =
        headers.get("x-client-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    world.record(Service::Llm, uri.path(), &body, correlation_id, effect);
    let number = world.next_id();
    let cut = if let Some(Fault::Cut(cut)) = fault { Some(cut) } else { None };
    let mut held = pass;
    let reply = Reply::to(
        fault,
        |code| raw(500, &[], error(&code.to_string(), "server_error", "")),
        || match request["stream"] == true {
            true => stream::streamed(&request, &said, cut, number, held.take()),
            false => raw(200, &[], completion(&request, &said, number).to_string()),
        },
    );
    let mut response = reply.send(&scissors).await;
    if let Ok(id) = format!("req_outside{number:08}").parse() {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// What goes wrong with this request, and what counts it as being under way.
async fn admitted(world: &World, request: &Value, text: &str) -> (Option<Fault>, Option<Pass>) {
    if let Some(what) = model::wrong(request) {
        let body = error(&what, "invalid_request_error", "");
        return (Some(Fault::Answer { status: 400, headers: Vec::new(), body }), None);
    }
    let usage = model::say(request, None).await.usage;
    match world.admit(&model::name(request), usage.input() + usage.output) {
        Ok(pass) => (world.scripted(Service::Llm, text).or_else(|| by_tags(world, request)), Some(pass)),
        Err(refused) => (Some(refused), None),
    }
}

/// Known before anything is answered: a caller that dies meanwhile has been billed all the same.
fn effect(request: &Value, fault: Option<&Fault>, said: &Said) -> Effect {
    let billed = !matches!(fault, Some(Fault::Answer { .. } | Fault::Code(_) | Fault::CutBefore));
    let (status, retry_after) = match fault {
        Some(Fault::Answer { status, headers, .. }) => {
            let header = |name| headers.iter().find(|(own, _)| *own == name).map(|(_, text)| text.as_str());
            (Some(*status), RetryHints::read(header).wait)
        }
        Some(Fault::Code(_)) => (Some(500), None),
        Some(Fault::CutBefore | Fault::CutAfter) => (None, None),
        _ => (Some(200), None),
    };
    let bill = billed.then(|| Bill { model: model::name(request), usage: said.usage });
    Effect { status, retry_after, bill, message_id: None }
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
        "too-fast" => times(1, rate_limit("0.02")),
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
        "cut-stream" => times(1, Fault::Cut(Cut::After(1 + user.len() % 8))),
        "cut-counted" => times(1, Fault::Cut(Cut::BeforeDone)),
        "overloaded" => times(1, overloaded()),
        "small-down" => is_small(&model::name(request)).then(server_error),
        "small-full" => is_small(&model::name(request)).then(too_long),
        _ => None,
    }
}

fn is_small(model: &str) -> bool {
    model.contains("mini") || model.contains("nano")
}

fn completion(request: &Value, said: &Said, number: u64) -> Value {
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
        body["usage"] = model::usage_words(&said.usage);
    }
    body
}
