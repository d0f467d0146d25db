//! What a sample is: messages for the queue or requests for the edge, and what must become of them.

use std::collections::BTreeMap;

use crate::{
    cli::dev::samples::call::{Answer, Call},
    domain::{
        command::CommandState,
        delivery::{Attribute, Delivery, Receipt},
        ids::EventKey,
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::sign::SignedMessage,
};

/// One story: what is sent, and how it must end.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Short, unique, told to people.
    pub(crate) name: &'static str,
    /// Who sends it: the heading under which it stands.
    pub(crate) sender: &'static str,
    /// Sent together.
    pub(crate) parcels: Vec<Parcel>,
    /// Sent only when these have ended.
    pub(crate) after: &'static [&'static str],
    /// All of these must come true.
    pub(crate) expects: Vec<Expect>,
}

/// What is sent, and where.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// Put on the queue as it is. So travel jobs, and all that is rejected: a dead letter without an event is known
    /// by the very bytes of its message, and an edge seals each request anew.
    Queued(SignedMessage),
    /// Posted to the edge.
    Posted(Call),
}

impl From<SignedMessage> for Parcel {
    fn from(message: SignedMessage) -> Self {
        Self::Queued(message)
    }
}

impl From<Call> for Parcel {
    fn from(call: Call) -> Self {
        Self::Posted(call)
    }
}

/// What must become true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expect {
    /// An event reaches its end, on a first run through these steps. In a run after it had ended: only a duplicate.
    Event {
        /// Which.
        key: EventKey,
        /// How it ends.
        end: End,
        /// What happens to it on the way, in this order.
        through: Vec<Step>,
    },
    /// One more copy of an event is recognised, besides the one that is worked.
    Duplicate {
        /// Of which event.
        key: EventKey,
        /// 1 for the first further copy, 2 for the next.
        copy: usize,
    },
    /// The message, or one item of it, becomes a dead letter.
    Rejected {
        /// The dead letter's id.
        id: String,
        /// Why.
        reason: Reason,
    },
    /// The whole message waits once, uncounted, before its end.
    PutBack(Reason),
    /// The event's command stands so.
    Command {
        /// Of which event.
        key: EventKey,
        /// Where it stands at the end.
        state: CommandState,
    },
    /// On a first run, an attempt to carry out the event's command ends so.
    Attempt {
        /// Of which event.
        key: EventKey,
        /// `sent`, `refused`, `unknown`, `again`.
        end: &'static str,
    },
    /// The event plans nothing outside.
    NoCommand(EventKey),
    /// The calls to a model that the event needed, as the journal ends them.
    Calls {
        /// Of which event.
        key: EventKey,
        /// `answered`, `failed` or `ambiguous`, in order.
        states: &'static [&'static str],
    },
    /// A property of a contact has this value.
    Property {
        /// Whose contact.
        tenant: &'static str,
        /// `whatsapp`, `hubspot`.
        system: &'static str,
        /// Its id there.
        id: String,
        /// Which property.
        name: &'static str,
        /// Its value.
        value: &'static str,
    },
    /// The vendor is answered so, in every run.
    Answer {
        /// Name of the sample.
        to: &'static str,
        /// What the vendor wants.
        wanted: Answer,
    },
    /// Nothing for us in it: acknowledged without a trace, so the queue is empty at the end.
    NoEvent,
}

/// How an event ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Done.
    Done,
    /// A dead letter.
    Buried(Reason),
}

/// Something on an event's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Failed, came back.
    Retried(Reason),
    /// Not now, came back.
    Deferred(Reason),
    /// Waited in the store.
    Parked(Reason),
    /// Its wake was sent.
    Woken,
}

impl Sample {
    /// A sample of one parcel that waits for nothing. A request must also be answered as its vendor wants.
    pub(crate) fn new(
        sender: &'static str,
        name: &'static str,
        parcel: impl Into<Parcel>,
        mut expects: Vec<Expect>,
    ) -> Self {
        let parcel = parcel.into();
        if let Parcel::Posted(call) = &parcel {
            expects.push(Expect::Answer { to: name, wanted: call.wanted });
        }
        Self { name, sender, parcels: vec![parcel], after: &[], expects }
    }

    /// Waits for others.
    pub(crate) fn after(mut self, names: &'static [&'static str]) -> Self {
        self.after = names;
        self
    }

    /// Expects one thing more.
    pub(crate) fn and(mut self, expect: Expect) -> Self {
        self.expects.push(expect);
        self
    }

    /// Keys of the events in it.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &EventKey> {
        self.expects.iter().filter_map(|expect| match expect {
            Expect::Event { key, .. } | Expect::Duplicate { key, .. } => Some(key),
            _ => None,
        })
    }
}

/// Done, without a step on the way.
pub(crate) fn done(key: &EventKey) -> Expect {
    done_through(key, &[])
}

/// Done, after these steps.
pub(crate) fn done_through(key: &EventKey, through: &[Step]) -> Expect {
    Expect::Event { key: key.clone(), end: End::Done, through: through.to_vec() }
}

/// A dead letter, after these steps.
pub(crate) fn buried(key: &EventKey, reason: Reason, through: &[Step]) -> Expect {
    Expect::Event { key: key.clone(), end: End::Buried(reason), through: through.to_vec() }
}

/// Done, and its reply is with the vendor.
pub(crate) fn answered(key: &EventKey) -> Vec<Expect> {
    vec![done(key), Expect::Command { key: key.clone(), state: CommandState::Sent }]
}

/// The whole message is rejected.
pub(crate) fn rejected(message: &SignedMessage, reason: Reason) -> Expect {
    Expect::Rejected { id: content_hash(message), reason }
}

/// One item of the message is rejected.
pub(crate) fn item_rejected(message: &SignedMessage, item: usize, reason: Reason) -> Expect {
    Expect::Rejected { id: format!("{}#{item}", content_hash(message)), reason }
}

/// The id that a message without an event has as a dead letter.
fn content_hash(message: &SignedMessage) -> String {
    as_delivery(message, Timestamp::default()).content_hash()
}

/// As the queue would deliver it.
pub(crate) fn as_delivery(message: &SignedMessage, sent_at: Timestamp) -> Delivery {
    let attributes: BTreeMap<String, Attribute> = message
        .attributes
        .iter()
        .map(|(name, value)| (name.clone(), Attribute::Text(value.clone())))
        .collect();
    Delivery {
        message_id: String::new(),
        receipt: Receipt(String::new()),
        body: message.body.clone(),
        attributes,
        sent_at,
        receive_count: 1,
        group: None,
    }
}
