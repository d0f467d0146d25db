//! One call on the wire: what is asked of a provider, and what comes of it.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    domain::{
        ids::CorrelationId,
        usage::{Usage, UsageSource},
    },
    llm::contract::{AnswerShape, Pieces, Turn},
};

/// One call on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// The model asked.
    pub model: String,
    /// The system text.
    pub system: String,
    /// The conversation, a user's turn first and last.
    pub turns: Vec<Turn>,
    /// What the answer must look like.
    pub answer: AnswerShape,
    /// Output cap in tokens, reasoning included.
    pub max_output: u32,
    /// Sent only where set.
    pub temperature: Option<f64>,
    /// How hard the model thinks, in the provider's word; sent only where set.
    pub reasoning_effort: Option<String>,
    /// The tier asked for, in the provider's word; sent only where set.
    pub service_tier: Option<String>,
    /// `Some`: streamed, each piece of the answer's text handed on as it comes.
    pub stream: Option<Pieces>,
    /// Follows the call outside.
    pub correlation_id: CorrelationId,
    /// The whole call, connecting included; of a stream until its first piece.
    pub timeout: Duration,
    /// Longest silence within a stream.
    pub idle_timeout: Duration,
}

/// A provider's answer: billed, whatever its finish.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The text; empty where there is none.
    pub text: String,
    /// Why the model stopped. To be looked at before the text.
    pub finish: Finish,
    /// The model that answered, where the provider says so.
    pub served_model: Option<String>,
    /// The tier that answered, where the provider says so.
    pub served_tier: Option<String>,
    /// Tokens, in normal form.
    pub usage: Usage,
    /// Where the counts come from.
    pub usage_source: UsageSource,
    /// The provider's id of the request.
    pub request_id: Option<String>,
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It had said everything.
    Complete,
    /// The output cap cut it off: invalid JSON by nature, never worth a repair.
    Truncated,
    /// The context window was full: a larger cap does not help.
    ContextFull,
    /// The model declined; its words, or the provider's category.
    Refused(String),
    /// A content filter stopped it.
    Blocked,
    /// It broke down in a way that one more question may mend: malformed call, failed generation.
    Misbehaved(String),
    /// Anything else, by the provider's word. Never a success.
    Unknown(String),
}

/// Why there is no completion.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// Certainly never reached the provider: nothing was billed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The key cannot be read: nothing was sent.
    #[error("{0}")]
    NoKey(String),
    /// Written, and no answer that says what came of it, or one that cannot be read: maybe billed.
    #[error("no answer: {0}")]
    Unknown(String),
    /// A stream that broke off, also a cleanly cut one: what came is billed. The completion holds the text so far and
    /// its counts, estimated where the provider had not told them yet.
    #[error("the stream broke off: {detail}")]
    Interrupted {
        /// How.
        detail: String,
        /// What came until then.
        partial: Box<Completion>,
    },
    /// Answered with an error: nothing was generated, nothing billed.
    #[error("{detail}")]
    Rejected {
        /// What kind of no.
        class: Rejection,
        /// Status, code and the beginning of the message; no headers, no key.
        detail: String,
        /// The provider's own wait hint.
        wait: Option<Duration>,
    },
}

/// Kinds of error answers, told apart by the code first and the status second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Likely to pass: 408, 409, 424, 500, 502, 504.
    Transient,
    /// The provider has too much to do (503, 529): likely to pass, after a longer wait.
    Overloaded,
    /// Likely to pass, but the provider asks not to repeat the call at once (`x-should-retry: false`).
    NotAgain,
    /// Too fast: requests or tokens of this minute.
    RateLimited,
    /// Too fast, and the provider asks not to repeat the call at once (`x-should-retry: false`): the event waits.
    NotNow,
    /// The quota of the day: not within this event's patience.
    QuotaSpent,
    /// Credit, spend or usage limit: waiting minutes does not help, asking again never does.
    OutOfMoney,
    /// The key is wrong, or may not do this.
    Auth,
    /// A content filter refused the question.
    Blocked,
    /// The question is longer than the model's window: a larger one may do.
    ContextOverflow,
    /// The model is not there, or not for us: another one may do.
    NoSuchModel,
    /// The question itself is wrong: bad parameter, too large.
    Permanent,
}

/// Texts whose vectors are wanted.
#[derive(Clone, Debug)]
pub struct EmbedRequest {
    /// The model asked.
    pub model: String,
    /// The texts.
    pub texts: Vec<String>,
    /// Follows the call outside.
    pub correlation_id: CorrelationId,
    /// The whole call.
    pub timeout: Duration,
}

/// Vectors of texts, in their order: billed.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One for each text, all of one length, as the provider gave them.
    pub vectors: Vec<Vec<f32>>,
    /// The model that answered, where the provider says so.
    pub served_model: Option<String>,
    /// Tokens: input only.
    pub usage: Usage,
    /// Where the counts come from.
    pub usage_source: UsageSource,
    /// The provider's id of the request.
    pub request_id: Option<String>,
}

/// One LLM provider: the wire, and nothing else. No retries inside.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// One call, one attempt, plain or streamed. Both prove that the answer is whole.
    async fn complete(&self, request: &Request) -> Result<Completion, CallError>;

    /// One call for vectors.
    async fn embed(&self, request: &EmbedRequest) -> Result<Embedded, CallError> {
        let detail = format!("`{}` makes no vectors: its provider has no such call here", request.model);
        Err(CallError::Rejected { class: Rejection::Permanent, detail, wait: None })
    }
}
