//! What must have become of everything that a world sent.

use std::collections::{BTreeMap, BTreeSet};

use longshore::domain::reason::Reason;

/// The lists that the judge goes by.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Every event by its key: done, or buried for this reason.
    pub(crate) events: BTreeMap<String, Option<Reason>>,
    /// Messages and items that never become events.
    pub(crate) rejected: Vec<Reason>,
    /// Events whose reply the vendor refuses for good.
    pub(crate) refused: BTreeSet<String>,
    /// Events whose reply is accepted without an answer.
    pub(crate) unanswered: BTreeSet<String>,
    /// Inbound messages that a model reads, by event key: what the person said, unique.
    pub(crate) read: BTreeMap<String, String>,
    /// Inbound messages by the vendor's id.
    pub(crate) messages: BTreeSet<String>,
    /// People, by system and id.
    pub(crate) contacts: BTreeSet<(String, String)>,
    /// Events that report a chat.
    pub(crate) chats: BTreeSet<String>,
    /// Statuses by the vendor's id of the message.
    pub(crate) statuses: BTreeSet<String>,
}

impl Expected {
    /// This event ends as a dead letter.
    pub(crate) fn buried(&mut self, key: &str, reason: Reason) {
        self.events.insert(key.to_owned(), Some(reason));
    }
}
