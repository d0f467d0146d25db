//! One SQS message as received.

use std::collections::BTreeMap;

use crate::domain::{ids::sha256_hex, timestamp::Timestamp};

/// Attributes that are new with each attempt to send the same message.
const PER_ATTEMPT: [&str; 2] = ["webhook-timestamp", "webhook-signature"];

/// A message attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `String` and `Number` attributes, custom suffixes included.
    Text(String),
    /// `Binary` attributes.
    Binary(Vec<u8>),
}

/// The handle that settles one delivery of a message; a later delivery of it has another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub String);

/// One SQS message as received, with what the queue tells about it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queue's own id; a redriven message has a new one.
    pub message_id: String,
    /// What settles this delivery.
    pub receipt: Receipt,
    /// The body, never empty on Amazon SQS.
    pub body: String,
    /// At most ten on Amazon SQS.
    pub attributes: BTreeMap<String, Attribute>,
    /// `SentTimestamp`: when it was enqueued. A redrive sets it anew.
    pub sent_at: Timestamp,
    /// `ApproximateReceiveCount`, this delivery included.
    pub receive_count: u32,
    /// `MessageGroupId`, where the sender gave one.
    pub group: Option<String>,
}

impl Delivery {
    /// A text attribute by its exact name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// Body plus names and values of the attributes, in bytes: what is held in memory for it.
    #[must_use]
    pub fn size(&self) -> usize {
        let value = |attribute: &Attribute| match attribute {
            Attribute::Text(text) => text.len(),
            Attribute::Binary(bytes) => bytes.len(),
        };
        self.body.len() + self.attributes.iter().map(|(name, a)| name.len() + value(a)).sum::<usize>()
    }

    /// Hash of body and attributes: the identity of a message that has no event key. Independent of
    /// message id and times, so that a redriven copy has the same; and of the seal's time and signature,
    /// which are new with each attempt of one sender.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let mut parts: Vec<&[u8]> = vec![self.body.as_bytes()];
        for (name, attribute) in
            self.attributes.iter().filter(|(name, _)| !PER_ATTEMPT.contains(&name.as_str()))
        {
            parts.push(name.as_bytes());
            parts.push(match attribute {
                Attribute::Text(text) => text.as_bytes(),
                Attribute::Binary(bytes) => bytes,
            });
        }
        sha256_hex(&parts)
    }
}
