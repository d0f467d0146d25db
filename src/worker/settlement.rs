//! Settling at the queue: acknowledgements and changes of visibility, gathered into batches of ten.
//!
//! Settling is retried by itself, apart from the events' own retries: a flicker of the queue must not
//! turn finished work into repeated work. What still fails is left; the message comes back and is known.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    crash_point,
    domain::delivery::Receipt,
    queue::contract::{BATCH, EntryResult, Queue, QueueError},
    retry::RetryPolicy,
};

/// A batch that is not full waits this long for company.
const LINGER: Duration = Duration::from_millis(100);
/// Tries of one entry.
const TRIES: u32 = 6;

/// Where settled deliveries are handed in.
#[derive(Clone)]
pub(super) struct Settler {
    acks: mpsc::UnboundedSender<Receipt>,
    visibility: mpsc::UnboundedSender<(Receipt, Duration)>,
    closing: CancellationToken,
}

impl Settler {
    /// Starts the two batchers; they end after [`Settler::close`], when everything is flushed.
    pub(super) fn start(queue: &Arc<dyn Queue>, tasks: &TaskTracker) -> Self {
        let (acks, receipts) = mpsc::unbounded_channel();
        let (visibility, changes) = mpsc::unbounded_channel();
        let closing = CancellationToken::new();
        tasks.spawn(batches(
            receipts,
            closing.clone(),
            Arc::clone(queue),
            tasks.clone(),
            |queue, batch: Vec<Receipt>| async move {
                crash_point::reach("before_ack");
                let results = queue.delete(&batch).await;
                crash_point::reach("after_ack");
                results
            },
        ));
        tasks.spawn(batches(
            changes,
            closing.clone(),
            Arc::clone(queue),
            tasks.clone(),
            |queue, batch: Vec<(Receipt, Duration)>| async move { queue.change_visibility(&batch).await },
        ));
        Self { acks, visibility, closing }
    }

    /// Deletes a delivery, soon.
    pub(super) fn ack(&self, receipt: Receipt) {
        // A stopped batcher means a stopped worker: the message comes back and is known.
        let _ = self.acks.send(receipt);
    }

    /// Makes a delivery visible again after a while, soon.
    pub(super) fn visible_after(&self, receipt: Receipt, after: Duration) {
        let _ = self.visibility.send((receipt, after));
    }

    /// Nothing more will come: flush at once and end.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }
}

async fn batches<T, C, F>(
    mut waiting: mpsc::UnboundedReceiver<T>,
    closing: CancellationToken,
    queue: Arc<dyn Queue>,
    tasks: TaskTracker,
    call: C,
) where
    T: Clone + Send + 'static,
    C: Fn(Arc<dyn Queue>, Vec<T>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Vec<EntryResult>, QueueError>> + Send + 'static,
{
    loop {
        let first = tokio::select! {
            biased;
            first = waiting.recv() => first,
            () = closing.cancelled() => {
                waiting.close();
                waiting.recv().await
            }
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        let linger = if closing.is_cancelled() { Duration::ZERO } else { LINGER };
        let last_call = Instant::now() + linger;
        while batch.len() < BATCH {
            match timeout_at(last_call, waiting.recv()).await {
                Ok(Some(next)) => batch.push(next),
                Ok(None) | Err(_) => break,
            }
        }
        tasks.spawn(settle(batch, Arc::clone(&queue), call.clone()));
    }
}

/// Settles one batch; the entries that failed are tried again together.
async fn settle<T, C, F>(mut batch: Vec<T>, queue: Arc<dyn Queue>, call: C)
where
    T: Clone,
    C: Fn(Arc<dyn Queue>, Vec<T>) -> F,
    F: Future<Output = Result<Vec<EntryResult>, QueueError>>,
{
    let backoff = RetryPolicy::new(Duration::from_millis(100), Duration::from_secs(3));
    for attempt in 1..=TRIES {
        match call(Arc::clone(&queue), batch.clone()).await {
            Ok(results) => {
                let again = |result: &EntryResult| matches!(result, EntryResult::Again(_));
                batch = batch
                    .into_iter()
                    .zip(results)
                    .filter(|(_, r)| again(r))
                    .map(|(entry, _)| entry)
                    .collect();
            }
            Err(error) => tracing::warn!(%error, entries = batch.len(), "settling failed, trying again"),
        }
        if batch.is_empty() {
            return;
        }
        tokio::time::sleep(backoff.delay(attempt, None)).await;
    }
    tracing::warn!(entries = batch.len(), "settling given up: the messages will come back");
    metrics::counter!("longshore_settle_given_up_total").increment(batch.len() as u64);
}
