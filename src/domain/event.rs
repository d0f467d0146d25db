//! One thing that happened, in our terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    ids::{CorrelationId, EventKey, SourceName, TenantId},
    job::{ChatComplete, EmailDraft, EmbeddingStore},
    money::Money,
    timestamp::Timestamp,
    usage::Usage,
};

/// A verified event. Stored as JSON when its event is claimed, so that waiting and replay need no sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What makes a duplicate.
    pub key: EventKey,
    /// The configured sender.
    pub source: SourceName,
    /// The vendor's own name for what happened (`contact.creation`, `cdc` ...); empty on events of older releases.
    #[serde(default)]
    pub vendor_type: String,
    /// The sender's account (WABA and phone, portal id ...).
    pub account: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it happened by the sender's clock, where the sender says.
    pub occurred_at: Option<Timestamp>,
    /// When we or our edge received it.
    pub received_at: Timestamp,
    /// Not to be worked before.
    pub due_at: Option<Timestamp>,
    /// Worthless after.
    pub expires_at: Option<Timestamp>,
    /// Events of one conversation are worked in order within a process.
    pub order_key: Option<String>,
    /// Follows it through logs and rows.
    pub correlation_id: CorrelationId,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A person wrote to us.
    InboundMessage(InboundMessage),
    /// A message that we sent moved on.
    DeliveryStatus(DeliveryStatus),
    /// A record in a CRM changed.
    CrmChange(CrmChange),
    /// Everything about a person is to be erased.
    Erase(Erase),
    /// Something on record, that nothing acts upon yet.
    Notice(Notice),
    /// A streamed chat ended and says what it used.
    ChatUsage(ChatUsage),
    /// An e-mail is to be drafted.
    EmailDraft(EmailDraft),
    /// A person waits for an answer in a chat.
    ChatComplete(ChatComplete),
    /// A text is to be stored by its meaning.
    EmbeddingStore(EmbeddingStore),
    /// A rehearsal on purpose: see [`Drill`].
    Drill(Drill),
}

impl Fact {
    /// The event's kind, a bounded label for metrics and tables.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InboundMessage(_) => "inbound_message",
            Self::DeliveryStatus(_) => "delivery_status",
            Self::CrmChange(_) => "crm_change",
            Self::Erase(_) => "erase",
            Self::Notice(_) => "notice",
            Self::ChatUsage(_) => "chat_usage",
            Self::EmailDraft(_) => "email_draft",
            Self::ChatComplete(_) => "chat_complete",
            Self::EmbeddingStore(_) => "embedding_store",
            Self::Drill(_) => "drill",
        }
    }
}

/// The channels on which people are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// WhatsApp Cloud API.
    Whatsapp,
    /// Text messages (Twilio).
    Sms,
    /// E-mail (SendGrid).
    Email,
    /// Conversations kept by HighLevel, whatever they travel on.
    Gohighlevel,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Whatsapp, Self::Sms, Self::Email, Self::Gohighlevel];

    /// The name in tables and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Gohighlevel => "gohighlevel",
        }
    }
}

/// A message from a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// Where it came in.
    pub channel: Channel,
    /// Our number or page, by the vendor's id (WhatsApp: `phone_number_id`).
    pub business_id: String,
    /// The person's address (WhatsApp: `wa_id`, digits).
    pub from: String,
    /// The person's display name, where given.
    pub profile_name: Option<String>,
    /// The vendor's message id (WhatsApp: `wamid...`).
    pub vendor_id: String,
    /// The vendor's type: `text`, `button`, `interactive`, `image` ...
    pub message_type: String,
    /// What a person can read of it: text, button title, caption.
    pub text: Option<String>,
    /// Machine value of a button or list choice.
    pub choice: Option<String>,
    /// When the person sent it.
    pub sent_at: Timestamp,
    /// The vendor's message object, for types that are stored but not answered.
    pub raw: Value,
}

/// How far a message of ours got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryStatus {
    /// Channel of the message.
    pub channel: Channel,
    /// The vendor's id of the message that we sent.
    pub vendor_id: String,
    /// Where it stands now.
    pub state: DeliveryState,
    /// The vendor's time of the change.
    pub at: Timestamp,
    /// The person's address.
    pub recipient: String,
    /// Vendor error code of a failed one.
    pub error_code: Option<String>,
    /// Our command id, where the vendor echoes it (`biz_opaque_callback_data`).
    pub command_id: Option<String>,
}

/// States of a sent message. A row never moves to a lower rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// With the vendor, not on its way yet: Twilio `queued`, SendGrid `processed`, `deferred` ...
    Queued,
    /// Accepted by the vendor.
    Sent,
    /// Terminal unless delivered or read was recorded already.
    Failed,
    /// On the person's device.
    Delivered,
    /// Read by the person.
    Read,
}

impl DeliveryState {
    /// queued 0 < sent 1 < failed 2 < delivered 3 < read 4: a failure ends `sent`, and never undoes a delivery.
    /// A `failed` row that later reports `delivered` was wrong and moves on.
    #[must_use]
    pub fn rank(self) -> i32 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Failed => 2,
            Self::Delivered => 3,
            Self::Read => 4,
        }
    }

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }
}

/// A change of one record in a CRM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrmChange {
    /// `hubspot` ...
    pub system: String,
    /// `contact`, `deal` ...
    pub object: String,
    /// The record's id, normalised.
    pub object_id: String,
    /// What was done to it.
    pub change: CrmChangeKind,
    /// The sender's time; decides what is newer.
    pub at: Timestamp,
    /// Breaks ties of the time: the sender's event id.
    pub tie: String,
}

/// What was done to a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrmChangeKind {
    /// Made.
    Created,
    /// These properties have new values; `None` clears one.
    Changed(BTreeMap<String, Option<String>>),
    /// Gone.
    Deleted,
    /// Back again.
    Restored,
    /// Changed, but not told how (a gap, an oversized body): it must be read again.
    Stale,
    /// Anything else, by the sender's name for it; recorded, not acted upon.
    Other(String),
}

/// An order to erase a person: HubSpot `privacyDeletion`, `GDPR_DELETE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erase {
    /// `hubspot` ...
    pub system: String,
    /// `contact`, `conversation` ...
    pub object: String,
    /// The record's id, normalised.
    pub object_id: String,
}

/// Something that happened at a sender, kept as it was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// `salesforce`, `clerk`, or what the configuration calls it.
    pub system: String,
    /// The record or person that it is about, where it names one.
    pub subject: Option<String>,
    /// The vendor's object.
    pub data: Value,
}

/// What one streamed chat used (BV-2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatUsage {
    /// The chat's own id at the sender.
    pub chat_id: String,
    /// Hashed user, or `anonymous`.
    pub user: String,
    /// Which specialist answered.
    pub specialist: Option<String>,
    /// `openai` ...
    pub provider: String,
    /// The model that answered.
    pub model: String,
    /// Tokens, in normal form.
    pub usage: Usage,
    /// Milliseconds from request to end.
    pub latency_ms: i64,
    /// The stream was cut: the counts are partial.
    pub aborted: bool,
    /// When the chat ended.
    pub ended_at: Timestamp,
    /// The sender's own cost figure, kept for comparison only.
    pub reported_cost: Option<Money>,
}

/// A rehearsal: shows that alarms, retries and isolation work, with no effect outside. Accepted only
/// where the configuration allows drills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Drill {
    /// Succeeds after so many milliseconds.
    Work {
        /// How long it takes.
        #[serde(default)]
        millis: u64,
    },
    /// Fails so many times with a retryable failure, then succeeds.
    FailTimes {
        /// How often.
        times: u32,
    },
    /// Defers so many times, then succeeds.
    DeferTimes {
        /// How often.
        times: u32,
        /// How long each time, in milliseconds.
        millis: u64,
    },
    /// Panics, every time.
    Panic,
}
