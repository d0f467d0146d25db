//! Order and isolation: events of one conversation run one after the other; suspects run alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by order key, made when needed and forgotten when unused. Tokio's mutex is fair: first come,
/// first served.
#[derive(Clone, Default)]
pub(super) struct Lanes {
    by_key: Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>,
    lone: Arc<AsyncMutex<()>>,
}

/// Held while an event of this lane runs.
pub(super) struct Turn {
    lanes: Lanes,
    key: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Lanes {
    /// Waits for this key's turn.
    pub(super) async fn turn(&self, key: &str) -> Turn {
        let lane = {
            let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_key.entry(key.to_owned()).or_default())
        };
        Turn { lanes: self.clone(), key: key.to_owned(), guard: Some(lane.lock_owned().await) }
    }

    /// Waits for the lone lane, in which one suspect runs at a time.
    pub(super) async fn lone(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.lone).lock_owned().await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut by_key = self.lanes.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        // One reference is the map's own: nobody runs and nobody waits.
        if by_key.get(&self.key).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;

    #[tokio::test]
    async fn one_key_runs_in_order_and_is_forgotten() {
        let lanes = Lanes::default();
        let first = lanes.turn("a").await;
        let waiting = tokio::spawn({
            let lanes = lanes.clone();
            async move { drop(lanes.turn("a").await) }
        });
        drop(lanes.turn("b").await);
        assert!(!waiting.is_finished(), "the second of a lane must wait");
        drop(first);
        waiting.await.unwrap();
        assert!(lanes.by_key.lock().unwrap().is_empty());
    }
}
