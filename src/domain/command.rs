//! Commands to the outside: committed with the result, carried out afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{
    event::Channel,
    ids::{CommandId, CorrelationId, EventKey, TenantId},
    timestamp::Timestamp,
};

/// One effect outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Who asked for it.
    pub tenant: TenantId,
    /// Follows it outside.
    pub correlation_id: CorrelationId,
    /// Commands of one lane are carried out one after the other, in order.
    pub lane: String,
    /// Dropped, not sent, after this.
    pub expires_at: Option<Timestamp>,
    /// What to do.
    pub action: Action,
}

/// What to do outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// A message to a person: at most once.
    Message {
        /// Where.
        channel: Channel,
        /// From which number of ours.
        business_id: String,
        /// To whom.
        to: String,
        /// The text.
        text: String,
        /// The vendor's id of the message that this one answers.
        reply_to: Option<String>,
        /// Made by a machine: subject to the tenant's switch and to opt-outs.
        automatic: bool,
    },
    /// A copy of a dead letter for the DLQ; repeating it is harmless.
    CopyDeadLetter {
        /// Id of the row in `dead_letters`.
        dead_letter: String,
    },
    /// A message that never became an event, put back on the queue by a replay; repeating it is harmless.
    Requeue {
        /// Id of the row in `dead_letters`.
        dead_letter: String,
    },
    /// A signed request to one of our own systems. Its `webhook-id` is the command's id, so repeating it is harmless.
    Webhook {
        /// Where to.
        to: WebhookTarget,
        /// What it is about: `longshore.budget.alert.v1`, `longshore.chat.completed.v1` ...
        event_type: String,
        /// The `data` of its body.
        data: serde_json::Value,
    },
}

/// Where a signed request goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookTarget {
    /// To `webhooks.alert_url`; dropped where none is configured.
    Alerts,
    /// To a URL that begins as one of `webhooks.callbacks`; refused else.
    Callback(String),
}

impl Action {
    /// May it be repeated when its outcome is unknown?
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Message { .. } => false,
            Self::CopyDeadLetter { .. } | Self::Requeue { .. } | Self::Webhook { .. } => true,
        }
    }

    /// The kind, a bounded label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::CopyDeadLetter { .. } => "copy_dead_letter",
            Self::Requeue { .. } => "requeue",
            Self::Webhook { .. } => "webhook",
        }
    }
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Waits for its turn.
    Planned,
    /// Taken; committed before the socket opens.
    Sending,
    /// The vendor has it.
    Sent,
    /// The vendor refused it for good: a dead letter of its own.
    Refused,
    /// No answer after the request was written: held for a person or a status callback.
    Unknown,
    /// Not sent on purpose: opted out, switched off, or its window closed.
    Dropped,
}

impl CommandState {
    /// All states, in the order of their life.
    pub const ALL: &[Self] =
        &[Self::Planned, Self::Sending, Self::Sent, Self::Refused, Self::Unknown, Self::Dropped];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Dropped => "dropped",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }
}

/// A command taken from the outbox, `sending`, ours until its lease ends.
#[derive(Clone, Debug)]
pub struct TakenCommand {
    /// Its id; echoed by vendors that allow it.
    pub id: CommandId,
    /// The event behind it, if any.
    pub event_key: Option<EventKey>,
    /// How often it was taken, this time included.
    pub tries: i32,
    /// What to do.
    pub command: Command,
}

/// What came of carrying out a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Done; the vendor's id where it gives one.
    Sent {
        /// The vendor's id.
        vendor_id: Option<String>,
    },
    /// Refused for good.
    Refused {
        /// The vendor's code.
        code: String,
        /// For operators, without personal data.
        detail: String,
    },
    /// Certainly not sent; worth another try later.
    NotSent {
        /// The vendor's code, or `connect`.
        code: String,
        /// For operators, without personal data.
        detail: String,
        /// Not before.
        wait: Option<Duration>,
        /// Who must pause besides this command.
        pause: Pause,
    },
    /// Written, and no usable answer: it may have been sent.
    Unknown {
        /// For operators, without personal data.
        detail: String,
    },
    /// Not sent on purpose: nobody wants it.
    Dropped {
        /// `gone`, `no_alert_url`.
        why: String,
    },
}

impl Sent {
    /// The outcome, a bounded label.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Refused { .. } => "refused",
            Self::NotSent { .. } => "not_sent",
            Self::Unknown { .. } => "unknown",
            Self::Dropped { .. } => "dropped",
        }
    }
}

/// How far a vendor's "wait" reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// This command's lane only.
    Lane,
    /// Everything from this number or account.
    Sender,
}

/// What the store is told about a taken command.
#[derive(Clone, Debug)]
pub struct CommandEnd {
    /// Which.
    pub id: CommandId,
    /// Of which try: [`TakenCommand::tries`]. An older one is not believed any more, unless it was sent.
    pub tries: i32,
    /// How it ended, or when it is to be tried again.
    pub end: CommandEndState,
}

/// How a taken command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEndState {
    /// The vendor has it.
    Sent {
        /// The vendor's id.
        vendor_id: Option<String>,
    },
    /// Refused for good: the store also writes a dead letter (`vendor_refused`).
    Refused {
        /// The vendor's code.
        code: String,
        /// For operators.
        detail: String,
    },
    /// Held.
    Unknown {
        /// For operators.
        detail: String,
    },
    /// Not sent on purpose.
    Dropped {
        /// `opted_out`, `auto_replies_off`, `window_closed`, `gone`, `no_alert_url`.
        why: String,
    },
    /// Back to planned.
    Again {
        /// Not before.
        at: Timestamp,
        /// Why.
        detail: String,
    },
}
