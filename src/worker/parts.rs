//! What a worker is made of, and what its parts share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config::{KeySettings, QueueSettings, WorkerSettings},
    domain::{event::Channel, timestamp::Timestamp},
    handlers::tools::Tools,
    lifecycle::Vitals,
    messaging::{contract::ChannelSender, webhook::WebhookSender},
    queue::contract::Queue,
    sources::{objects::Objects, senders::Senders},
    store::{
        contract::{Result, Store},
        group::GroupCommit,
    },
    worker::{
        abuse::Guard, lanes::Lanes, lease::Leases, pressure::Pressure, rates::Rates, settlement::Settler,
        slots::Slots, trail::Trail,
    },
};

/// What the composition root hands over.
#[derive(Clone)]
pub struct Parts {
    /// How to work.
    pub settings: WorkerSettings,
    /// Which queue, and how to poll it.
    pub queue_settings: QueueSettings,
    /// The queue to work.
    pub queue: Arc<dyn Queue>,
    /// Its dead-letter queue.
    pub dead_letter_queue: Arc<dyn Queue>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The store's group commit.
    pub writer: Arc<GroupCommit>,
    /// Who may send what.
    pub senders: Arc<Senders>,
    /// Where bodies lie that are too large for the queue.
    pub objects: Objects,
    /// Seals wakes.
    pub wake_key: KeySettings,
    /// What handlers may use.
    pub tools: Arc<Tools>,
    /// How people are reached.
    pub channels: BTreeMap<Channel, Arc<dyn ChannelSender>>,
    /// How our own systems are told.
    pub webhooks: Arc<WebhookSender>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Says what happens.
    pub trail: Trail,
    /// Signs of life for the health endpoint.
    pub vitals: Arc<Vitals>,
}

/// Parts plus what the worker's own tasks share.
pub(super) struct Context {
    pub(super) parts: Parts,
    pub(super) clock: StoreClock,
    pub(super) slots: Slots,
    pub(super) lanes: Lanes,
    pub(super) leases: Leases,
    pub(super) pressure: Pressure,
    /// Against floods of forged messages.
    pub(super) guard: Guard,
    /// How fast one sender may be.
    pub(super) rates: Rates,
    pub(super) settler: Settler,
    /// `maxReceiveCount` of the queue, where it has a redrive policy.
    pub(super) max_receive_count: Option<u32>,
    /// Cancelled first: nothing new is received or started.
    pub(super) stopping: CancellationToken,
    /// Cancelled at the deadline: what still runs is handed back.
    pub(super) stopped: CancellationToken,
    /// Deliveries under work.
    pub(super) deliveries: TaskTracker,
    /// Commands were planned.
    pub(super) commands: Notify,
    /// Events were parked.
    pub(super) parked: Notify,
    /// Something was replayed or erased: its copy may still lie on the DLQ.
    pub(super) closed: AtomicBool,
}

impl Context {
    /// How long a delivery and its claims are ours without extension.
    pub(super) fn visibility(&self) -> Duration {
        self.parts.queue_settings.visibility
    }
}

/// The database's clock, as far as its distance from ours was last measured: deadlines that are stored
/// must mean the same to every worker.
pub(super) struct StoreClock {
    ours: Arc<dyn Clock>,
    ahead_micros: AtomicI64,
}

impl StoreClock {
    pub(super) async fn measure(ours: Arc<dyn Clock>, store: &dyn Store) -> Result<Self> {
        let clock = Self { ours, ahead_micros: AtomicI64::new(0) };
        clock.refresh(store).await?;
        Ok(clock)
    }

    pub(super) async fn refresh(&self, store: &dyn Store) -> Result<()> {
        let theirs = store.now().await?;
        self.ahead_micros.store(theirs.0 - self.ours.now().0, Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.ours.now().0.saturating_add(self.ahead_micros.load(Ordering::SeqCst)))
    }
}
