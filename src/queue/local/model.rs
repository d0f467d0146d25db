//! What the engine is asked and what it answers.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::{sync::oneshot, time::Instant};

use crate::queue::local::{
    attributes::AttributeTexts, digest::WireAttributes, error::ApiError, handle::Handle,
};

/// Where an answer goes; released only when the work is on the disk.
pub(super) type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// A message to store, checked.
#[derive(Debug, Clone, Serialize)]
pub(super) struct NewMessage {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) body_md5: String,
    pub(super) attributes: Option<WireAttributes>,
    pub(super) attributes_md5: Option<String>,
    /// `AWSTraceHeader`.
    pub(super) trace: Option<String>,
    /// `MessageGroupId`.
    pub(super) group: Option<String>,
    #[serde(skip)]
    pub(super) delay: Duration,
}

/// A message as given out. Times in microseconds since the epoch.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) handle: Handle,
    pub(super) id: String,
    pub(super) body: String,
    pub(super) body_md5: String,
    /// JSON of [`WireAttributes`].
    pub(super) attributes: Option<String>,
    pub(super) attributes_md5: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) group: Option<String>,
    pub(super) receives: i64,
    pub(super) sent_at: i64,
    pub(super) first_received_at: i64,
    /// ARN of the queue it was dead-lettered from.
    pub(super) source: Option<String>,
}

/// One receive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receive {
    pub(super) queue: i64,
    pub(super) max: usize,
    pub(super) visibility: Duration,
    /// Until when it may wait for a first message.
    pub(super) deadline: Instant,
}

/// One change of a message's visibility.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) handle: Handle,
    /// From now.
    pub(super) visibility: Duration,
}

/// What is asked of the engine.
#[derive(Debug)]
pub(super) enum Job {
    Send {
        queue: i64,
        messages: Vec<NewMessage>,
        reply: Reply<()>,
    },
    Receive {
        receive: Receive,
        reply: Reply<Vec<Received>>,
    },
    Delete {
        queue: i64,
        handles: Vec<Handle>,
        reply: Reply<()>,
    },
    ChangeVisibility {
        queue: i64,
        changes: Vec<Change>,
        reply: Reply<Vec<Result<(), ApiError>>>,
    },
    CreateQueue {
        name: String,
        attributes: AttributeTexts,
        tags: BTreeMap<String, String>,
        reply: Reply<()>,
    },
    SetAttributes {
        queue: i64,
        attributes: AttributeTexts,
        reply: Reply<()>,
    },
    SetTags {
        queue: i64,
        set: BTreeMap<String, String>,
        remove: Vec<String>,
        reply: Reply<()>,
    },
    DeleteQueue {
        queue: i64,
        reply: Reply<()>,
    },
    Purge {
        queue: i64,
        reply: Reply<()>,
    },
    /// Drops messages past their retention, in no hurry.
    Expire {
        seqs: Vec<i64>,
    },
    /// Looks for due messages of waiting receives: the clock was turned.
    LookAgain,
    /// Answers waiting receives; from now on none waits.
    StopWaiting,
}
