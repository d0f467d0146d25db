//! What a handler returns, and what becomes of the event: a closed set.

use std::time::Duration;

use crate::domain::{
    command::Command,
    ids::{EventKey, Revision, Ticket},
    reason::{Class, Reason},
    record::Write,
    timestamp::Timestamp,
};

/// What a handler that succeeded wants written and sent. It never touches the database itself.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Rows, committed together with the claim.
    pub writes: Vec<Write>,
    /// Effects outside, carried out after the commit.
    pub commands: Vec<Command>,
}

/// Why a handler did not succeed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Failure {
    /// Decides between burying, retry and deferral by its class.
    pub reason: Reason,
    /// For operators; no personal data, no secrets, at most 1 KiB.
    pub detail: String,
    /// Not to be tried before this long: a vendor's own hint.
    pub wait: Option<Duration>,
    /// The model's raw text, kept with the dead letter.
    pub raw: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), wait: None, raw: None }
    }

    /// With a time before which trying again is pointless.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// What it means for the event.
    #[must_use]
    pub fn class(&self) -> Class {
        self.reason.class()
    }
}

/// A claim that we hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The event.
    pub key: EventKey,
    /// Its fresh start.
    pub revision: Revision,
    /// Our fencing ticket.
    pub ticket: Ticket,
}

/// What becomes of a claimed event, to be committed under its ticket.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Done, with what was made of it.
    Done(Outcome),
    /// Failed in a way that may pass; counted. Claimable again at that time.
    Retry {
        /// Not before.
        at: Timestamp,
        /// Why.
        failure: Failure,
        /// Into `parked`, to be woken: the message is acknowledged.
        park: bool,
    },
    /// Not now; not counted as a failure. Claimable again at that time.
    Defer {
        /// Not before.
        at: Timestamp,
        /// Why.
        failure: Failure,
        /// Into `parked`, to be woken: the message is acknowledged.
        park: bool,
    },
    /// Cannot be processed: kept as a dead letter.
    Bury(Failure),
    /// Handed back untouched, by a stopping process: claimable at once, nothing counted.
    HandBack,
}

/// One claimed event with its verdict.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The claim.
    pub held: Held,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Did the commit count?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// We held the ticket: committed.
    Committed,
    /// Somebody else has a higher ticket: nothing was written.
    Lost,
}

/// What becomes of one delivery at the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Deleted: everything in it is done, parked or buried.
    Ack,
    /// Visible again after this long.
    RetryAfter(Duration),
    /// Our fault, not the message's: visible again later, the later the more often it came.
    NotNow,
    /// Left alone: its lease is lost, or nothing could be recorded; it comes back by itself.
    Leave,
}
