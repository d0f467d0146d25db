//! The contract of a queue: five verbs, each with its own retry temper.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::domain::delivery::{Attribute, Delivery, Receipt};

/// Most entries of one batch call, and most messages of one receive.
pub const BATCH: usize = 10;

/// Largest message: body plus attribute names, types and values, in bytes.
pub const LARGEST_MESSAGE: usize = 1_048_576;

/// What went wrong at the queue.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// Wrong queue, wrong credentials: fatal at start, degraded with backoff later.
    #[error("the queue refuses: {code}: {message}")]
    Refused {
        /// The service's error code.
        code: String,
        /// Its text.
        message: String,
    },
    /// Anything that may pass: network, throttling, server errors.
    #[error("the queue does not answer: {0}")]
    Unavailable(String),
}

/// What became of one entry of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryResult {
    /// Done.
    Done,
    /// Ours to give up: a handle that is not valid any more, or no longer in flight.
    Gone(String),
    /// Worth another try.
    Again(String),
}

/// A message to put on a queue.
#[derive(Debug, Clone, Default)]
pub struct OutgoingMessage {
    /// Must not be empty; only characters that SQS allows.
    pub body: String,
    /// At most ten; values must not be empty.
    pub attributes: BTreeMap<String, Attribute>,
    /// `MessageGroupId`: the tenant, on standard queues.
    pub group: Option<String>,
    /// `MessageDeduplicationId`: on FIFO queues only.
    pub deduplication: Option<String>,
    /// Not visible before, at most 15 minutes.
    pub delay: Option<Duration>,
}

/// Approximate numbers of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting.
    pub visible: i64,
    /// Received and not settled.
    pub in_flight: i64,
    /// Not yet visible.
    pub delayed: i64,
}

/// What the worker and the command line ask of one queue.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Receives up to `max` (1..=10) messages with all attributes, waiting up to `wait` for the first;
    /// they are invisible to others for `visibility`. Not retried here: the loop has its own backoff.
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError>;
    /// Deletes up to ten deliveries; every entry's answer in the order asked. Deleting twice succeeds.
    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<EntryResult>, QueueError>;
    /// Makes up to ten deliveries visible after the given time from now; every entry's answer in the order asked.
    async fn change_visibility(
        &self,
        changes: &[(Receipt, Duration)],
    ) -> Result<Vec<EntryResult>, QueueError>;
    /// Sends up to ten messages; every entry's answer in the order asked.
    async fn send(&self, messages: &[OutgoingMessage]) -> Result<Vec<EntryResult>, QueueError>;
    /// Approximate numbers, one request.
    async fn depth(&self) -> Result<Depth, QueueError>;
    /// `maxReceiveCount` of the queue's redrive policy, if it has one.
    async fn max_receive_count(&self) -> Result<Option<u32>, QueueError>;
}
