//! Tells Anthropic's errors apart: by their type first, by the status second.

use std::time::Duration;

use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    domain::timestamp::Timestamp,
    http::Answer,
    llm::{
        vendors::{
            anthropic_answer::word,
            by_status::{heeding, of_status},
            exchange::is_from_a_gateway,
        },
        wire::{CallError, Rejection},
    },
    retry::{RetryHints, http_date},
};

/// Longest piece of a provider's message that is kept, in characters.
const KEPT: usize = 200;
/// Money and windows have no type of their own among bad requests: these are the only words there are for them.
const NO_CREDIT: &[&str] = &["credit balance is too low", "reached your specified api usage limits"];
const TOO_LONG: &[&str] = &["prompt is too long", "exceed context limit"];

/// Does this body report an error, whatever the status?
pub(crate) fn is_error(body: &Value) -> bool {
    body["type"] == "error" || body["error"].is_object()
}

/// What an error answer means.
pub(crate) fn classify(answer: &Answer, body: Option<&Value>) -> CallError {
    let told = body.filter(|body| is_error(body));
    if told.is_none() && is_from_a_gateway(answer.status) {
        let detail = format!("HTTP {} from a gateway, without a word of the provider", answer.status);
        return CallError::Unknown(detail);
    }
    let told = told.unwrap_or(&Value::Null);
    let hints = RetryHints::read(|name| answer.header(name));
    let class = heeding(hints.should_retry, class(answer.status, &told["error"]));
    let detail = detail(&format!("HTTP {}", answer.status), class, told);
    CallError::Rejected { class, detail, wait: hints.wait.or_else(|| exhausted_window(answer)) }
}

/// What an `error` event means: it comes after a status of 200.
pub(crate) fn in_stream(event: &Value) -> CallError {
    let class = class(200, &event["error"]);
    CallError::Rejected { class, detail: detail("in the stream:", class, event), wait: None }
}

fn class(status: u16, error: &Value) -> Rejection {
    // Until the month is over, whatever it is called.
    if error["details"]["error_code"] == "enforced_spend_limit_reached" {
        return Rejection::OutOfMoney;
    }
    match error["type"].as_str() {
        Some("billing_error") => Rejection::OutOfMoney,
        Some("authentication_error" | "permission_error") => Rejection::Auth,
        Some("rate_limit_error") => Rejection::RateLimited,
        Some("overloaded_error") => Rejection::Overloaded,
        Some("api_error" | "timeout_error" | "conflict_error") => Rejection::Transient,
        Some("not_found_error") => Rejection::NoSuchModel,
        Some("request_too_large") => Rejection::Permanent,
        // Under another status the word is a slip of somebody between.
        Some("invalid_request_error") if matches!(status, 200..=299 | 400 | 413) => {
            of_bad_request(error["message"].as_str().unwrap_or_default())
        }
        _ => of_status(status),
    }
}

fn of_bad_request(message: &str) -> Rejection {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    match () {
        () if says(NO_CREDIT) => Rejection::OutOfMoney,
        () if says(TOO_LONG) => Rejection::ContextOverflow,
        () => Rejection::Permanent,
    }
}

/// Messages about keys may repeat parts of them: left out.
fn detail(begin: &str, class: Rejection, body: &Value) -> String {
    let error = &body["error"];
    let mut words = vec![begin.to_owned()];
    words.extend([&error["type"], &error["details"]["error_code"]].into_iter().filter_map(word));
    if class != Rejection::Auth
        && let Some(message) = error["message"].as_str()
    {
        words.push(message.chars().take(KEPT).collect());
    }
    words.extend(word(&body["request_id"]).map(|id| format!("({id})")));
    words.join(" ")
}

/// Without a plain hint: when the exhausted windows open again, by the clock of the provider.
fn exhausted_window(answer: &Answer) -> Option<Duration> {
    let windows = [
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
        ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
        ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ];
    let now = http_date(answer.header("date")?)?;
    let wait = |(left, reset): (&str, &str)| {
        let then = OffsetDateTime::parse(answer.header(reset)?.trim(), &Rfc3339).ok()?;
        (answer.header(left)?.trim() == "0").then(|| Timestamp::from(then).since(now))
    };
    windows.into_iter().filter_map(wait).max()
}
