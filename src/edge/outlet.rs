//! Messages onto the queue, ten to a call: each request waits for the answer to its own entry.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    edge::{
        answer::{Refusal, Why},
        seal::size,
    },
    lifecycle::Vitals,
    queue::contract::{BATCH, EntryResult, LARGEST_MESSAGE, OutgoingMessage, Queue},
    retry::RetryPolicy,
};

/// Calls to the queue at once.
const CALLS: usize = 8;
/// Times that an entry is tried, beside the client's own attempts at a whole call.
const TRIES: u32 = 3;

/// Where messages go.
#[derive(Debug)]
pub(super) struct Outlet {
    line: mpsc::Sender<Waiting>,
    patience: Duration,
}

/// What the calls need.
pub(super) struct Calls {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) clock: Arc<dyn Clock>,
    /// How long a message waits for others.
    pub(super) linger: Duration,
    /// How long a request waits for the queue.
    pub(super) patience: Duration,
}

/// A message, and who waits for it.
#[derive(Debug)]
struct Waiting {
    message: OutgoingMessage,
    since: Instant,
    /// Its share of the memory, given back when it is sent, not when the caller hangs up.
    _share: Option<OwnedSemaphorePermit>,
    answer: oneshot::Sender<Result<(), Refusal>>,
}

impl Outlet {
    /// Starts sending; at most `room` messages wait. The task ends when all that came in is sent, after the outlet
    /// was dropped.
    pub(super) fn start(calls: Calls, room: usize) -> (Self, JoinHandle<()>) {
        let (line, waiting) = mpsc::channel(room);
        let patience = calls.patience;
        (Self { line, patience }, tokio::spawn(gather(Arc::new(calls), waiting)))
    }

    /// Waits until the queue has the message. A caller that hangs up meanwhile takes nothing back.
    ///
    /// # Errors
    /// The queue did not take it in time, or never will; too many wait.
    pub(super) async fn send(
        &self,
        message: OutgoingMessage,
        share: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Refusal> {
        let (answer, end) = oneshot::channel();
        let waiting = Waiting { message, since: Instant::now(), _share: share, answer };
        self.line
            .try_send(waiting)
            .map_err(|_| Refusal::new(Why::Busy, "too many requests wait for the queue"))?;
        let late = || Refusal::new(Why::QueueUnavailable, "the queue did not take it in time");
        match timeout(self.patience, end).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }
}

async fn gather(calls: Arc<Calls>, mut line: mpsc::Receiver<Waiting>) {
    let (room, sending) = (Arc::new(Semaphore::new(CALLS)), TaskTracker::new());
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(waiting) => Some(waiting),
            None => line.recv().await,
        };
        // While all calls are under way others gather behind the first.
        let (Some(first), Ok(place)) = (first, Arc::clone(&room).acquire_owned().await) else { break };
        let (batch, next) = fill(first, &mut line, calls.linger).await;
        left_over = next;
        let calls = Arc::clone(&calls);
        sending.spawn(async move {
            deliver(&calls, batch).await;
            drop(place);
        });
    }
    sending.close();
    sending.wait().await;
}

/// Ten messages, as many as fit into one call, or what came within the linger. Also the one that did not fit.
async fn fill(
    first: Waiting,
    line: &mut mpsc::Receiver<Waiting>,
    linger: Duration,
) -> (Vec<Waiting>, Option<Waiting>) {
    let until = first.since + linger;
    let mut bytes = size(&first.message);
    let mut batch = vec![first];
    while batch.len() < BATCH {
        let Ok(Some(next)) = timeout_at(until, line.recv()).await else { break };
        bytes += size(&next.message);
        if bytes > LARGEST_MESSAGE {
            return (batch, Some(next));
        }
        batch.push(next);
    }
    (batch, None)
}

async fn deliver(calls: &Calls, mut batch: Vec<Waiting>) {
    let backoff = RetryPolicy::new(Duration::from_millis(50), Duration::from_millis(500));
    for attempt in 1..=TRIES {
        // Who has waited this long was told to come again.
        batch.retain(|waiting| waiting.since.elapsed() < calls.patience);
        if batch.is_empty() {
            return;
        }
        batch = call(calls, batch, attempt == TRIES).await;
        if batch.is_empty() {
            return;
        }
        tokio::time::sleep(backoff.delay(attempt, None)).await;
    }
}

/// One call; answers what is worth another one.
async fn call(calls: &Calls, batch: Vec<Waiting>, last: bool) -> Vec<Waiting> {
    #[expect(clippy::cast_precision_loss, reason = "at most ten")]
    metrics::histogram!("longshore_edge_batch_size").record(batch.len() as f64);
    let (messages, waiting): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|one| (one.message, (one.since, one._share, one.answer))).unzip();
    calls.vitals.poll_started(calls.clock.now());
    let ends = match calls.queue.send(&messages).await {
        Ok(ends) => ends,
        Err(error) => {
            let failures = calls.vitals.poll_failed();
            tracing::warn!(%error, failures, requests = messages.len(), "the queue did not take a batch");
            let refusal = Refusal::new(Why::QueueUnavailable, "the queue does not take messages now");
            // A caller that has hung up is told nothing.
            waiting.into_iter().for_each(|(.., answer)| drop(answer.send(Err(refusal.clone()))));
            return Vec::new();
        }
    };
    if ends.contains(&EntryResult::Done) {
        calls.vitals.poll_succeeded(calls.clock.now());
    }
    let mut again = Vec::new();
    for ((message, (since, share, answer)), end) in messages.into_iter().zip(waiting).zip(ends) {
        let end = match end {
            EntryResult::Done => Ok(()),
            EntryResult::Again(_) if !last => {
                again.push(Waiting { message, since, _share: share, answer });
                continue;
            }
            EntryResult::Again(why) => {
                tracing::warn!(why, "the queue did not take a message");
                Err(Refusal::new(Why::QueueUnavailable, "the queue does not take this message now"))
            }
            EntryResult::Gone(why) => {
                tracing::error!(why, "the queue refuses a message for good");
                Err(Refusal::new(Why::Unsendable, "the queue refuses this message"))
            }
        };
        // A caller that has hung up is told nothing.
        drop(answer.send(end));
    }
    again
}
