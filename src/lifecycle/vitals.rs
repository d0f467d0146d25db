//! Signs of life that a worker or an edge leaves and the health endpoint reads.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst},
    time::{Duration, Instant},
};

use crate::domain::timestamp::Timestamp;

/// How late the executor's tick may be before it counts as stuck.
const LATE_TICK: Duration = Duration::from_secs(10);
/// How long a poll may take beyond the wait that was asked for.
const SLOW_POLL: Duration = Duration::from_secs(60);

/// Signs of life. What is said of polls is said of sends in a process that only sends. Ages are measured with the monotonic clock, so that a corrected wall clock kills nobody.
#[derive(Debug)]
pub struct Vitals {
    started: Instant,
    /// Microseconds after `started`.
    tick: AtomicU64,
    poll: AtomicU64,
    success: AtomicU64,
    /// Wall clock, 0: never.
    success_at: AtomicI64,
    failures: AtomicU32,
    full: AtomicBool,
    draining: AtomicBool,
}

impl Default for Vitals {
    fn default() -> Self {
        Self::started_ago(Duration::ZERO)
    }
}

impl Vitals {
    /// As if the process had started that long ago and given no sign since: for tests of the judgement.
    #[must_use]
    pub fn started_ago(ago: Duration) -> Self {
        let now = Instant::now();
        Self {
            started: now.checked_sub(ago).unwrap_or(now),
            tick: AtomicU64::new(0),
            poll: AtomicU64::new(0),
            success: AtomicU64::new(0),
            success_at: AtomicI64::new(0),
            failures: AtomicU32::new(0),
            full: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// For a process that never polls: no poll loop can be stuck.
    #[must_use]
    pub fn without_polls() -> Self {
        Self { full: AtomicBool::new(true), ..Self::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn age(&self, at: &AtomicU64) -> Duration {
        Duration::from_micros(self.now().saturating_sub(at.load(SeqCst)))
    }

    /// The executor turns.
    pub fn tick(&self) {
        self.tick.store(self.now(), SeqCst);
    }

    /// A receive begins.
    pub fn poll_started(&self, _at: Timestamp) {
        self.poll.store(self.now(), SeqCst);
    }

    /// A receive was answered, with messages or without.
    pub fn poll_succeeded(&self, at: Timestamp) {
        self.failures.store(0, SeqCst);
        self.success.store(self.now(), SeqCst);
        self.success_at.store(at.0, SeqCst);
    }

    /// A receive failed; answers how many did in a row.
    pub fn poll_failed(&self) -> u32 {
        self.failures.fetch_add(1, SeqCst).saturating_add(1)
    }

    /// All slots are taken, so nothing is asked for; or that is over. Until it is over the poll loop need
    /// not show itself: work that takes long must not look like a stuck loop.
    pub fn waits_for_room(&self, waits: bool) {
        if !waits {
            self.poll.store(self.now(), SeqCst);
        }
        self.full.store(waits, SeqCst);
    }

    /// Nothing new is received any more.
    pub fn drain(&self) {
        self.draining.store(true, SeqCst);
    }

    /// Is it stopping?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// How long ago the last answered receive was, or the start when there was none; when it was by the wall
    /// clock; and how many failed since.
    #[must_use]
    pub fn last_poll(&self) -> (Duration, Option<Timestamp>, u32) {
        let at = Some(Timestamp(self.success_at.load(SeqCst))).filter(|at| at.0 != 0);
        (self.age(&self.success), at, self.failures.load(SeqCst))
    }

    /// How many calls to the queue failed in a row, where the latest began within the last `window`. An older
    /// failure says nothing about now.
    #[must_use]
    pub fn failing(&self, window: Duration) -> u32 {
        if self.age(&self.poll) <= window { self.failures.load(SeqCst) } else { 0 }
    }

    /// What is stuck inside this process, if anything. Never asks the outside: a restart would not help it.
    #[must_use]
    pub fn stuck(&self, wait: Duration) -> Option<String> {
        let tick = self.age(&self.tick);
        if tick > LATE_TICK {
            return Some(format!("the executor has not turned for {} s", tick.as_secs()));
        }
        let poll = self.age(&self.poll);
        let excused = self.full.load(SeqCst) || self.is_draining();
        (poll > wait + SLOW_POLL && !excused)
            .then(|| format!("the poll loop has not moved for {} s", poll.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_fresh_process_lives() {
        assert_eq!(Vitals::default().stuck(WAIT), None);
    }

    #[test]
    fn an_executor_that_does_not_turn_is_stuck() {
        let vitals = Vitals::started_ago(Duration::from_secs(11));
        assert!(vitals.stuck(WAIT).unwrap().contains("executor"));
        vitals.tick();
        assert_eq!(vitals.stuck(WAIT), None);
    }

    #[test]
    fn a_poll_loop_that_does_not_move_is_stuck_unless_excused() {
        let stuck = || {
            let vitals = Vitals::started_ago(Duration::from_secs(81));
            vitals.tick();
            vitals
        };
        assert!(stuck().stuck(WAIT).unwrap().contains("poll loop"));
        let polling = stuck();
        polling.poll_started(Timestamp(1));
        assert_eq!(polling.stuck(WAIT), None);
        let full = stuck();
        full.waits_for_room(true);
        assert_eq!(full.stuck(WAIT), None);
        let draining = stuck();
        draining.drain();
        assert_eq!(draining.stuck(WAIT), None);
    }

    #[test]
    fn failures_count_until_a_success() {
        let vitals = Vitals::started_ago(Duration::from_secs(300));
        assert_eq!((vitals.poll_failed(), vitals.poll_failed()), (1, 2));
        assert_eq!((vitals.last_poll().1, vitals.last_poll().2), (None, 2));
        assert!(vitals.last_poll().0 >= Duration::from_secs(300));
        vitals.poll_succeeded(Timestamp(5));
        let (age, at, failures) = vitals.last_poll();
        assert!(age < Duration::from_secs(60));
        assert_eq!((at, failures), (Some(Timestamp(5)), 0));
    }
}
