//! What the stand-in does instead of answering well, and when.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// Who is stood in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The WhatsApp Cloud API.
    Whatsapp,
    /// A model behind OpenAI's chat completions.
    Llm,
}

/// Something other than a plain good answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An answer with this status and body, nothing done and nothing billed.
    Answer {
        /// HTTP status.
        status: u16,
        /// Header fields.
        headers: Vec<(&'static str, String)>,
        /// The body as it is; JSON where it begins with a brace.
        body: String,
    },
    /// WhatsApp: this error code, with the status that it comes with.
    Code(i64),
    /// Read, not done, not billed, and the connection cut.
    CutBefore,
    /// Read, done and billed, and the connection cut instead of an answer.
    CutAfter,
    /// Done and billed at once, answered this much later.
    Slow(Duration),
    /// Done and billed at once, answered when the gate opens.
    Hold(Gate),
    /// Model: declines, in the field made for it.
    Refuse,
    /// Model: stopped by a content filter.
    Filter,
    /// Model: an answer that breaks any schema.
    BadJson,
    /// Model: cut off by the output cap.
    Truncate,
    /// Model: a finish reason that nobody knows.
    OddFinish,
    /// Model: a good answer that does not say what it used.
    NoUsage,
    /// Model: a streamed answer that ends too early; a plain one is not touched by it. What was said is billed.
    Cut(Cut),
    /// The fault for so many requests of a thousand, chosen by the seed; for the others the next script counts.
    Share {
        /// Of a thousand.
        per_mille: u32,
        /// The same seed chooses the same places in the order of requests.
        seed: u64,
        /// What happens to those.
        fault: Box<Fault>,
    },
}

/// How a streamed answer ends too early. Only the connection of a torn one shows it; all others end as a body should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After so many pieces of text: no finish reason, no counts, no `[DONE]`.
    After(usize),
    /// After finish reason and counts: only `[DONE]` is missing.
    BeforeDone,
    /// After so many pieces the connection is gone.
    Torn(usize),
    /// After so many pieces an error event, as of a server that broke down.
    Error(usize),
}

impl Cut {
    /// Pieces of text that are said before it.
    pub(crate) fn pieces(self) -> usize {
        match self {
            Self::After(pieces) | Self::Torn(pieces) | Self::Error(pieces) => pieces,
            Self::BeforeDone => usize::MAX,
        }
    }
}

/// Holds answers back until opened.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets everything through, now and later.
    pub fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn passed(&self) {
        // A closed semaphore is the open gate.
        let _ = self.0.acquire().await;
    }
}

/// A fault for requests whose body contains a text.
#[derive(Clone, Debug)]
pub struct Script {
    /// Of which service.
    pub service: Service,
    /// In the request's body; empty for every request.
    pub contains: String,
    /// What happens.
    pub fault: Fault,
    /// How often; then the next script, or a good answer.
    pub times: u32,
}

/// A rate limit as OpenAI answers it.
#[must_use]
pub fn rate_limit(retry_after: &str) -> Fault {
    Fault::Answer {
        status: 429,
        headers: vec![("retry-after", retry_after.to_owned())],
        body: error("Rate limit reached for requests", "requests", "rate_limit_exceeded"),
    }
}

/// A model's answer for an account without credit.
#[must_use]
pub fn out_of_money() -> Fault {
    Fault::Answer {
        status: 429,
        headers: vec![("x-should-retry", "false".to_owned())],
        body: error("You exceeded your current quota", "insufficient_quota", "credit_balance_exhausted"),
    }
}

/// A model's own failure.
#[must_use]
pub fn server_error() -> Fault {
    let body = error("The server had an error while processing your request", "server_error", "");
    Fault::Answer { status: 500, headers: Vec::new(), body }
}

/// A model that has too much to do, with the status that Anthropic made common.
#[must_use]
pub fn overloaded() -> Fault {
    Fault::Answer { status: 529, headers: Vec::new(), body: error("Overloaded", "overloaded_error", "") }
}

/// A question longer than the model's window.
#[must_use]
pub fn too_long() -> Fault {
    let body = error(
        "This model's maximum context length is exceeded",
        "invalid_request_error",
        "context_length_exceeded",
    );
    Fault::Answer { status: 400, headers: Vec::new(), body }
}

/// OpenAI's error body; an empty code is null there.
pub(crate) fn error(message: &str, kind: &str, code: &str) -> String {
    let code = Some(code).filter(|code| !code.is_empty());
    serde_json::json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
        .to_string()
}
