//! Group commit: writes that are ready together share one transaction, because a commit costs a disk
//! flush and a hundred of them cost one.
//!
//! Each verb has a queue and one task. The task takes what waits, up to `LARGEST_GROUP`; while its
//! transaction is under way the next group gathers. A lone write waits `QUIET` for company, never longer
//! than `LINGER` in all.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    domain::{
        call::{Begun, CallEnd, CallId, CallStart},
        command::CommandEnd,
        outcome::{Fence, Held, Settled},
    },
    store::contract::{Claim, ClaimRequest, Result, Store, StoreError},
};

/// Most members of one transaction.
const LARGEST_GROUP: usize = 256;
/// A group closes when nothing came for this long.
const QUIET: Duration = Duration::from_millis(1);
/// Longest that the first member of a group waits for company.
const LINGER: Duration = Duration::from_millis(5);

/// The front through which everything that is written often reaches the store.
pub struct GroupCommit {
    claims: Line<Vec<ClaimRequest>, Vec<Claim>>,
    starts: Line<Held, Fence>,
    settlements: Line<Settled, Fence>,
    calls: Line<CallStart, Begun>,
    sends: Line<CallId, bool>,
    call_ends: Line<CallEnd, ()>,
    command_ends: Line<CommandEnd, ()>,
}

impl GroupCommit {
    /// Starts the tasks on the current runtime; they end when this is dropped and their queues are empty.
    /// `lease` is how long a claim lasts.
    #[must_use]
    pub fn start(store: &Arc<dyn Store>, lease: Duration) -> Self {
        Self {
            claims: Line::start("claim", store, move |store, group| claim(store, group, lease)),
            starts: Line::start("start", store, |store, group: Vec<Held>| async move {
                whole(store.mark_started(&group, false).await, group.len())
            }),
            settlements: Line::start("settle", store, settle),
            calls: Line::start("call", store, begin),
            sends: Line::start("call_send", store, |store, group: Vec<CallId>| async move {
                whole(store.journal_send(&group).await, group.len())
            }),
            call_ends: Line::start("call_end", store, finish),
            command_ends: Line::start("command_end", store, |store, group: Vec<CommandEnd>| async move {
                unit(store.outbox_settle(&group).await, group.len())
            }),
        }
    }

    /// Claims the events of one delivery; see [`Store::claim`].
    ///
    /// # Errors
    /// When the store failed; nothing of this delivery is claimed then.
    pub async fn claim(&self, requests: Vec<ClaimRequest>) -> Result<Vec<Claim>> {
        self.claims.write(requests).await
    }

    /// Records that an event starts beside others; see [`Store::mark_started`].
    ///
    /// # Errors
    /// When the store failed.
    pub async fn mark_started(&self, held: Held) -> Result<Fence> {
        self.starts.write(held).await
    }

    /// Commits one verdict; see [`Store::settle`].
    ///
    /// # Errors
    /// When the store failed for this member alone, too; nothing of it is written then.
    pub async fn settle(&self, settled: Settled) -> Result<Fence> {
        self.settlements.write(settled).await
    }

    /// Makes a call durable before it is sent; see [`LlmStore::journal_begin`](crate::store::contract::LlmStore::journal_begin).
    ///
    /// # Errors
    /// When the store failed.
    pub async fn journal_begin(&self, call: CallStart) -> Result<Begun> {
        self.calls.write(call).await
    }

    /// A reserved call goes on the wire now; see [`LlmStore::journal_send`](crate::store::contract::LlmStore::journal_send).
    ///
    /// # Errors
    /// When the store failed.
    pub async fn journal_send(&self, call: CallId) -> Result<bool> {
        self.sends.write(call).await
    }

    /// Records how a call ended; see [`LlmStore::journal_finish`](crate::store::contract::LlmStore::journal_finish). Repeating it changes nothing.
    ///
    /// # Errors
    /// When the store failed: repeat it.
    pub async fn journal_finish(&self, end: CallEnd) -> Result<()> {
        self.call_ends.write(end).await
    }

    /// Records how a command ended; see [`Store::outbox_settle`].
    ///
    /// # Errors
    /// When the store failed: repeat it.
    pub async fn outbox_settle(&self, end: CommandEnd) -> Result<()> {
        self.command_ends.write(end).await
    }
}

/// One verb's queue.
struct Line<T, R> {
    waiting: mpsc::Sender<(T, oneshot::Sender<Result<R>>)>,
}

impl<T: Send + 'static, R: Send + 'static> Line<T, R> {
    fn start<W, F>(verb: &'static str, store: &Arc<dyn Store>, write: W) -> Self
    where
        W: Fn(Arc<dyn Store>, Vec<T>) -> F + Send + 'static,
        F: Future<Output = Vec<Result<R>>> + Send,
    {
        let (waiting, mut queue) = mpsc::channel(4 * LARGEST_GROUP);
        let store = Arc::clone(store);
        tokio::spawn(async move {
            while let Some(first) = queue.recv().await {
                let (group, answers): (Vec<T>, Vec<oneshot::Sender<Result<R>>>) =
                    gather(first, &mut queue).await.into_iter().unzip();
                metrics::counter!("longshore_commit_groups_total", "verb" => verb).increment(1);
                #[expect(clippy::cast_precision_loss, reason = "a group has at most 256 members")]
                metrics::histogram!("longshore_commit_group_size", "verb" => verb).record(group.len() as f64);
                let results = write(Arc::clone(&store), group).await;
                for (answer, result) in answers.into_iter().zip(results) {
                    // Whoever asked may be gone; what was written stands.
                    let _ = answer.send(result);
                }
            }
        });
        Self { waiting }
    }

    async fn write(&self, item: T) -> Result<R> {
        let gone = || StoreError::Unavailable("the writer has stopped".to_owned());
        let (answer, answered) = oneshot::channel();
        self.waiting.send((item, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// The first member and what comes soon enough after it.
async fn gather<M>(first: M, queue: &mut mpsc::Receiver<M>) -> Vec<M> {
    let mut group = vec![first];
    let last_call = Instant::now() + LINGER;
    while group.len() < LARGEST_GROUP {
        let quiet = (Instant::now() + QUIET).min(last_call);
        match timeout_at(quiet, queue.recv()).await {
            Ok(Some(member)) => group.push(member),
            Ok(None) | Err(_) => break,
        }
    }
    group
}

/// One claim statement for many deliveries. Keys within it must be distinct, so a delivery that repeats
/// one waits for the next round.
async fn claim(
    store: Arc<dyn Store>,
    group: Vec<Vec<ClaimRequest>>,
    lease: Duration,
) -> Vec<Result<Vec<Claim>>> {
    let mut results: Vec<Option<Result<Vec<Claim>>>> = group.iter().map(|_| None).collect();
    let mut waiting: Vec<(usize, Vec<ClaimRequest>)> = group.into_iter().enumerate().collect();
    while !waiting.is_empty() {
        let mut keys = HashSet::new();
        let (round, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, delivery)| {
            let fresh = delivery.iter().all(|request| !keys.contains(&request.event.key));
            keys.extend(delivery.iter().map(|request| request.event.key.clone()).filter(|_| fresh));
            fresh
        });
        waiting = later;
        let sizes: Vec<(usize, usize)> = round.iter().map(|(at, delivery)| (*at, delivery.len())).collect();
        let requests: Vec<ClaimRequest> = round.into_iter().flat_map(|(_, delivery)| delivery).collect();
        let mut claims = store.claim(&requests, lease).await.map(Vec::into_iter);
        for (at, size) in sizes {
            results[at] = Some(match &mut claims {
                Ok(claims) => Ok(claims.take(size).collect()),
                Err(error) => Err(error.clone()),
            });
        }
    }
    results.into_iter().flatten().collect()
}

/// Verdicts together; when the group fails, each alone, so that one bad member stops nobody.
async fn settle(store: Arc<dyn Store>, group: Vec<Settled>) -> Vec<Result<Fence>> {
    match store.settle(&group).await {
        Ok(fences) => fences.into_iter().map(Ok).collect(),
        Err(error @ StoreError::Unavailable(_)) => group.iter().map(|_| Err(error.clone())).collect(),
        Err(_) => {
            let mut results = Vec::with_capacity(group.len());
            for member in &group {
                results.push(settle_alone(&store, member).await);
            }
            results
        }
    }
}

/// After an unknown COMMIT the store is asked whether it happened, before anything is written again.
async fn settle_alone(store: &Arc<dyn Store>, member: &Settled) -> Result<Fence> {
    if store.settled_by(&member.held).await? {
        return Ok(Fence::Committed);
    }
    match store.settle(std::slice::from_ref(member)).await {
        Ok(fences) => Ok(fences.first().copied().unwrap_or(Fence::Lost)),
        Err(StoreError::CommitUnknown(_)) if store.settled_by(&member.held).await? => Ok(Fence::Committed),
        Err(error) => Err(error),
    }
}

/// Calls together; when the group is refused, each alone, so that one bad member stops nobody.
async fn begin(store: Arc<dyn Store>, group: Vec<CallStart>) -> Vec<Result<Begun>> {
    match store.journal_begin(&group).await {
        Err(StoreError::Conflict(_) | StoreError::Refused(_)) if group.len() > 1 => {
            let mut results = Vec::with_capacity(group.len());
            for call in &group {
                let alone = store.journal_begin(std::slice::from_ref(call)).await;
                results.push(alone.map(|begun| begun.into_iter().next().unwrap_or(Begun::Taken)));
            }
            results
        }
        answer => whole(answer, group.len()),
    }
}

/// Ends together; when the group is refused, each alone: what others paid for is recorded all the same.
async fn finish(store: Arc<dyn Store>, group: Vec<CallEnd>) -> Vec<Result<()>> {
    match store.journal_finish(&group).await {
        Err(StoreError::Conflict(_) | StoreError::Refused(_)) if group.len() > 1 => {
            let mut results = Vec::with_capacity(group.len());
            for end in &group {
                results.push(store.journal_finish(std::slice::from_ref(end)).await);
            }
            results
        }
        answer => unit(answer, group.len()),
    }
}

fn whole<R>(result: Result<Vec<R>>, members: usize) -> Vec<Result<R>> {
    match result {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => (0..members).map(|_| Err(error.clone())).collect(),
    }
}

fn unit(result: Result<()>, members: usize) -> Vec<Result<()>> {
    (0..members).map(|_| result.clone()).collect()
}
