//! What the handlers ask of a model, and what they get.
//!
//! Handlers ask through `gateway::Gateway`:
//! `async fn ask(&self, context: &StepContext, question: &Question) -> Result<Answered, Failure>`.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    ids::{CorrelationId, TenantId},
    outcome::Held,
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
