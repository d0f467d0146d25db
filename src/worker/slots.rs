//! How much is in hand: slots count events, not deliveries, and bytes are bounded as well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Ask for messages when this many slots are free, or a quarter of them, or [`PATIENCE`] has passed.
const WORTHWHILE: usize = 10;
/// Longest wait for a worthwhile number of free slots while at least one is free.
const PATIENCE: Duration = Duration::from_millis(250);
/// What one receive may bring at most: ten messages of 1 MiB.
const LARGEST_RECEIVE: usize = 10 * 1_048_576;

/// The capacity of one worker.
#[derive(Clone)]
pub(super) struct Slots {
    capacity: usize,
    largest_bytes: usize,
    running: Arc<Semaphore>,
    in_hand: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    freed: Arc<Notify>,
}

/// Room taken by one delivery until it is settled.
pub(super) struct InHand {
    slots: Slots,
    events: usize,
    bytes: usize,
}

/// Room kept for what a receive under way may bring.
pub(super) struct Reserved {
    slots: Slots,
    messages: usize,
    bytes: usize,
}

impl Slots {
    pub(super) fn new(capacity: usize, largest_bytes: usize) -> Self {
        Self {
            capacity,
            largest_bytes,
            running: Arc::new(Semaphore::new(capacity)),
            in_hand: Arc::default(),
            bytes: Arc::default(),
            freed: Arc::default(),
        }
    }

    /// Waits until it is worth asking for messages; the answer says how many to ask for (1..=10) and keeps
    /// room for them.
    pub(super) async fn room(&self) -> Reserved {
        let worthwhile = WORTHWHILE.min(self.capacity.div_ceil(4));
        let _ = timeout(PATIENCE, self.until(worthwhile)).await;
        self.until(1).await;
        let messages = self.free().clamp(1, WORTHWHILE);
        self.in_hand.fetch_add(messages, Ordering::SeqCst);
        self.bytes.fetch_add(LARGEST_RECEIVE, Ordering::SeqCst);
        Reserved { slots: self.clone(), messages, bytes: LARGEST_RECEIVE }
    }

    /// Events and receives in hand.
    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::SeqCst)
    }

    /// Takes room for one delivery of so many bytes.
    pub(super) fn take(&self, bytes: usize) -> InHand {
        self.in_hand.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        InHand { slots: self.clone(), events: 1, bytes }
    }

    /// A slot to run an event in, if one is free now.
    pub(super) fn try_run(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.running).try_acquire_owned().ok()
    }

    /// A slot to run an event in. `None` only when the worker is gone.
    pub(super) async fn run(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.running).acquire_owned().await.ok()
    }

    fn free(&self) -> usize {
        // What is in hand already may always be joined by one receive, however large the bound.
        let bytes = self.bytes.load(Ordering::SeqCst);
        if bytes > 0 && bytes + LARGEST_RECEIVE > self.largest_bytes.max(LARGEST_RECEIVE) {
            return 0;
        }
        self.capacity.saturating_sub(self.in_hand.load(Ordering::SeqCst))
    }

    async fn until(&self, free: usize) {
        loop {
            // Interest is registered before looking: a slot freed in between is not missed.
            let freed = self.freed.notified();
            if self.free() >= free {
                return;
            }
            freed.await;
        }
    }
}

impl Reserved {
    /// How many messages to ask for.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.slots.in_hand.fetch_sub(self.messages, Ordering::SeqCst);
        self.slots.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.slots.freed.notify_waiters();
    }
}

impl InHand {
    /// The delivery turned out to hold so many events.
    pub(super) fn grow(&mut self, events: usize) {
        let more = events.saturating_sub(self.events);
        self.slots.in_hand.fetch_add(more, Ordering::SeqCst);
        self.events += more;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.slots.in_hand.fetch_sub(self.events, Ordering::SeqCst);
        self.slots.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.slots.freed.notify_waiters();
    }
}
