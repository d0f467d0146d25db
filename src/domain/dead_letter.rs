//! What could not be processed, kept whole with its reason.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    delivery::{Attribute, Delivery},
    ids::EventKey,
    reason::Reason,
    timestamp::Timestamp,
};

/// A delivery that never became an event, or one item of it: buried by the hash of body and attributes.
#[derive(Clone, Debug)]
pub struct DeadDelivery {
    /// Content hash, with `#n` behind it for the n-th item of a body.
    pub id: String,
    /// The configured sender, where it is known.
    pub source: Option<String>,
    /// Why.
    pub reason: Reason,
    /// For operators.
    pub detail: String,
    /// The whole message body.
    pub body: String,
    /// Its attributes, as [`attributes_to_json`] writes them.
    pub attributes: Value,
    /// The bad item alone, where the body held several.
    pub item: Option<Value>,
}

/// Attributes as JSON: `{"name": {"text": "..."}}` or `{"name": {"binary": "<hex>"}}`.
#[must_use]
pub fn attributes_to_json(delivery: &Delivery) -> Value {
    let value = |attribute: &Attribute| match attribute {
        Attribute::Text(text) => serde_json::json!({ "text": text }),
        Attribute::Binary(bytes) => serde_json::json!({ "binary": hex::encode(bytes) }),
    };
    delivery
        .attributes
        .iter()
        .map(|(name, a)| (name.clone(), value(a)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterState {
    /// Waits for somebody.
    Open,
    /// Given a fresh start.
    Replayed,
    /// Its content is gone by order of a person: it cannot be replayed.
    Erased,
}

/// What stands in place of an erased content.
pub const ERASED: &str = "erased by order";

impl DeadLetterState {
    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Replayed, Self::Erased].into_iter().find(|state| state.name() == name)
    }

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Erased => "erased",
        }
    }
}

/// What a dead letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterKind {
    /// An event; replay opens a new revision.
    Event,
    /// A message that never became an event; replay puts it back on the queue.
    Delivery,
    /// A refused command; replay repeats only the command.
    Command,
}

impl DeadLetterKind {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Delivery => "delivery",
            Self::Command => "command",
        }
    }
}

/// A dead letter as the store keeps it.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    /// `KEY@revision`, a content hash, or a command id.
    pub id: String,
    /// What it is about.
    pub kind: DeadLetterKind,
    /// Where it stands.
    pub state: DeadLetterState,
    /// The configured sender, where it is known.
    pub source: Option<String>,
    /// The event, where there is one.
    pub event_key: Option<EventKey>,
    /// Why.
    pub reason: Reason,
    /// For operators.
    pub detail: String,
    /// How often it was buried.
    pub seen: i32,
    /// First time.
    pub first_at: Timestamp,
    /// Last time.
    pub last_at: Timestamp,
    /// The whole body: an event as JSON, a message body, or a command as JSON.
    pub body: String,
    /// Attributes of the message, as [`attributes_to_json`] writes them.
    pub attributes: Value,
    /// The bad item, or the model's raw text.
    pub extra: Option<Value>,
}

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// Only these ids.
    pub ids: Vec<String>,
    /// Only this reason.
    pub reason: Option<Reason>,
    /// Only this source.
    pub source: Option<String>,
    /// Replayed ones too.
    pub closed: bool,
    /// At most so many, newest first.
    pub limit: i64,
}
