//! Rows that a handler asks for. The store alone decides how they are written.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    data_subject::DataSubject,
    event::{Channel, DeliveryState},
    ids::{EventKey, SourceName, TenantId},
    money::Money,
    timestamp::Timestamp,
    usage::{Usage, UsageSource},
};

/// One row, or one change of a row.
#[derive(Clone, Debug)]
pub enum Write {
    /// Properties of a contact, each with its own version: older never overwrites newer.
    Contact(ContactWrite),
    /// The state of a conversation; older never overwrites newer.
    Conversation(ConversationWrite),
    /// A message received; an id that is there already is left as it is.
    Message(MessageWrite),
    /// The answer of a model, kept with what it cost.
    Result(ResultWrite),
    /// A text with its vector.
    Embedding(EmbeddingWrite),
    /// How far a sent message got; never moves back.
    DeliveryStatus(StatusWrite),
    /// Usage reported by another system: exactly one ledger row for each event.
    Ledger(Box<LedgerRow>),
    /// Erases what is held about a person or a record; comes after all other rows of its transaction.
    Erase(EraseWrite),
}

/// Property that says whether a contact is gone, versioned like any other.
pub const DELETED: &str = "$deleted";
/// Property that says whether a contact changed in a way that was not told: it must be read again. Who reads it writes
/// `false`, with the time of reading as its version.
pub const STALE: &str = "$stale";
/// Property that says whether a contact wants no messages, versioned like any other.
pub const OPTED_OUT: &str = "$opted_out";

/// New values for a contact's properties.
#[derive(Clone, Debug)]
pub struct ContactWrite {
    /// Whose contact.
    pub tenant: TenantId,
    /// `whatsapp`, `hubspot` ...
    pub system: String,
    /// The contact's id there.
    pub external_id: String,
    /// What changed.
    pub properties: Vec<PropertyWrite>,
}

/// One property's new value. Wins against the stored one when `(at, tie)` is greater.
#[derive(Clone, Debug)]
pub struct PropertyWrite {
    /// Its name at the sender, or one of ours beginning with `$`.
    pub name: String,
    /// `None` clears it; the row stays as a tombstone.
    pub value: Option<String>,
    /// When it changed, clamped to receive time + 5 min.
    pub at: Timestamp,
    /// Breaks ties.
    pub tie: String,
}

/// A conversation: one person, one business number, one channel.
#[derive(Clone, Debug)]
pub struct ConversationWrite {
    /// `tenant/channel/business/person`.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Where.
    pub channel: Channel,
    /// Our number.
    pub business_id: String,
    /// The person's address.
    pub contact: String,
    /// When the person last wrote.
    pub last_inbound_at: Timestamp,
    /// What the model made of it, where it was asked.
    pub reading: Option<Reading>,
}

/// What the model made of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What the person wants.
    pub intent: String,
    /// How far along they are.
    pub lead_stage: String,
    /// How they feel about it.
    pub sentiment: String,
    /// What we would say.
    pub reply: String,
    /// 0 to 1.
    pub confidence: f64,
    /// BCP 47.
    pub language: String,
}

/// A message as stored.
#[derive(Clone, Debug)]
pub struct MessageWrite {
    /// Whose.
    pub tenant: TenantId,
    /// Where.
    pub channel: Channel,
    /// The vendor's id.
    pub vendor_id: String,
    /// Of which conversation.
    pub conversation: String,
    /// The vendor's type.
    pub message_type: String,
    /// What a person can read of it.
    pub text: Option<String>,
    /// The vendor's object.
    pub raw: Value,
    /// The sender's time.
    pub sent_at: Timestamp,
}

/// A model's answer to one event.
#[derive(Clone, Debug)]
pub struct ResultWrite {
    /// Whose.
    pub tenant: TenantId,
    /// `message_reading` ...
    pub kind: String,
    /// The answer, as JSON.
    pub body: Value,
    /// 0 to 1, where the answer has one.
    pub confidence: Option<f64>,
    /// The model that answered.
    pub model: String,
    /// Name and version of the prompt.
    pub prompt: String,
    /// SHA-256 of the prompt's file, hex.
    pub prompt_hash: String,
    /// 0 to 1: what the checks made here say about the answer, whatever the model says of itself.
    pub quality: Option<f64>,
    /// Made once more on request: is it the same as before?
    pub identical: Option<bool>,
    /// The answer did not end within the turns allowed.
    pub truncated: bool,
    /// Ledger ids of the calls behind it.
    pub calls: Vec<String>,
}

/// A text by its meaning, to be found by similar ones of the same tenant, kind and model.
#[derive(Clone, Debug)]
pub struct EmbeddingWrite {
    /// Whose.
    pub tenant: TenantId,
    /// `email_draft`, or what the job calls it.
    pub kind: String,
    /// The item's own id; a later vector of the same item and model stands in for an earlier one.
    pub item: String,
    /// What is shown of it when it is found.
    pub text: String,
    /// The model that made the vector: those of different models cannot be compared.
    pub model: String,
    /// The vector, of length 1.
    pub vector: Vec<f32>,
}

/// A status from the vendor.
#[derive(Clone, Debug)]
pub struct StatusWrite {
    /// Where.
    pub channel: Channel,
    /// The vendor's id of our message.
    pub vendor_id: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Since when.
    pub at: Timestamp,
    /// Vendor error code of a failed one.
    pub error_code: Option<String>,
    /// Our command, where the vendor echoes it: settles an `unknown` one as sent.
    pub command_id: Option<String>,
}

/// What is to be erased: all that happened until `at`. Keeps ids only.
#[derive(Clone, Debug)]
pub struct EraseWrite {
    /// Whose.
    pub tenant: TenantId,
    /// The source that ordered it: messages of its that could not be read are searched for the id.
    pub source: SourceName,
    /// `hubspot`, `gohighlevel` ...
    pub system: String,
    /// The record's id there.
    pub object_id: String,
    /// What its events are about.
    pub subjects: Vec<DataSubject>,
    /// Its ids among our contacts of that system; none, if it is no person.
    pub contacts: Vec<String>,
    /// Where the system is a channel: conversations with these contacts go, too.
    pub channel: Option<Channel>,
    /// What is newer stays.
    pub at: Timestamp,
}

/// One billed call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Unique: made of event, revision, step and try, or of the reporting event.
    pub id: String,
    /// Who pays.
    pub tenant: TenantId,
    /// When it ended.
    pub at: Timestamp,
    /// For which event.
    pub event_key: EventKey,
    /// `reply` ..., or `streamed_chat`.
    pub step: String,
    /// `answered`, `failed`, `ambiguous`, `reported`, `partial` or `cached`.
    pub status: LedgerStatus,
    /// `openai`, `rules` ...
    pub provider: String,
    /// The model asked for.
    pub requested_model: String,
    /// The model that answered, where the provider said so.
    pub served_model: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// Where the counts come from.
    pub usage_source: UsageSource,
    /// `None`: the price is not known, never "free".
    pub cost: Option<Money>,
    /// `as_of` of the price used.
    pub price_version: Option<String>,
    /// Milliseconds from request to end.
    pub latency_ms: i64,
    /// Hashed user of a streamed chat.
    pub user: Option<String>,
    /// Specialist of a streamed chat.
    pub specialist: Option<String>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// Name and version of the prompt, where there was one.
    pub prompt: Option<String>,
    /// SHA-256 of the prompt's file, hex.
    pub prompt_hash: Option<String>,
    /// The tier asked for, in the provider's word.
    pub requested_tier: Option<String>,
    /// The tier that served it, in the provider's word; decides the price.
    pub served_tier: Option<String>,
}

/// What kind of ledger row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerStatus {
    /// Answered and stored.
    Answered,
    /// Answered with something unusable, but billed.
    Failed,
    /// Sent, fate unknown: maybe billed.
    Ambiguous,
    /// Told by another system, complete.
    Reported,
    /// Cut short: a stream that broke off, ours or another system's.
    Partial,
    /// Not bought: an equal question was answered a short while ago. Costs nothing.
    Cached,
}

impl LedgerStatus {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Ambiguous => "ambiguous",
            Self::Reported => "reported",
            Self::Partial => "partial",
            Self::Cached => "cached",
        }
    }
}

/// WhatsApp lets us answer freely for this long after the person's last message.
pub const REPLY_WINDOW: Duration = Duration::from_secs(24 * 3600);
