//! Tells Gemini's errors apart: by their status word and their details first, by the HTTP status second.

use std::time::Duration;

use serde_json::Value;

use crate::{
    http::Answer,
    llm::{
        vendors::{
            by_status::{heeding, of_status},
            exchange::is_from_a_gateway,
            gemini_answer::word,
        },
        wire::{CallError, Rejection},
    },
    retry::RetryHints,
};

/// Longest piece of a provider's message that is kept, in characters.
const KEPT: usize = 200;
/// Longer than any wait that makes sense.
const LONGEST_WAIT: Duration = Duration::from_secs(31 * 24 * 3600);

/// The body of a success.
///
/// # Errors
/// What anything else means.
pub(crate) fn checked(answer: &Answer, body: Option<Value>) -> Result<Value, CallError> {
    let success = (200..=299).contains(&answer.status);
    match body {
        Some(body) if success && error(&body).is_none() => Ok(body),
        None if success => Err(CallError::Unknown(format!("HTTP {} without JSON", answer.status))),
        body => Err(classify(answer, body.as_ref())),
    }
}

/// An error in an event of a stream.
pub(crate) fn in_stream(event: &Value) -> Option<CallError> {
    let error = error(event)?;
    // The HTTP status has been 200 already; the error tells what it would have been.
    let status = error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(200);
    let class = class(status, error);
    let detail = detail("in the stream:", class, error);
    Some(CallError::Rejected { class, detail, wait: retry_delay(error) })
}

fn classify(answer: &Answer, body: Option<&Value>) -> CallError {
    let told = body.and_then(error);
    if told.is_none() && is_from_a_gateway(answer.status) {
        let detail = format!("HTTP {} from a gateway, without a word of the provider", answer.status);
        return CallError::Unknown(detail);
    }
    let told = told.unwrap_or(&Value::Null);
    let hints = RetryHints::read(|name| answer.header(name));
    let class = heeding(hints.should_retry, class(answer.status, told));
    let detail = detail(&format!("HTTP {}", answer.status), class, told);
    CallError::Rejected { class, detail, wait: hints.wait.max(retry_delay(told)) }
}

/// `{"error": {..}}`, for streams as the one element of a list.
fn error(body: &Value) -> Option<&Value> {
    let body = if body.is_array() { &body[0] } else { body };
    Some(&body["error"]).filter(|error| error.is_object())
}

fn class(status: u16, error: &Value) -> Rejection {
    let reason = details(error, "ErrorInfo").find_map(|info| word(&info["reason"])).unwrap_or_default();
    match error["status"].as_str() {
        _ if reason == "BILLING_DISABLED" => Rejection::OutOfMoney,
        _ if reason.starts_with("API_KEY_") => Rejection::Auth,
        // The balance that was paid for in advance is used up.
        Some("RESOURCE_EXHAUSTED") if status == 402 => Rejection::OutOfMoney,
        Some("RESOURCE_EXHAUSTED") if for_today(error) => Rejection::QuotaSpent,
        Some("RESOURCE_EXHAUSTED") => Rejection::RateLimited,
        // The precondition is the account's: its region, its billing.
        Some("UNAUTHENTICATED" | "PERMISSION_DENIED" | "FAILED_PRECONDITION") => Rejection::Auth,
        Some("NOT_FOUND") => Rejection::NoSuchModel,
        Some("UNAVAILABLE") => Rejection::Overloaded,
        Some("INTERNAL" | "DEADLINE_EXCEEDED" | "ABORTED" | "CANCELLED" | "UNKNOWN") => Rejection::Transient,
        Some("INVALID_ARGUMENT") if is_too_long(error) => Rejection::ContextOverflow,
        // Under another status the word is a slip of somebody between: a server that is down is not our fault.
        Some("INVALID_ARGUMENT" | "OUT_OF_RANGE" | "UNIMPLEMENTED") if matches!(status, 200..=400) => {
            Rejection::Permanent
        }
        _ => of_status(status),
    }
}

/// A quota of the day, or one of nothing at all, as those have that have no plan for this model.
fn for_today(error: &Value) -> bool {
    let mut violations = details(error, "QuotaFailure")
        .flat_map(|failure| failure["violations"].as_array().into_iter().flatten());
    violations.any(|violation| {
        let id = [&violation["quotaId"], &violation["quotaMetric"]].into_iter().filter_map(word);
        let per_day =
            id.map(|id| id.to_lowercase()).any(|id| id.contains("perday") || id.contains("per_day"));
        per_day || violation["quotaValue"] == "0"
    })
}

/// There is no other sign of it.
fn is_too_long(error: &Value) -> bool {
    error["message"].as_str().is_some_and(|message| {
        message.contains("exceeds the maximum number of tokens") || message.contains("input token count")
    })
}

fn details<'a>(error: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    let all = error["details"].as_array().into_iter().flatten();
    all.filter(move |detail| {
        detail["@type"].as_str().is_some_and(|name| name.rsplit('.').next() == Some(kind))
    })
}

/// `RetryInfo.retryDelay`: seconds with fractions and an `s`. A client that reads whole seconds only loses it.
fn retry_delay(error: &Value) -> Option<Duration> {
    details(error, "RetryInfo").find_map(|info| duration(info["retryDelay"].as_str()?))
}

fn duration(text: &str) -> Option<Duration> {
    let seconds = text.trim().strip_suffix('s')?;
    let plain = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = seconds.parse().ok().filter(|_| plain)?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST_WAIT))
}

/// Messages about keys may repeat parts of them: left out.
fn detail(begin: &str, class: Rejection, error: &Value) -> String {
    let mut words = vec![begin.to_owned()];
    words.extend(word(&error["status"]));
    words.extend(details(error, "ErrorInfo").filter_map(|info| word(&info["reason"])));
    if class != Rejection::Auth
        && let Some(message) = error["message"].as_str()
    {
        words.push(message.chars().take(KEPT).collect());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::duration;

    #[test]
    fn reads_durations_as_protobuf_writes_them() {
        assert_eq!(duration("3.5s"), Some(Duration::from_millis(3500)));
        assert_eq!(duration("45.837906927s"), Some(Duration::from_nanos(45_837_906_927)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for bad in ["", "s", "3.5", "-1s", "1m", "infs", "1e9s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn reads_any_text_without_a_panic(text in "\\PC{0,20}", digits in "[0-9.]{0,30}s") {
            let _ = duration(&text);
            prop_assert!(duration(&digits).unwrap_or_default() <= super::LONGEST_WAIT);
        }
    }
}
