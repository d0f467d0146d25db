//! Whom or what an event is about, as a hash: it finds what is to be erased, and does not tell who it was.

use serde::Serialize;

use crate::domain::{
    event::{Channel, Event, Fact},
    ids::sha256_hex,
};

/// A record in somebody's system, or a person on a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DataSubject(String);

impl DataSubject {
    /// A record, by its system, the account there, what it is (empty where events do not say) and its id.
    #[must_use]
    pub fn record(system: &str, account: &str, object: &str, id: &str) -> Self {
        Self(sha256_hex(&[
            b"record",
            system.as_bytes(),
            account.as_bytes(),
            object.as_bytes(),
            id.as_bytes(),
        ]))
    }

    /// A person, by an address on a channel.
    #[must_use]
    pub fn person(channel: Channel, address: &str) -> Self {
        Self(sha256_hex(&[b"person", channel.name().as_bytes(), address.as_bytes()]))
    }

    /// Whom or what this event is about. An order to erase is about nobody: it must outlive what it erases.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match &event.fact {
            Fact::InboundMessage(message) => Some(Self::person(message.channel, &message.from)),
            Fact::DeliveryStatus(status) => Some(Self::person(status.channel, &status.recipient)),
            Fact::CrmChange(change) => {
                Some(Self::record(&change.system, &event.account, &change.object, &change.object_id))
            }
            Fact::Notice(notice) => {
                let subject = notice.subject.as_deref()?;
                Some(Self::record(&notice.system, &event.account, "", subject))
            }
            Fact::Erase(_)
            | Fact::ChatUsage(_)
            | Fact::EmailDraft(_)
            | Fact::ChatComplete(_)
            | Fact::EmbeddingStore(_)
            | Fact::Drill(_) => None,
        }
    }

    /// The hash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
