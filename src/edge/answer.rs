//! What a caller is answered, and by which name it is counted.
//!
//! Never a 5xx: HighLevel takes any answer but 429 for final, others disable an endpoint that gives too many.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::json;

use crate::domain::reason::Reason;

/// An answer, ready to be written.
pub(super) type Reply = Response<Full<Bytes>>;

/// When to come again: the queue is in trouble.
const TROUBLE: Duration = Duration::from_secs(10);
/// When to come again: there is just too much at once.
const MOMENT: Duration = Duration::from_secs(1);

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// No such source, or no such path.
    UnknownSource,
    /// A method that the vendor does not use.
    Method,
    /// A body that is larger than the source allows, or than one message can carry.
    TooLarge,
    /// The body did not arrive in time.
    SlowBody,
    /// The connection broke inside the body.
    BrokenBody,
    /// A header that must be kept holds bytes that are no text.
    HeaderNotText,
    /// The URL is longer than an envelope may tell.
    LongUrl,
    /// The source's rate.
    RateLimited,
    /// Too many requests, or too many bytes, at once.
    Busy,
    /// No key to seal with.
    NoSeal,
    /// The queue did not take it, for now.
    QueueUnavailable,
    /// The queue will never take it.
    Unsendable,
    /// `verify_at_edge`: the signature does not hold.
    Signature(Reason),
    /// A handshake with a wrong token, a wrong topic or a wrong address.
    Handshake,
    /// What a handshake needs is not there, for now.
    HandshakeLater,
}

impl Why {
    /// The name in metrics, logs and answers.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown_source",
            Self::Method => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::SlowBody => "body_timeout",
            Self::BrokenBody => "body_broken",
            Self::HeaderNotText => "header_not_text",
            Self::LongUrl => "url_too_long",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::NoSeal => "no_seal_key",
            Self::QueueUnavailable => "queue_unavailable",
            Self::Unsendable => "unsendable",
            Self::Signature(reason) => reason.code(),
            Self::Handshake => "handshake_refused",
            Self::HandshakeLater => "handshake_unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::BrokenBody | Self::HeaderNotText | Self::Unsendable => StatusCode::BAD_REQUEST,
            Self::LongUrl => StatusCode::URI_TOO_LONG,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::Handshake => StatusCode::FORBIDDEN,
            Self::RateLimited | Self::Busy | Self::NoSeal | Self::QueueUnavailable | Self::HandshakeLater => {
                StatusCode::TOO_MANY_REQUESTS
            }
        }
    }

    fn wait(self) -> Option<Duration> {
        match self {
            Self::RateLimited | Self::Busy => Some(MOMENT),
            Self::NoSeal | Self::QueueUnavailable | Self::HandshakeLater => Some(TROUBLE),
            _ => None,
        }
    }
}

/// A request that is not taken. Detail and answer name places, never values.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) detail: String,
    wait: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(why: Why, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into(), wait: why.wait() }
    }

    /// Not before this time has passed.
    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// As the caller sees it.
    pub(super) fn reply(&self) -> Reply {
        // Why a signature fails is for the log: a forger need not know.
        let detail = if matches!(self.why, Why::Signature(_)) { "" } else { &self.detail };
        let text = json!({ "error": self.why.code(), "detail": detail }).to_string();
        let mut reply = reply(self.why.status(), "application/json", text);
        if let Some(wait) = self.wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.why == Why::Method {
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        reply
    }
}

/// 200 and nothing else: what most vendors want.
pub(super) fn taken() -> Reply {
    Response::new(Full::default())
}

/// 200 with a text.
pub(super) fn told(content_type: &'static str, text: String) -> Reply {
    reply(StatusCode::OK, content_type, text)
}

fn reply(status: StatusCode, content_type: &'static str, text: String) -> Reply {
    let mut reply = Response::new(Full::from(text));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // A challenge is the caller's own text: no browser may take it for a page.
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    reply
}
