//! What the handlers ask of a model, and what a provider must be able to do.
//!
//! Handlers ask through `gateway::Gateway`:
//! `async fn ask(&self, context: &StepContext, question: &Question) -> Result<Answered, Failure>`.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
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
    /// Who pays; may have a route of its own.
    pub tenant: TenantId,
    /// Sent along, so that a call can be found at the provider.
    pub correlation_id: CorrelationId,
    /// Who waits for the answer of a chat: goes into the ledger rows.
    pub person: Option<Person>,
}

/// Who waits for the answer of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Hashed user.
    pub user: Option<String>,
    /// Which specialist answers.
    pub specialist: Option<String>,
}

/// One question to a model: made of a prompt, see `prompts`.
#[derive(Clone, Debug)]
pub struct Question {
    /// The step within the event: with the input it makes what must not be bought twice.
    pub step: String,
    /// The prompt behind it.
    pub prompt: PromptRef,
    /// The system text.
    pub system: String,
    /// The conversation: ends with what the person or the event says.
    pub turns: Vec<Turn>,
    /// What the answer must look like.
    pub answer: AnswerShape,
    /// Output cap of one call in tokens, reasoning included.
    pub max_output: u32,
    /// How it is asked.
    pub policy: Policy,
    /// Sets an order for a new answer apart from the earlier one: enters the step's hash, so that nothing stored is
    /// used.
    pub nonce: Option<String>,
    /// Gets the answer piece by piece while it is made.
    pub pieces: Option<Pieces>,
}

/// Which prompt, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PromptRef {
    /// `message_reading` ...
    pub id: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file, hex.
    pub hash: String,
}

/// `id@version`.
impl fmt::Display for PromptRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}

/// What a prompt says about how it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The route that it wants; where it is not configured, or the tenant has one of its own, that one counts.
    pub route: Option<String>,
    /// For how long an answer may be used for an equal question of the same tenant.
    pub cache: Option<Duration>,
    /// What happens when a budget does not allow the call.
    pub over_budget: OverBudget,
    /// What happens when the whole route is down.
    pub when_down: WhenDown,
    /// Further turns that may be bought when the output cap cuts a text.
    pub continuations: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            route: None,
            cache: None,
            over_budget: OverBudget::Wait,
            when_down: WhenDown::Wait,
            continuations: 0,
        }
    }
}

/// What happens when a budget does not allow the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverBudget {
    /// The event waits for the reset.
    #[default]
    Wait,
    /// The next of the route is tried, as long as it costs less; then the event waits.
    Cheaper,
    /// The rules answer.
    Rules,
}

/// What happens when every model of the route is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenDown {
    /// The event waits.
    #[default]
    Wait,
    /// The rules answer.
    Rules,
}

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerShape {
    /// Any text.
    Text,
    /// JSON of a schema: an object, `additionalProperties: false`, every property required.
    Json {
        /// Names the schema to the provider: letters, digits, `_` and `-` only.
        name: String,
        /// The schema.
        schema: Value,
    },
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

impl Turn {
    /// What the person or the event says.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, text: text.into() }
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self { role: Role::Assistant, text: text.into() }
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person or the event.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// Takes the pieces of a streamed answer as they come. Must not block. An empty piece says that an attempt begins:
/// what came of an earlier one is void.
#[derive(Clone)]
pub struct Pieces(pub Arc<dyn Fn(&str) + Send + Sync>);

impl Pieces {
    /// For the gateway, once for each attempt that begins the answer anew (not for a continuation): says so, and
    /// answers what the provider is to fill. Providers may hand on empty pieces; they mean nothing there.
    #[must_use]
    pub fn begin(&self) -> Self {
        (self.0)("");
        let inner = Arc::clone(&self.0);
        Self(Arc::new(move |piece| {
            if !piece.is_empty() {
                inner(piece);
            }
        }))
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pieces")
    }
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The answer: a value that keeps its schema, or the text.
    pub value: Value,
    /// The provider's kind: `openai`, `rules` ...
    pub provider: String,
    /// The model asked.
    pub model: String,
    /// The prompt behind it.
    pub prompt: PromptRef,
    /// 0 to 1: what the checks made here say: less for a repair, a continuation, a fallback.
    pub quality: f64,
    /// A text that did not end within the turns allowed.
    pub truncated: bool,
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

/// How one model of the configuration is doing, as this process sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelHealth {
    /// Its name in the settings.
    pub name: String,
    /// The provider's kind.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Is it asked?
    pub state: ModelState,
    /// Until when not, in seconds from now.
    pub opens_in_seconds: Option<u64>,
    /// Why not, for operators.
    pub why: Option<String>,
    /// Calls at once that are allowed now.
    pub concurrency: u32,
}

/// Is a model asked?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// Yes.
    Up,
    /// No: it failed too often, has no credit, or refuses our key.
    Down,
    /// By a single call, which decides.
    Probing,
}

/// Vectors of length 1 that were bought or found in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The model that made them: those of different models cannot be compared.
    pub model: String,
    /// One for each text.
    pub vectors: Vec<Vec<f32>>,
}
