//! Tells the error answers of OpenAI and its like apart: by their code first, then by their type, then by the status,
//! never by their text, which is for people: Bedrock says "too many tokens" when it means "too fast".

use std::time::Duration;

use serde_json::Value;

use crate::{
    http::Answer,
    llm::{
        vendors::{
            by_status::{heeding, of_status},
            exchange::is_from_a_gateway,
            wait_hint,
        },
        wire::{CallError, Rejection},
    },
    retry::RetryHints,
};

/// Codes and types that say more than the status. OpenAI, unless another server is named.
const WORDS: &[(&str, Rejection)] = &[
    // Limits of money and credit: 429 like a rate limit, but waiting does not help.
    ("insufficient_quota", Rejection::OutOfMoney),
    ("credit_balance_exhausted", Rejection::OutOfMoney),
    ("organization_spend_limit_exceeded", Rejection::OutOfMoney),
    ("project_spend_limit_exceeded", Rejection::OutOfMoney),
    ("organization_usage_limit_exceeded", Rejection::OutOfMoney),
    ("billing_hard_limit_reached", Rejection::OutOfMoney),
    ("billing_not_active", Rejection::OutOfMoney),
    // OpenRouter: other calls hold the rest of the balance.
    ("in_flight_budget_exhausted", Rejection::RateLimited),
    ("rate_limit_exceeded", Rejection::RateLimited),
    ("rate_limit_error", Rejection::RateLimited),
    ("slow_down", Rejection::RateLimited),
    ("server_is_overloaded", Rejection::Overloaded),
    ("service_unavailable_error", Rejection::Overloaded),
    ("overloaded_error", Rejection::Overloaded),
    ("content_filter", Rejection::Blocked),
    ("content_policy_violation", Rejection::Blocked),
    ("context_length_exceeded", Rejection::ContextOverflow),
    // llama.cpp
    ("exceed_context_size_error", Rejection::ContextOverflow),
    ("model_not_found", Rejection::NoSuchModel),
    // Azure
    ("DeploymentNotFound", Rejection::NoSuchModel),
    ("invalid_api_key", Rejection::Auth),
    ("authentication_error", Rejection::Auth),
    ("permission_error", Rejection::Auth),
    ("unsupported_country_region_territory", Rejection::Auth),
];
/// vLLM names the overlong part here and has no code for it (`VLLMValidationError`).
const TOO_LONG_PARAM: &str = "input_tokens";
/// Longest piece of a provider's message that is kept, in characters.
const KEPT: usize = 200;
/// Longest piece that is kept of a body that is no JSON: a proxy's page, mostly.
const KEPT_OF_A_PAGE: usize = 2_048;

/// Does this body report an error, whatever the status? A response that failed is a response.
pub(crate) fn is_error(body: &Value) -> bool {
    let told = match &body["error"] {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    body["object"] == "error" || (told && body["object"] != "response")
}

/// What an error answer means.
pub(crate) fn classify(answer: &Answer, body: Option<&Value>) -> CallError {
    let told = body.filter(|body| is_error(body)).map(Told::read);
    let hints = RetryHints::read(|name| answer.header(name));
    // A gateway that gave up on its server: the question may have been answered, and billed, behind it. One that says
    // when to come back did not even try.
    if told.is_none() && is_from_a_gateway(answer.status) && hints == RetryHints::default() {
        let detail = format!("HTTP {} from a gateway, without a word of the provider", answer.status);
        return CallError::Unknown(detail);
    }
    let told = told.unwrap_or_else(|| Told::page(&answer.body));
    let class = heeding(hints.should_retry, class(answer.status, &told));
    let wait = hints.wait.or_else(|| wait_hint::exhausted_window(answer));
    rejected(&format!("HTTP {}", answer.status), class, &told, wait)
}

/// What an error within a success means: in a stream, or as the end of a response.
pub(crate) fn inside(body: &Value) -> CallError {
    let told = Told::read(body);
    rejected("after HTTP 200", class(200, &told), &told, None)
}

fn rejected(begin: &str, class: Rejection, told: &Told, wait: Option<Duration>) -> CallError {
    CallError::Rejected { class, detail: told.detail(begin, class), wait }
}

fn class(status: u16, told: &Told) -> Rejection {
    // In a success the code is the only status there is: OpenRouter, vLLM.
    let status = if (200..=299).contains(&status) { told.status().unwrap_or(status) } else { status };
    let word = |word: &str| WORDS.iter().find(|(known, _)| *known == word).map(|(_, class)| *class);
    match word(&told.code).or_else(|| word(&told.kind)) {
        // "Slow down" of a server that can do no more, not of one that counts.
        Some(Rejection::RateLimited) if status >= 500 => Rejection::Overloaded,
        Some(class) => class,
        None if status == 400 && told.param == TOO_LONG_PARAM => Rejection::ContextOverflow,
        None => of_status(status),
    }
}

/// What the body says.
#[derive(Default)]
struct Told {
    kind: String,
    code: String,
    param: String,
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
        let [kind, code, param] = ["type", "code", "param"].map(|name| text(&error[name]));
        Self { kind, code, param, message: shortened(&message, KEPT) }
    }

    /// A body that is no error of theirs: the page of a proxy, or nothing.
    fn page(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..KEPT_OF_A_PAGE * 4).unwrap_or(body));
        Self { message: shortened(&text, KEPT_OF_A_PAGE), ..Self::default() }
    }

    /// The code, where it is an HTTP status.
    fn status(&self) -> Option<u16> {
        self.code.parse().ok().filter(|status| (400..=599).contains(status))
    }

    /// Messages about keys repeat parts of them: left out.
    fn detail(&self, begin: &str, class: Rejection) -> String {
        let message = Some(&self.message).filter(|_| class != Rejection::Auth);
        let words = [Some(&self.kind), Some(&self.code), message].into_iter().flatten();
        let words = words.filter(|word| !word.is_empty()).map(String::as_str);
        std::iter::once(begin).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// In one line, up to so many characters.
fn shortened(text: &str, longest: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::{classify, inside};
    use crate::{
        http::Answer,
        llm::wire::{CallError, Rejection},
    };

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static [u8]) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        Answer { status, headers, body: Bytes::from_static(body) }
    }

    fn rejected(error: CallError) -> (Rejection, String, Option<Duration>) {
        match error {
            CallError::Rejected { class, detail, wait } => (class, detail, wait),
            other => panic!("{other:?}"),
        }
    }

    fn class(status: u16, body: Option<Value>) -> Rejection {
        rejected(classify(&answer(status, &[], b""), body.as_ref())).0
    }

    fn error(kind: &str, code: &str) -> Option<Value> {
        Some(json!({ "error": { "message": "m", "type": kind, "param": null, "code": code } }))
    }

    #[test]
    fn tells_errors_apart_by_code_then_type_then_status() {
        use Rejection::{
            Auth, Blocked, ContextOverflow, NoSuchModel, OutOfMoney, Overloaded, Permanent, RateLimited,
            Transient,
        };
        for (status, body, expected) in [
            (400, error("invalid_request_error", ""), Permanent),
            (400, error("invalid_request_error", "context_length_exceeded"), ContextOverflow),
            (400, error("", "content_filter"), Blocked),
            (401, error("invalid_request_error", "invalid_api_key"), Auth),
            (401, None, Auth),
            (403, error("invalid_request_error", "unsupported_country_region_territory"), Auth),
            (403, error("invalid_request_error", "model_not_found"), NoSuchModel),
            (402, None, OutOfMoney),
            (402, error("", "in_flight_budget_exhausted"), RateLimited),
            (402, error("", "weight_exceeds_budget"), OutOfMoney),
            (404, error("invalid_request_error", "model_not_found"), NoSuchModel),
            (404, error("", "DeploymentNotFound"), NoSuchModel),
            (404, Some(json!({ "error": "model not found" })), NoSuchModel),
            (408, error("timeout", ""), Transient),
            (409, error("conflict", ""), Transient),
            (413, None, Permanent),
            (424, None, Transient),
            (429, error("requests", "rate_limit_exceeded"), RateLimited),
            (429, error("tokens", "slow_down"), RateLimited),
            (429, error("insufficient_quota", "insufficient_quota"), OutOfMoney),
            (429, error("insufficient_quota", "credit_balance_exhausted"), OutOfMoney),
            (429, error("insufficient_quota", "organization_usage_limit_exceeded"), OutOfMoney),
            (429, error("rate_limit_error", "organization_spend_limit_exceeded"), OutOfMoney),
            (429, error("rate_limit_error", "project_spend_limit_exceeded"), OutOfMoney),
            (429, error("insufficient_quota", "rate_limit_exceeded"), RateLimited),
            (429, None, RateLimited),
            (500, error("server_error", ""), Transient),
            (500, None, Transient),
            (503, error("service_unavailable_error", "server_is_overloaded"), Overloaded),
            (503, error("", "slow_down"), Overloaded),
            (503, None, Overloaded),
            (504, error("timeout_error", ""), Transient),
            (529, None, Overloaded),
            (301, None, Permanent),
        ] {
            assert_eq!(class(status, body.clone()), expected, "{status} {body:?}");
        }
    }

    #[test]
    fn knows_the_errors_of_compatible_servers() {
        for (status, body, expected) in [
            // vLLM: older ones without `error`, codes as numbers
            (400, json!({ "object": "error", "message": "too long", "code": 40001 }), Rejection::Permanent),
            (
                400,
                json!({ "error": { "type": "BadRequestError", "param": "input_tokens", "code": 400 } }),
                Rejection::ContextOverflow,
            ),
            // llama.cpp
            (
                400,
                json!({ "error": { "code": 400, "type": "exceed_context_size_error", "n_ctx": 4096 } }),
                Rejection::ContextOverflow,
            ),
            (503, json!({ "error": { "code": 503, "message": "Loading model" } }), Rejection::Overloaded),
            // Azure: the filter of the prompt
            (
                400,
                json!({ "error": { "code": "content_filter", "param": "prompt", "type": null, "status": 400 } }),
                Rejection::Blocked,
            ),
            // in a success
            (200, json!({ "error": { "code": 429, "message": "upstream" } }), Rejection::RateLimited),
            (200, json!({ "object": "error", "message": "m", "code": 500 }), Rejection::Transient),
            (200, json!({ "error": "out of memory" }), Rejection::Transient),
        ] {
            assert_eq!(class(status, Some(body.clone())), expected, "{status} {body}");
        }
    }

    /// The trap: a text that sounds like another error.
    #[test]
    fn never_goes_by_the_text() {
        let says = |text: &str| Some(json!({ "error": { "message": text, "type": null, "code": null } }));
        let waits = "Too many tokens, please wait before trying again. Maximum context length.";
        assert_eq!(class(429, says(waits)), Rejection::RateLimited);
        assert_eq!(
            class(400, says("insufficient_quota rate_limit_exceeded invalid_api_key")),
            Rejection::Permanent
        );
        assert_eq!(class(500, says("context_length_exceeded")), Rejection::Transient);
    }

    #[test]
    fn errors_inside_a_success_go_by_their_code() {
        let class = |body: Value| rejected(inside(&body)).0;
        let error =
            |code: Value| json!({ "error": { "message": "m", "type": "server_error", "code": code } });
        assert_eq!(class(error(json!("rate_limit_exceeded"))), Rejection::RateLimited);
        assert_eq!(class(error(json!(502))), Rejection::Transient);
        assert_eq!(class(error(json!(null))), Rejection::Transient);
        assert_eq!(class(json!({ "type": "error", "code": "server_is_overloaded" })), Rejection::Overloaded);
    }

    #[test]
    fn a_gateway_that_gave_up_leaves_the_fate_unknown() {
        for status in [408, 502, 504, 522] {
            let page = answer(status, &[], b"<html>Bad gateway</html>");
            assert!(matches!(classify(&page, None), CallError::Unknown(_)), "{status}");
        }
        // Not without a wait that would be lost.
        let (class, _, wait) = rejected(classify(&answer(502, &[("retry-after", "3")], b""), None));
        assert_eq!((class, wait), (Rejection::Transient, Some(Duration::from_secs(3))));
    }

    #[test]
    fn reads_hints_and_honours_should_retry() {
        let of = |status, headers: &[(&'static str, &'static str)], body: Option<Value>| {
            let (class, _, wait) = rejected(classify(&answer(status, headers, b""), body.as_ref()));
            (class, wait)
        };
        let limited = || error("requests", "rate_limit_exceeded");
        assert_eq!(of(429, &[("retry-after", "7")], limited()).1, Some(Duration::from_secs(7)));
        assert_eq!(of(429, &[("retry-after", "0.25")], None).1, Some(Duration::from_millis(250)));
        let both = &[("retry-after", "7"), ("retry-after-ms", "1500")];
        assert_eq!(of(503, both, None).1, Some(Duration::from_millis(1500)));
        let azure = &[("x-ms-retry-after-ms", "40")];
        assert_eq!(of(429, azure, None).1, Some(Duration::from_millis(40)));
        let windows = &[
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "1h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(of(429, windows, None).1, Some(Duration::from_secs(360)));
        for (status, class) in
            [(429, Rejection::NotNow), (500, Rejection::NotAgain), (503, Rejection::NotAgain)]
        {
            assert_eq!(of(status, &[("x-should-retry", "false")], None).0, class, "{status}");
        }
        assert_eq!(of(400, &[("x-should-retry", "true")], None).0, Rejection::Transient);
        let broke = error("insufficient_quota", "insufficient_quota");
        assert_eq!(of(429, &[("x-should-retry", "true")], broke).0, Rejection::OutOfMoney);
    }

    #[test]
    fn never_repeats_a_key() {
        let body = json!({ "error": { "message": "Incorrect API key provided: sk-ab***yz", "code": "invalid_api_key" } });
        let said = classify(&answer(401, &[], b""), Some(&body)).to_string();
        assert!(!said.contains("sk-"), "{said}");
        let said = classify(&answer(403, &[], b"<p>key sk-ab***yz may not</p>"), None).to_string();
        assert!(!said.contains("sk-"), "{said}");
    }

    #[test]
    fn keeps_the_beginning_of_a_page() {
        let said = |body| rejected(classify(&answer(500, &[], body), None)).1;
        assert_eq!(said(b"<html>\r\n  <h1>Oh\tno</h1></html>"), "HTTP 500 <html> <h1>Oh no</h1></html>");
        assert_eq!(said(b""), "HTTP 500");
        let long: &'static [u8] = Box::leak(vec![b'x'; 100_000].into_boxed_slice());
        assert_eq!(said(long).len(), "HTTP 500 ".len() + super::KEPT_OF_A_PAGE);
    }

    proptest! {
        #[test]
        fn takes_any_body(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let value: Option<Value> = serde_json::from_slice(&body).ok();
            let whole = Answer { status, headers: HeaderMap::new(), body: body.into() };
            let _ = classify(&whole, value.as_ref());
        }
    }
}
