//! Leases: while a delivery is in hand its visibility timeout and its claims are extended together, in
//! batches, at a third of their length. What cannot be extended is lost: its work is cancelled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        delivery::Receipt,
        outcome::{Fence, Held},
    },
    queue::contract::{BATCH, EntryResult, Queue},
    store::contract::Store,
};

/// SQS lets a message be held for twelve hours from its receive; nothing is extended past this.
const LONGEST_HOLD: Duration = Duration::from_secs(12 * 3600 - 600);

/// All leases in hand.
#[derive(Clone, Default)]
pub(super) struct Leases {
    entries: Arc<Mutex<HashMap<Receipt, Entry>>>,
}

struct Entry {
    received: Instant,
    expires: Instant,
    claims: Vec<(Held, CancellationToken)>,
    lost: CancellationToken,
}

/// One delivery's lease; dropping it ends the extending.
pub(super) struct Lease {
    leases: Leases,
    receipt: Receipt,
    lost: CancellationToken,
}

impl Leases {
    /// Holds a delivery received just now.
    pub(super) fn hold(&self, receipt: Receipt, visibility: Duration) -> Lease {
        let lost = CancellationToken::new();
        let now = Instant::now();
        let entry =
            Entry { received: now, expires: now + visibility, claims: Vec::new(), lost: lost.clone() };
        self.lock().insert(receipt.clone(), entry);
        Lease { leases: self.clone(), receipt, lost }
    }

    /// Extends everything once, all at the same time: a slow queue must not cost the claims, nor the other way.
    pub(super) async fn tick(&self, queue: &dyn Queue, store: &dyn Store, visibility: Duration) {
        tokio::join!(self.extend_deliveries(queue, visibility), self.extend_claims(store, visibility));
    }

    async fn extend_deliveries(&self, queue: &dyn Queue, visibility: Duration) {
        let receipts: Vec<Receipt> = {
            let now = Instant::now();
            let mut entries = self.lock();
            for entry in entries.values_mut().filter(|e| e.expires < now || e.received + LONGEST_HOLD < now) {
                lose(&entry.lost);
            }
            entries
                .iter()
                .filter(|(_, e)| !e.lost.is_cancelled())
                .map(|(receipt, _)| receipt.clone())
                .collect()
        };
        let batches = receipts.chunks(BATCH).map(|batch| self.extend_batch(queue, batch, visibility));
        join_all(batches).await;
    }

    async fn extend_batch(&self, queue: &dyn Queue, batch: &[Receipt], visibility: Duration) {
        let changes: Vec<_> = batch.iter().map(|receipt| (receipt.clone(), visibility)).collect();
        let asked = Instant::now();
        match queue.change_visibility(&changes).await {
            Ok(results) => self.note(batch, &results, asked + visibility),
            // Still ours until it expires: the next tick tries again.
            Err(error) => tracing::warn!(%error, "leases not extended"),
        }
    }

    fn note(&self, batch: &[Receipt], results: &[EntryResult], expires: Instant) {
        let mut entries = self.lock();
        for (receipt, result) in batch.iter().zip(results) {
            // An entry that is not there was settled meanwhile.
            let Some(entry) = entries.get_mut(receipt) else { continue };
            match result {
                EntryResult::Done => entry.expires = expires,
                EntryResult::Again(_) => {}
                EntryResult::Gone(_) => lose(&entry.lost),
            }
        }
    }

    async fn extend_claims(&self, store: &dyn Store, lease: Duration) {
        let claims: Vec<(Held, CancellationToken)> =
            self.lock().values().flat_map(|entry| entry.claims.iter().cloned()).collect();
        if claims.is_empty() {
            return;
        }
        let held: Vec<Held> = claims.iter().map(|(held, _)| held.clone()).collect();
        match store.extend(&held, lease).await {
            Ok(fences) => {
                for ((_, lost), _) in claims.iter().zip(fences).filter(|(_, fence)| *fence == Fence::Lost) {
                    lose(lost);
                }
            }
            // The claim may lapse; its ticket still fences the commit.
            Err(error) => tracing::warn!(%error, "claims not extended"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Receipt, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lose(token: &CancellationToken) {
    if !token.is_cancelled() {
        metrics::counter!("longshore_leases_lost_total").increment(1);
        token.cancel();
    }
}

impl Lease {
    /// Also extends this claim; the token is cancelled when the claim or the delivery is lost.
    pub(super) fn cover(&self, held: Held) -> Covered<'_> {
        let lost = self.lost.child_token();
        if let Some(entry) = self.leases.lock().get_mut(&self.receipt) {
            entry.claims.push((held.clone(), lost.clone()));
        }
        Covered { lease: self, held, lost }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.receipt);
    }
}

/// A claim under extension until dropped.
pub(super) struct Covered<'a> {
    lease: &'a Lease,
    held: Held,
    /// Cancelled when this claim is ours no longer.
    pub(super) lost: CancellationToken,
}

impl Covered<'_> {
    /// The claim.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }
}

impl Drop for Covered<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.lease.leases.lock().get_mut(&self.lease.receipt) {
            entry.claims.retain(|(held, _)| *held != self.held);
        }
    }
}
