//! What the handlers ask of a model, and what a provider must be able to do.
//!
//! Handlers ask through `gateway::Gateway`:
//! `async fn ask(&self, context: &StepContext, question: &Question) -> Result<Answered, Failure>`.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::{
    ids::{CorrelationId, TenantId},
    outcome::Held,
    usage::{Usage, UsageSource},
};

/// For whom and under which claim a step asks.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// The claim under which the event is worked.
    pub held: Held,
    /// Who pays; decides the provider.
    pub tenant: TenantId,
    /// Sent along, so that a call can be found at the provider.
    pub correlation_id: CorrelationId,
}

/// One question to a model, with the shape that its answer must have.
#[derive(Clone, Debug)]
pub struct Question {
    /// The step within the event: with the input it makes what must not be bought twice.
    pub step: &'static str,
    /// Name and version of the prompt.
    pub prompt: &'static str,
    /// The system text.
    pub system: String,
    /// What the person or the event says.
    pub input: String,
    /// JSON schema of the answer: an object, `additionalProperties: false`, every property required.
    pub schema: Value,
    /// Output cap in tokens, reasoning included.
    pub max_output: u32,
}

/// An answer that keeps its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The answer.
    pub value: Value,
    /// `openai`, `rules` ...
    pub provider: String,
    /// The model asked.
    pub model: String,
    /// Ledger ids of the calls behind it, in the order in which they were made.
    pub calls: Vec<String>,
}

/// One call on the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// The model asked.
    pub model: String,
    /// The system text.
    pub system: String,
    /// What the person or the event says.
    pub input: String,
    /// Names the schema to the provider: letters, digits, `_` and `-` only.
    pub schema_name: &'static str,
    /// The shape of the answer.
    pub schema: Value,
    /// Output cap in tokens, reasoning included.
    pub max_output: u32,
    /// Set when an earlier answer broke the schema.
    pub repair: Option<Repair>,
    /// Follows the call outside.
    pub correlation_id: CorrelationId,
    /// The whole call, connecting included.
    pub timeout: Duration,
}

/// What was wrong with an earlier answer.
#[derive(Clone, Debug)]
pub struct Repair {
    /// The answer as it came.
    pub answer: String,
    /// The first violations, in words.
    pub problem: String,
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
    /// The model declined; its words.
    Refused(String),
    /// A content filter stopped it.
    Blocked,
    /// Anything else, by the provider's word. Never a success.
    Unknown(String),
}

/// Why there is no completion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Likely to pass.
    Transient,
    /// Likely to pass, but the provider asks not to repeat the call at once.
    NotAgain,
    /// Too fast.
    RateLimited,
    /// Credit, spend or usage limit: waiting minutes does not help, asking again never does.
    OutOfMoney,
    /// The key is wrong, or may not do this.
    Auth,
    /// A content filter refused the question.
    Blocked,
    /// The question itself is wrong: unknown model, too long, bad parameter.
    Permanent,
}

/// One LLM provider.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// One call, one attempt: no retries inside.
    async fn complete(&self, request: &Request) -> Result<Completion, CallError>;
}
