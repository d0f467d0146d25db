//! `POST /{version}/{phone number id}/messages`, with the bodies of the WhatsApp Cloud API.
//!
//! Recipients whose number ends in these digits meet trouble:
//!
//! | digits | what happens |
//! |---|---|
//! | 1047 | 131047, outside the 24 h window: refused for good |
//! | 1056 | 131056, pair limit, once |
//! | 0429 | 130429, the number is too fast, once |
//! | 5000 | 131000 with HTTP 500, once |
//! | 5020 | HTTP 502 without JSON: nobody knows |
//! | 9999 | accepted, and the connection cut |

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Uri},
    response::Response,
};
use serde_json::{Value, json};

use crate::{
    cli::dev::outside::{
        reply::{Reply, raw},
        script::{Fault, Service},
        world::{Effect, World},
    },
    queue::local::listener::Scissors,
};

/// Longest text of a message, in characters.
const LONGEST_TEXT: usize = 4096;

pub(crate) async fn messages(
    State(world): State<Arc<World>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let fault = match wrong(&headers, &request) {
        Some(code) => Some(Fault::Code(code)),
        None => world.scripted(Service::Whatsapp, &text).or_else(|| by_digits(&world, &request)),
    };
    let accepted = matches!(
        fault,
        None | Some(Fault::CutAfter | Fault::Slow(_) | Fault::Hold(_) | Fault::Refuse | Fault::NoUsage)
    );
    let message_id = accepted.then(|| format!("wamid.OUTSIDE{:08}", world.next_id()));
    let reply = Reply::to(fault, code_answer, || success(&request, message_id.as_deref()));
    let effect = Effect { status: reply.status(), message_id: message_id.clone(), ..Effect::default() };
    world.record(Service::Whatsapp, uri.path(), &body, None, effect);
    reply.send(&scissors).await
}

/// What the real one checks first, as far as our requests can get it wrong.
fn wrong(headers: &HeaderMap, request: &Value) -> Option<i64> {
    let authorization =
        headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    let text = request["text"]["body"].as_str().unwrap_or_default();
    match () {
        () if token.is_empty() => Some(190),
        () if request["messaging_product"] != "whatsapp" => Some(100),
        () if request["to"].as_str().is_none_or(str::is_empty) => Some(131_008),
        () if request["type"] == "text" && text.is_empty() => Some(131_008),
        () if text.chars().count() > LONGEST_TEXT => Some(131_009),
        () => None,
    }
}

fn by_digits(world: &World, request: &Value) -> Option<Fault> {
    let to = request["to"].as_str().unwrap_or_default();
    let once = |fault| (world.before(&format!("whatsapp {to}")) == 0).then_some(fault);
    match to.get(to.len().saturating_sub(4)..)? {
        "1047" => Some(Fault::Code(131_047)),
        "1056" => once(Fault::Code(131_056)),
        "0429" => once(Fault::Code(130_429)),
        "5000" => once(Fault::Code(131_000)),
        "5020" => Some(Fault::Answer {
            status: 502,
            headers: Vec::new(),
            body: "<html><body>Bad Gateway</body></html>".to_owned(),
        }),
        "9999" => Some(Fault::CutAfter),
        _ => None,
    }
}

fn success(request: &Value, id: Option<&str>) -> Response {
    let to = request["to"].as_str().unwrap_or_default();
    let digits: String = to.chars().filter(char::is_ascii_digit).collect();
    let body = json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": to, "wa_id": digits }],
        "messages": [{ "id": id }],
    });
    raw(200, &[], body.to_string())
}

/// The error envelope, with the status that goes with the code.
fn code_answer(code: i64) -> Response {
    let (status, title, kind) = match code {
        190 => (401, "Error validating access token", "OAuthException"),
        0 | 3 | 10 | 200..=299 | 131_005 => (403, "Permission denied", "OAuthException"),
        4 | 80_007 | 130_429 | 131_048 | 131_056 => (429, "Rate limit hit", "OAuthException"),
        1 | 2 | 131_000 => (500, "Something went wrong", "OAuthException"),
        131_016 => (503, "Service temporarily unavailable", "OAuthException"),
        _ => (400, "Message failed to send", "OAuthException"),
    };
    let body = json!({
        "error": {
            "message": format!("(#{code}) {title}"),
            "type": kind,
            "code": code,
            "error_data": { "messaging_product": "whatsapp", "details": title },
            "fbtrace_id": "AOutsideTrace",
        }
    });
    raw(status, &[], body.to_string())
}
