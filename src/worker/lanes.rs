//! Order and isolation: events of one conversation run one after the other; suspects run alone.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, MaybeDone, maybe_done},
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by order key, made when needed and forgotten when unused. Tokio's mutex is fair: first come,
/// first served.
#[derive(Clone, Default)]
pub(super) struct Lanes {
    by_key: Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>,
    lone: Arc<AsyncMutex<()>>,
}

/// A place in a lane's line, taken when it is made; giving it up early lets the next one in.
pub(super) struct Place {
    // Dropped in this order: the lock first, then the lane is forgotten.
    lock: MaybeDone<BoxFuture<'static, OwnedMutexGuard<()>>>,
    _forget: Forget,
}

struct Forget {
    lanes: Lanes,
    key: String,
}

impl Lanes {
    /// Takes the next place of this key's line.
    pub(super) fn place(&self, key: &str) -> Place {
        let lane = {
            let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_key.entry(key.to_owned()).or_default())
        };
        let mut lock = maybe_done(lane.lock_owned().boxed());
        // The first poll takes the place; whoever waits for the turn polls again with its own waker.
        let _ = Pin::new(&mut lock).poll(&mut Context::from_waker(Waker::noop()));
        Place { lock, _forget: Forget { lanes: self.clone(), key: key.to_owned() } }
    }

    /// Waits for the lone lane, in which one suspect runs at a time.
    pub(super) async fn lone(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.lone).lock_owned().await
    }
}

impl Place {
    /// Is it its turn already?
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.lock, MaybeDone::Done(_))
    }

    /// Waits for its turn, which lasts until this is dropped.
    pub(super) async fn turn(&mut self) {
        (&mut self.lock).await;
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut by_key = self.lanes.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        // One reference is the map's own: nobody runs and nobody waits.
        if by_key.get(&self.key).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Lanes;

    #[tokio::test]
    async fn places_are_served_in_the_order_taken_and_forgotten() {
        let lanes = Lanes::default();
        let (mut first, mut second, mut third) = (lanes.place("a"), lanes.place("a"), lanes.place("a"));
        assert!(third.turn().now_or_never().is_none(), "the third waits");
        assert!(first.is_ours() && !second.is_ours());
        first.turn().await;
        lanes.place("b").turn().await;
        assert!(second.turn().now_or_never().is_none(), "the second waits for the first");
        drop(first);
        assert!(
            third.turn().now_or_never().is_none(),
            "the third waits for the second, though it asked first"
        );
        drop(second);
        third.turn().await;
        drop(third);
        assert!(lanes.by_key.lock().unwrap().is_empty());
    }
}
