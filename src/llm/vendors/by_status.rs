//! What every provider means by an HTTP status, where its own words say nothing, and by `x-should-retry`.

use crate::llm::wire::Rejection;

/// By the status alone.
pub(crate) fn of_status(status: u16) -> Rejection {
    match status {
        401 | 403 => Rejection::Auth,
        402 => Rejection::OutOfMoney,
        404 => Rejection::NoSuchModel,
        429 => Rejection::RateLimited,
        503 | 529 => Rejection::Overloaded,
        // 200: an error in a success answer, of a kind that is not known.
        200..=299 | 408 | 409 | 424 | 499.. => Rejection::Transient,
        _ => Rejection::Permanent,
    }
}

/// The provider's word on repeating stands over what its error is called (anthropic-sdk-python 0.121, openai-python 3.3).
pub(crate) fn heeding(should_retry: Option<bool>, class: Rejection) -> Rejection {
    match (class, should_retry) {
        (Rejection::Transient | Rejection::Overloaded, Some(false)) => Rejection::NotAgain,
        (Rejection::RateLimited, Some(false)) => Rejection::NotNow,
        (Rejection::Permanent, Some(true)) => Rejection::Transient,
        (class, _) => class,
    }
}
