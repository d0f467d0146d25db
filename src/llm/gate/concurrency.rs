//! How many calls at once a model bears: additive increase, multiplicative decrease. It starts small and doubles; at
//! an overload it remembers the level that failed, comes close to it quickly, stays just below, and goes above it
//! rarely, because every look costs a refused call. A state machine that is told the time.

use std::time::{Duration, Instant};

/// Calls at once in the beginning.
const START: u32 = 4;
/// What is left of the level that failed.
const CUT: f64 = 0.7;
/// At most one cut within a round trip, or within this.
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);
/// Answers without an overload after which the level that failed is tried again: one refused call in so many is well
/// below one in a hundred ...
const CALM_ANSWERS: u32 = 250;
/// ... but not sooner than this,
const CALM_AT_LEAST: Duration = Duration::from_secs(10);
/// and where calls are few, after this.
const CALM_AT_MOST: Duration = Duration::from_secs(40);

/// A call on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    began: Instant,
    /// Calls on the wire then, itself included.
    busy: u32,
    /// What was allowed then.
    level: u32,
}

/// The level of one model.
#[derive(Debug)]
pub(crate) struct Level {
    most: f64,
    limit: f64,
    /// Every answer raises the level by one, which doubles it each round trip.
    doubling: bool,
    /// Lowest level that is known to fail.
    failed_at: Option<f64>,
    /// Answers at the level that failed before, while it is tried again.
    trial: Option<u32>,
    calm: u32,
    last_cut: Option<Instant>,
    round_trip: Duration,
}

impl Level {
    pub(crate) fn new(most: u32) -> Self {
        let most = f64::from(most.max(1));
        Self {
            most,
            limit: most.min(f64::from(START)),
            doubling: true,
            failed_at: None,
            trial: None,
            calm: 0,
            last_cut: None,
            round_trip: Duration::ZERO,
        }
    }

    /// All of it from the beginning.
    pub(crate) fn open(most: u32) -> Self {
        Self { limit: f64::from(most.max(1)), ..Self::new(most) }
    }

    /// Calls at once that are allowed now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a u32")]
    pub(crate) fn limit(&self) -> u32 {
        self.limit.floor() as u32
    }

    /// How long a call takes, on average.
    pub(crate) fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// A call goes on the wire, as one of so many.
    pub(crate) fn sent(&self, began: Instant, busy: u32) -> Sent {
        Sent { began, busy, level: self.limit() }
    }

    /// A call was answered, as one of so many.
    pub(crate) fn answered(&mut self, call: Sent, busy: u32, now: Instant) {
        let took = now.saturating_duration_since(call.began);
        self.round_trip =
            if self.round_trip.is_zero() { took } else { self.round_trip.mul_f64(0.9) + took.mul_f64(0.1) };
        self.calm = self.calm.saturating_add(1);
        let busy = f64::from(busy.max(call.busy));
        match (self.failed_at, self.trial) {
            // A level that was not used says nothing about what lies above it.
            _ if busy < f64::from(call.level) * 0.75 => {}
            (None, _) => self.limit += if self.doubling { 1.0 } else { 1.0 / self.limit },
            (Some(level), Some(answers)) => self.tried(level, answers, busy),
            (Some(level), None) => self.approach(level, now),
        }
        self.limit = self.limit.clamp(1.0, self.most);
    }

    /// A call was refused as too much, or too fast, as one of so many: which of two that left together arrives first,
    /// and which is refused, nobody knows.
    pub(crate) fn overloaded(&mut self, call: Sent, busy: u32, now: Instant) {
        let window = self.round_trip.max(SHORTEST_WINDOW);
        self.calm = 0;
        if self.last_cut.is_some_and(|cut| call.began < cut || now.saturating_duration_since(cut) < window) {
            return;
        }
        self.last_cut = Some(now);
        self.trial = None;
        let level = self.limit.floor();
        if level <= 1.0 {
            // Not even one: that is no question of how many.
            (self.limit, self.failed_at, self.doubling) = (1.0, None, true);
            return;
        }
        let busy = f64::from(busy.max(call.busy));
        if busy >= level / 2.0 {
            let failed = busy.clamp(2.0, level);
            self.failed_at = Some(failed);
            self.limit = (failed * CUT).floor().max(1.0);
        } else {
            self.limit = (level * CUT).floor().max(1.0);
        }
        self.doubling = false;
    }

    /// After an outage: from the beginning.
    pub(crate) fn start_again(&mut self) {
        let round_trip = self.round_trip;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it came from a u32")]
        let most = self.most as u32;
        *self = Self { round_trip, ..Self::new(most) };
    }

    /// Half of the way to just below the level that failed with each round trip; there, now and then, above it.
    fn approach(&mut self, level: f64, now: Instant) {
        let hold = (level - 1.0).max(1.0);
        let gap = hold - self.limit;
        if gap > 0.0 {
            self.limit = (self.limit + (gap / 2.0).max(1.0) / self.limit).min(hold);
        } else if self.is_ripe(now) {
            self.limit = level;
            self.trial = Some(0);
        }
    }

    /// It bears the level that failed before when it answered that often with so many on the wire.
    fn tried(&mut self, level: f64, answers: u32, busy: f64) {
        let answers = answers + u32::from(busy >= level);
        self.trial = Some(answers);
        if f64::from(answers) >= 2.0 * level {
            (self.trial, self.failed_at, self.doubling) = (None, None, true);
        }
    }

    fn is_ripe(&self, now: Instant) -> bool {
        let rest = self.last_cut.map_or(Duration::MAX, |cut| now.saturating_duration_since(cut));
        rest >= CALM_AT_MOST || (rest >= CALM_AT_LEAST && self.calm >= CALM_ANSWERS)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Level, Sent};

    /// A provider that bears so many at once and answers each after `takes`; asked as fast as the level allows.
    struct Simulated {
        level: Level,
        now: Instant,
        wire: Vec<Sent>,
        answers: u32,
        refused: u32,
    }

    const TICK: Duration = Duration::from_millis(20);

    impl Simulated {
        fn new(most: u32) -> Self {
            Self { level: Level::new(most), now: Instant::now(), wire: Vec::new(), answers: 0, refused: 0 }
        }

        /// Goes on for `time`; refusals come back after one tick.
        fn run(&mut self, time: Duration, bears: u32, takes: Duration) {
            let end = self.now + time;
            (self.answers, self.refused) = (0, 0);
            while self.now < end {
                self.now += TICK;
                let now = self.now;
                let (done, wire): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire)
                    .into_iter()
                    .partition(|call: &Sent| now.duration_since(call.began) >= takes);
                self.wire = wire;
                let mut busy = u32::try_from(done.len() + self.wire.len()).unwrap();
                for call in done {
                    self.answers += 1;
                    self.level.answered(call, busy, now);
                    busy -= 1;
                }
                while u32::try_from(self.wire.len()).unwrap() < self.level.limit() {
                    let busy = u32::try_from(self.wire.len()).unwrap() + 1;
                    if busy > bears {
                        self.refused += 1;
                        let call = self.level.sent(now, busy);
                        self.level.overloaded(call, busy, now + Duration::from_millis(1));
                        break;
                    }
                    self.wire.push(self.level.sent(now, busy));
                }
            }
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn finds_a_limit_that_nobody_told_and_stays_just_below() {
        let mut simulated = Simulated::new(64);
        let takes = Duration::from_millis(500);
        simulated.run(MINUTE / 2, 5, takes);
        simulated.run(2 * MINUTE, 5, takes);
        let (answers, refused) = (simulated.answers, simulated.refused);
        assert!(refused * 100 <= answers, "{refused} of {answers} refused");
        let possible = 120 * 2 * 5;
        assert!(answers * 100 >= possible * 93, "{answers} of {possible}");
    }

    #[test]
    fn finds_a_doubled_limit_within_a_minute() {
        for (bears, takes) in [(5, 400), (10, 800), (20, 2_000)] {
            let mut simulated = Simulated::new(64);
            let takes = Duration::from_millis(takes);
            simulated.run(MINUTE, bears, takes);
            assert!(simulated.level.limit() <= bears);
            simulated.run(MINUTE, 2 * bears, takes);
            let limit = simulated.level.limit();
            assert!(limit * 10 >= 2 * bears * 9, "{limit} of {}", 2 * bears);
        }
    }

    #[test]
    fn doubles_up_to_its_own_limit_where_nothing_is_refused() {
        let mut simulated = Simulated::new(500);
        simulated.run(Duration::from_secs(6), u32::MAX, Duration::from_millis(500));
        assert_eq!(simulated.level.limit(), 500);
    }

    #[test]
    fn is_cut_once_for_all_refusals_of_one_round_trip() {
        let now = Instant::now();
        let mut level = Level::new(64);
        for _ in 0..60 {
            level.answered(level.sent(now, 64), 64, now + Duration::from_millis(100));
        }
        assert_eq!(level.limit(), 64);
        let later = now + Duration::from_secs(1);
        for _ in 0..30 {
            level.overloaded(level.sent(later, 64), 64, later);
        }
        assert_eq!(level.limit(), 44);
        level.overloaded(level.sent(later, 44), 44, later + Duration::from_millis(999));
        assert_eq!(level.limit(), 44, "sent before the cut was felt");
        let call = level.sent(later + Duration::from_secs(1), 44);
        level.overloaded(call, 44, later + Duration::from_secs(2));
        assert_eq!(level.limit(), 30);
    }

    #[test]
    fn the_level_that_failed_counts_who_left_a_moment_later() {
        let now = Instant::now();
        let mut level = Level::new(64);
        let calls: Vec<_> = (1..=6).map(|busy| level.sent(now, busy)).collect();
        for _ in 0..2 {
            level.answered(calls[3], 4, now);
        }
        // Six are on the wire; the fifth of them is refused, because the sixth came before it.
        level.overloaded(calls[4], 6, now);
        for _ in 0..20 {
            level.answered(level.sent(now, level.limit()), level.limit(), now);
        }
        assert_eq!(level.limit(), 5);
    }

    #[test]
    fn a_level_that_is_not_used_is_not_raised() {
        let now = Instant::now();
        let mut level = Level::new(64);
        for _ in 0..100 {
            level.answered(level.sent(now, 1), 1, now);
        }
        assert_eq!(level.limit(), 4);
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(
            most in 1u32..100, steps in proptest::collection::vec((any::<bool>(), 1u32..120, 0u64..5_000), 0..300)
        ) {
            let mut now = Instant::now();
            let mut level = Level::new(most);
            for (good, busy, millis) in steps {
                let before = level.limit();
                let call = level.sent(now, busy);
                now += Duration::from_millis(millis);
                if good { level.answered(call, busy, now) } else { level.overloaded(call, busy, now) }
                prop_assert!((1..=most).contains(&level.limit()));
                prop_assert!(good || level.limit() <= before);
            }
        }
    }
}
