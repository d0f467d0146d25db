//! Tells error answers apart: by their code first, by the status second, never by their text.

use serde_json::Value;

use crate::{
    http::Answer,
    llm::{
        contract::{CallError, Rejection},
        vendors::wait_hint,
    },
    retry::RetryHints,
};

/// Credit, spend and usage limits: 429 like a rate limit, but waiting does not help.
const OUT_OF_MONEY: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
];
/// Slower, please.
const TOO_FAST: &[&str] = &["rate_limit_exceeded", "slow_down"];
/// The question was refused by a filter.
const BLOCKED: &[&str] = &["content_filter", "content_policy_violation"];
/// The key.
const AUTH: &[&str] = &["invalid_api_key", "authentication_error", "permission_error"];
/// Longest piece of a provider's message that is kept, in characters.
const KEPT: usize = 200;

/// Does this body report an error, whatever the status?
pub(crate) fn is_error(body: &Value) -> bool {
    body["object"] == "error" || !matches!(body["error"], Value::Null)
}

/// What an error answer means.
pub(crate) fn classify(answer: &Answer, body: Option<&Value>) -> CallError {
    let told = body.filter(|body| is_error(body)).map(Told::read);
    // A gateway that gave up on its server: the question may have been answered, and billed, behind it.
    if told.is_none() && matches!(answer.status, 408 | 502 | 504 | 520..=524) {
        return CallError::Unknown(format!(
            "HTTP {} from a gateway, without a word of the provider",
            answer.status
        ));
    }
    let told = told.unwrap_or_default();
    let hints = RetryHints::read(|name| answer.header(name));
    let class = match (class(answer.status, &told), hints.should_retry) {
        (Rejection::Transient, Some(false)) => Rejection::NotAgain,
        (Rejection::Permanent, Some(true)) => Rejection::Transient,
        (class, _) => class,
    };
    let wait = hints.wait.or_else(|| wait_hint::exhausted_window(answer));
    CallError::Rejected { class, detail: told.detail(answer.status, class), wait }
}

fn class(status: u16, told: &Told) -> Rejection {
    let is = |codes: &[&str]| codes.contains(&told.code.as_str()) || codes.contains(&told.kind.as_str());
    match status {
        _ if is(OUT_OF_MONEY) => Rejection::OutOfMoney,
        _ if is(BLOCKED) => Rejection::Blocked,
        _ if is(AUTH) => Rejection::Auth,
        500.. => Rejection::Transient,
        _ if is(TOO_FAST) => Rejection::RateLimited,
        402 => Rejection::OutOfMoney,
        401 | 403 => Rejection::Auth,
        429 => Rejection::RateLimited,
        // 200: an error in a success answer, without a code that we know.
        200..=299 | 408 | 409 => Rejection::Transient,
        _ => Rejection::Permanent,
    }
}

/// What the body says.
#[derive(Default)]
struct Told {
    kind: String,
    code: String,
    message: String,
}

impl Told {
    /// `{"error": {..}}`, on some servers `{"error": "text"}` or the fields at the top.
    fn read(body: &Value) -> Self {
        let error = if body["error"].is_null() { body } else { &body["error"] };
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let message = error.as_str().map_or_else(|| text(&error["message"]), str::to_owned);
        Self { kind: text(&error["type"]), code: text(&error["code"]), message }
    }

    /// Messages about keys repeat parts of them: left out.
    fn detail(&self, status: u16, class: Rejection) -> String {
        let mut words = vec![format!("HTTP {status}")];
        words.extend([&self.kind, &self.code].into_iter().filter(|word| !word.is_empty()).cloned());
        if class != Rejection::Auth && !self.message.is_empty() {
            words.push(self.message.chars().take(KEPT).collect());
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::classify;
    use crate::{
        http::Answer,
        llm::contract::{CallError, Rejection},
    };

    fn answer(status: u16, headers: &[(&'static str, &'static str)]) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status, headers, body: Bytes::new() }
    }

    fn class(status: u16, body: Option<Value>) -> Rejection {
        match classify(&answer(status, &[]), body.as_ref()) {
            CallError::Rejected { class, .. } => class,
            other => panic!("{other:?}"),
        }
    }

    fn error(kind: &str, code: &str) -> Option<Value> {
        Some(json!({ "error": { "message": "m", "type": kind, "param": null, "code": code } }))
    }

    #[test]
    fn tells_errors_apart_by_code_then_status() {
        use Rejection::{Auth, Blocked, OutOfMoney, Permanent, RateLimited, Transient};
        for (status, body, expected) in [
            (400, error("invalid_request_error", "context_length_exceeded"), Permanent),
            (400, error("", "content_filter"), Blocked),
            (401, error("invalid_request_error", "invalid_api_key"), Auth),
            (401, None, Auth),
            (403, error("invalid_request_error", "unsupported_country_region_territory"), Auth),
            (402, None, OutOfMoney),
            (404, error("invalid_request_error", "model_not_found"), Permanent),
            (408, error("timeout", ""), Transient),
            (409, error("conflict", ""), Transient),
            (413, None, Permanent),
            (429, error("requests", "rate_limit_exceeded"), RateLimited),
            (429, error("tokens", "slow_down"), RateLimited),
            (429, error("insufficient_quota", "insufficient_quota"), OutOfMoney),
            (429, error("insufficient_quota", "credit_balance_exhausted"), OutOfMoney),
            (429, error("rate_limit_error", "project_spend_limit_exceeded"), OutOfMoney),
            (429, None, RateLimited),
            (500, error("server_error", ""), Transient),
            (500, None, Transient),
            (503, error("service_unavailable_error", "server_is_overloaded"), Transient),
            (503, error("", "slow_down"), Transient),
            (503, None, Transient),
            (504, error("timeout_error", ""), Transient),
            (529, None, Transient),
            (301, None, Permanent),
            (400, Some(json!({ "object": "error", "message": "too long", "code": 40001 })), Permanent),
            (404, Some(json!({ "error": "model not found" })), Permanent),
        ] {
            assert_eq!(class(status, body.clone()), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn a_gateway_that_gave_up_leaves_the_fate_unknown() {
        for status in [408, 502, 504, 522] {
            assert!(matches!(classify(&answer(status, &[]), None), CallError::Unknown(_)), "{status}");
        }
    }

    #[test]
    fn reads_hints_and_honours_should_retry() {
        let rejected = |status, headers: &[(&'static str, &'static str)], body: Option<Value>| match classify(
            &answer(status, headers),
            body.as_ref(),
        ) {
            CallError::Rejected { class, wait, .. } => (class, wait),
            other => panic!("{other:?}"),
        };
        let wait = rejected(429, &[("retry-after", "7")], error("requests", "rate_limit_exceeded")).1;
        assert_eq!(wait, Some(Duration::from_secs(7)));
        let windows = &[
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "1h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(rejected(429, windows, None).1, Some(Duration::from_secs(360)));
        assert_eq!(rejected(500, &[("x-should-retry", "false")], None).0, Rejection::NotAgain);
        assert_eq!(rejected(400, &[("x-should-retry", "true")], None).0, Rejection::Transient);
    }

    #[test]
    fn never_repeats_a_key() {
        let body = json!({ "error": { "message": "Incorrect API key provided: sk-ab***yz", "code": "invalid_api_key" } });
        let said = classify(&answer(401, &[]), Some(&body)).to_string();
        assert!(!said.contains("sk-"), "{said}");
    }
}
