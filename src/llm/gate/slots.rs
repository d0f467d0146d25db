//! Places for calls at once, as many as the level allows; who finds none waits in line.

use std::{
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::llm::gate::concurrency::{Level, Sent};

/// The places of one model.
#[derive(Debug)]
pub(crate) struct Slots {
    places: Mutex<Places>,
    freed: Notify,
    waiting: AtomicU32,
}

#[derive(Debug)]
struct Places {
    level: Level,
    taken: u32,
    on_wire: u32,
}

/// What a call's end says about the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Answered,
    Overloaded,
    /// Says nothing.
    Silent,
}

impl Slots {
    /// `open`: there is nothing to find out, all places are there from the beginning.
    pub(crate) fn new(most: u32, open: bool) -> Self {
        let level = if open { Level::open(most) } else { Level::new(most) };
        let places = Places { level, taken: 0, on_wire: 0 };
        Self { places: Mutex::new(places), freed: Notify::new(), waiting: AtomicU32::new(0) }
    }

    /// A place, if one is free and nobody waits for it.
    pub(crate) fn try_take(&self) -> bool {
        self.waiting() == 0 && self.places().take()
    }

    /// A place, in the order of asking. Whoever stops waiting leaves the line.
    pub(crate) async fn take(&self) {
        let _in_line = InLine::enter(&self.waiting);
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.places().take() {
                self.call_next();
                return;
            }
            freed.await;
        }
    }

    pub(crate) fn give_back(&self) {
        let mut places = self.places();
        places.taken = places.taken.saturating_sub(1);
        drop(places);
        self.call_next();
    }

    /// The place's call goes on the wire.
    pub(crate) fn sent(&self, began: Instant) -> Sent {
        let mut places = self.places();
        places.on_wire += 1;
        places.level.sent(began, places.on_wire)
    }

    /// It came back.
    pub(crate) fn returned(&self, call: Sent, load: Load, now: Instant) {
        let mut places = self.places();
        let busy = places.on_wire;
        places.on_wire = busy.saturating_sub(1);
        match load {
            Load::Answered => places.level.answered(call, busy, now),
            Load::Overloaded => places.level.overloaded(call, busy, now),
            Load::Silent => {}
        }
    }

    pub(crate) fn start_again(&self) {
        self.places().level.start_again();
    }

    pub(crate) fn limit(&self) -> u32 {
        self.places().level.limit()
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How long somebody who comes now would wait, about.
    pub(crate) fn expected_wait(&self) -> Duration {
        let places = self.places();
        let ahead = self.waiting() + u32::from(places.taken >= places.level.limit());
        places.level.round_trip() * ahead / places.level.limit().max(1)
    }

    fn call_next(&self) {
        let places = self.places();
        if places.taken < places.level.limit() {
            self.freed.notify_one();
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn take(&mut self) -> bool {
        let free = self.taken < self.level.limit();
        self.taken += u32::from(free);
        free
    }
}

/// One of those who wait; leaves the line however it ends.
struct InLine<'a>(&'a AtomicU32);

impl<'a> InLine<'a> {
    fn enter(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::{Load, Slots};

    #[tokio::test]
    async fn who_waits_gets_the_place_that_comes_free() {
        let slots = Arc::new(Slots::new(1, false));
        assert!(slots.try_take());
        assert!(!slots.try_take());
        let line: Vec<_> = (0..20)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move {
                    slots.take().await;
                    slots.give_back();
                })
            })
            .collect();
        while slots.waiting() < 20 {
            tokio::task::yield_now().await;
        }
        line[7].abort();
        slots.give_back();
        for (n, one) in line.into_iter().enumerate() {
            assert_eq!(one.await.is_ok(), n != 7);
        }
        assert!(slots.try_take());
    }

    #[tokio::test]
    async fn a_raised_level_lets_all_in_that_it_can() {
        let slots = Arc::new(Slots::new(64, false));
        for _ in 0..4 {
            assert!(slots.try_take());
        }
        let line: Vec<_> = (0..5)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move { slots.take().await })
            })
            .collect();
        while slots.waiting() < 5 {
            tokio::task::yield_now().await;
        }
        let now = Instant::now();
        let calls: Vec<_> = (0..4).map(|_| slots.sent(now)).collect();
        for call in calls {
            slots.returned(call, Load::Answered, now);
        }
        // The first was sent with three quarters of the level idle: it says nothing.
        assert!(slots.limit() >= 5, "{}", slots.limit());
        for _ in 0..4 {
            slots.give_back();
        }
        for one in line {
            one.await.unwrap();
        }
    }
}
