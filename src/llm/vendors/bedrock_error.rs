//! Tells Bedrock's errors apart: by the name of the exception first, by the status second.

use std::{error::Error, fmt::Debug};

use aws_sdk_bedrockruntime::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::error::ConverseStreamOutputError as Exception,
};

use crate::{
    llm::{
        vendors::{
            by_status::{heeding, of_status},
            exchange::is_from_a_gateway,
        },
        wire::{CallError, Rejection},
    },
    retry::RetryHints,
};

/// Longest piece of a message that is kept, in characters.
const KEPT: usize = 300;
/// A bad question has one name for all that is wrong with it: these words tell a long one, and a wrong model.
const TOO_LONG: &[&str] =
    &["input is too long", "prompt is too long", "exceed context limit", "maximum context length"];
const NO_MODEL: &[&str] = &["model identifier is invalid", "on-demand throughput isn"];

/// What a call without an answer means. `handed_over`: the connection took the request, see `bedrock_handover`. A
/// refused or reset connection, a time-out and a broken answer look alike in the SDK's errors; that tells them apart.
pub(crate) fn of_call<E>(error: &SdkError<E, HttpResponse>, handed_over: bool) -> CallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(told) => answered(told.err(), told.raw()),
        SdkError::ResponseError(told) if told.raw().status().is_server_error() => unread(told.raw()),
        _ if handed_over => CallError::Unknown(words(error)),
        _ => {
            let words = words(error);
            // Credentials are looked for before anything is sent.
            if words.contains("credential") { CallError::NoKey(words) } else { CallError::NotSent(words) }
        }
    }
}

/// An exception in the middle of a stream, or a stream that cannot be read on.
pub(crate) fn in_stream<R: Debug + 'static>(error: &SdkError<Exception, R>) -> CallError {
    let Some(told) = error.as_service_error() else { return CallError::Unknown(words(error)) };
    // Within a stream the SDK knows the kind, but leaves the code empty (1.153).
    let code = match told {
        Exception::InternalServerException(_) => "InternalServerException",
        Exception::ModelStreamErrorException(_) => "ModelStreamErrorException",
        Exception::ValidationException(_) => "ValidationException",
        Exception::ThrottlingException(_) => "ThrottlingException",
        Exception::ServiceUnavailableException(_) => "ServiceUnavailableException",
        other => other.code().unwrap_or_default(),
    };
    let message = told.message().unwrap_or_default();
    let class = class(code, message).unwrap_or(Rejection::Transient);
    CallError::Rejected { class, detail: detail("in the stream:", class, code, message), wait: None }
}

fn answered(error: &impl ProvideErrorMetadata, raw: &HttpResponse) -> CallError {
    let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    let status = raw.status().as_u16();
    // The SDK says so of a success that it cannot read: it was generated, and billed.
    if raw.status().is_success() {
        return CallError::Unknown(format!("HTTP {status} that cannot be read"));
    }
    if code.is_empty() && is_from_a_gateway(status) {
        return unread(raw);
    }
    let hints = RetryHints::read(|name| raw.headers().get(name));
    let class = heeding(hints.should_retry, class(code, message).unwrap_or_else(|| of_status(status)));
    let detail = detail(&format!("HTTP {status}"), class, code, message);
    CallError::Rejected { class, detail, wait: hints.wait }
}

/// A server error that is none of Bedrock's own: what happened behind it is not known where a gateway gave up.
fn unread(raw: &HttpResponse) -> CallError {
    let status = raw.status().as_u16();
    let detail = format!("HTTP {status} without a word of the provider");
    if is_from_a_gateway(status) {
        return CallError::Unknown(detail);
    }
    CallError::Rejected {
        class: of_status(status),
        detail,
        wait: RetryHints::read(|name| raw.headers().get(name)).wait,
    }
}

fn class(code: &str, message: &str) -> Option<Rejection> {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    Some(match code {
        // "Too many tokens" is about the minute or the day, never about the window.
        "ThrottlingException" | "TooManyRequestsException" if message.contains("per day") => {
            Rejection::QuotaSpent
        }
        "ThrottlingException" | "TooManyRequestsException" => Rejection::RateLimited,
        "ServiceQuotaExceededException" => Rejection::QuotaSpent,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "UnauthorizedException" => Rejection::Auth,
        "ResourceNotFoundException" => Rejection::NoSuchModel,
        // 429 as well, but nobody was too fast: the model is being loaded.
        "ModelNotReadyException"
        | "ModelTimeoutException"
        | "ModelErrorException"
        | "ModelStreamErrorException"
        | "InternalServerException"
        | "ConflictException" => Rejection::Transient,
        "ServiceUnavailableException" | "overloaded_error" => Rejection::Overloaded,
        "ValidationException" if says(TOO_LONG) => Rejection::ContextOverflow,
        "ValidationException" if says(NO_MODEL) => Rejection::NoSuchModel,
        "ValidationException" => Rejection::Permanent,
        _ => return None,
    })
}

/// Messages about keys may repeat parts of them: left out.
fn detail(begin: &str, class: Rejection, code: &str, message: &str) -> String {
    let message = if class == Rejection::Auth { String::new() } else { message.chars().take(KEPT).collect() };
    let words = [begin, code, &message].into_iter().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The chain of causes. Not the SDK's own long form: that one shows whole answers.
fn words(error: &(impl Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.chars().take(KEPT).collect()
}
