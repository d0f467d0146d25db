//! A circuit breaker for one model behind one credential. It opens after failures in a row, or at once when nothing
//! can be had there (no credit, a refused key), and then lets a single call decide. A state machine that is told
//! the time: it lives in its process only and goes by the monotonic clock.

use std::time::{Duration, Instant};

/// Longest rest between two probes of a model that keeps failing.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// Who comes while a probe is under way asks again after this, or after the rest where that is shorter.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// So many "too fast" in a row, with no answer between them, close the gate for everyone until the hint.
const TOO_FAST_IN_A_ROW: u32 = 2;

/// What a call says about its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers, whatever it said.
    Well,
    /// Its own failure, an overload, a time-out, or no way to it.
    Failed(String),
    /// Nothing can be had there for so long: no credit, a refused key.
    Away(Duration, String),
    /// Too fast; with its hint.
    TooFast(Option<Duration>),
}

/// Leave for one call.
#[derive(Debug)]
pub(crate) struct Pass {
    /// This call alone decides whether the model is asked again.
    pub(crate) probe: bool,
    epoch: u64,
}

/// No leave now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shut {
    /// Come back after this.
    pub(crate) wait: Duration,
    /// For operators.
    pub(crate) why: String,
    /// A wait that the model itself asks for, not an outage.
    pub(crate) asked: bool,
}

/// The breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures_allowed: u32,
    first_rest: Duration,
    phase: Phase,
    /// Counts openings and closings: calls that began before the last one have no say any more.
    epoch: u64,
    too_fast: u32,
    hint_until: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant, rest: Duration, why: String },
    Probing { rest: Duration, why: String },
}

/// How a breaker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Closed,
    Open(Duration, String),
    Probing(String),
}

impl Breaker {
    pub(crate) fn new(failures_allowed: u32, first_rest: Duration) -> Self {
        Self {
            failures_allowed: failures_allowed.max(1),
            first_rest: first_rest.min(LONGEST_REST),
            phase: Phase::Closed { failures: 0 },
            epoch: 0,
            too_fast: 0,
            hint_until: None,
        }
    }

    /// Would a call get leave? Changes nothing.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Shut> {
        match &self.phase {
            Phase::Closed { .. } => self.hint(now),
            Phase::Open { until, .. } if *until <= now => Ok(()),
            Phase::Open { until, why, .. } => {
                Err(Shut { wait: until.duration_since(now), why: why.clone(), asked: false })
            }
            Phase::Probing { rest, why } => {
                Err(Shut { wait: PROBE_PATIENCE.min(*rest), why: why.clone(), asked: false })
            }
        }
    }

    /// Leave for one call; after a rest for one alone.
    pub(crate) fn enter(&mut self, now: Instant) -> Result<Pass, Shut> {
        self.check(now)?;
        let probe = match &self.phase {
            Phase::Open { rest, why, .. } => {
                self.phase = Phase::Probing { rest: *rest, why: why.clone() };
                true
            }
            Phase::Closed { .. } | Phase::Probing { .. } => false,
        };
        Ok(Pass { probe, epoch: self.epoch })
    }

    /// A call has ended. Answers true when that opened or closed the breaker.
    pub(crate) fn ended(&mut self, pass: &Pass, verdict: Verdict, now: Instant) -> bool {
        if let Verdict::TooFast(hint) = &verdict {
            self.hurried(*hint, now);
        } else if verdict == Verdict::Well {
            self.too_fast = 0;
        }
        if pass.epoch != self.epoch {
            return false;
        }
        match (verdict, &mut self.phase) {
            (Verdict::Well | Verdict::TooFast(_), Phase::Probing { .. }) => {
                self.phase = Phase::Closed { failures: 0 };
                self.epoch += 1;
                true
            }
            (Verdict::Well, Phase::Closed { failures }) => {
                *failures = 0;
                false
            }
            (Verdict::Failed(why), Phase::Closed { failures }) => {
                *failures += 1;
                let open = *failures >= self.failures_allowed;
                if open {
                    self.open(self.first_rest, self.first_rest, why, now);
                }
                open
            }
            (Verdict::Failed(why), Phase::Probing { rest, .. }) => {
                let rest = rest.saturating_mul(2).clamp(self.first_rest, LONGEST_REST);
                self.open(rest, rest, why, now);
                true
            }
            (Verdict::Away(wait, why), Phase::Closed { .. } | Phase::Probing { .. }) => {
                self.open(wait, self.first_rest, why, now);
                true
            }
            // Too fast is no outage; and whoever began in this epoch began before it was open or as its probe.
            (Verdict::TooFast(_), Phase::Closed { .. }) | (_, Phase::Open { .. }) => false,
        }
    }

    /// A call that got leave and was never made: a probe is still owed.
    pub(crate) fn abandoned(&mut self, pass: &Pass, now: Instant) {
        if let (true, Phase::Probing { rest, why }) = (pass.probe && pass.epoch == self.epoch, &self.phase) {
            self.phase = Phase::Open { until: now, rest: *rest, why: why.clone() };
        }
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        match &self.phase {
            Phase::Closed { .. } => Standing::Closed,
            Phase::Open { until, why, .. } => {
                Standing::Open(until.saturating_duration_since(now), why.clone())
            }
            Phase::Probing { why, .. } => Standing::Probing(why.clone()),
        }
    }

    fn open(&mut self, wait: Duration, rest: Duration, why: String, now: Instant) {
        self.phase = Phase::Open { until: now + wait, rest, why };
        self.epoch += 1;
    }

    fn hint(&self, now: Instant) -> Result<(), Shut> {
        let until = self.hint_until.filter(|until| self.too_fast >= TOO_FAST_IN_A_ROW && *until > now);
        until.map_or(Ok(()), |until| {
            let why = "too fast: the provider asks to wait".to_owned();
            Err(Shut { wait: until.duration_since(now), why, asked: true })
        })
    }

    fn hurried(&mut self, hint: Option<Duration>, now: Instant) {
        self.too_fast = self.too_fast.saturating_add(1);
        self.hint_until = self.hint_until.max(hint.and_then(|hint| now.checked_add(hint)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Breaker, LONGEST_REST, Pass, Shut, Standing, Verdict};

    const REST: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    fn failed() -> Verdict {
        Verdict::Failed("500".to_owned())
    }

    /// A breaker that five failures have opened.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(5, REST);
        for n in 0..5 {
            let pass = breaker.enter(now).unwrap();
            assert_eq!(breaker.ended(&pass, failed(), now), n == 4);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_by_one_probe() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.enter(now + SECOND).unwrap_err().wait, REST - SECOND);
        let later = now + REST;
        let probe = breaker.enter(later).unwrap();
        assert!(probe.probe);
        assert_eq!(breaker.enter(later).unwrap_err().wait, Duration::from_secs(5), "one alone");
        assert!(breaker.ended(&probe, Verdict::Well, later));
        assert!(!breaker.enter(later).unwrap().probe);
    }

    #[test]
    fn an_answer_between_them_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(2, REST);
        for verdict in [failed(), Verdict::Well, failed(), Verdict::TooFast(None)] {
            let pass = breaker.enter(now).unwrap();
            assert!(!breaker.ended(&pass, verdict, now));
        }
        let pass = breaker.enter(now).unwrap();
        assert!(breaker.ended(&pass, failed(), now), "too fast is neither a failure nor an answer");
    }

    #[test]
    fn a_rest_doubles_with_each_failed_probe_up_to_ten_minutes() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for rest in [30, 60, 120, 240, 480, 600, 600] {
            let rest = Duration::from_secs(rest);
            assert_eq!(breaker.enter(now).unwrap_err().wait, rest);
            now += rest;
            let probe = breaker.enter(now).unwrap();
            assert!(breaker.ended(&probe, failed(), now));
        }
    }

    #[test]
    fn a_probe_that_was_never_made_is_still_owed() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let probe = breaker.enter(now + REST).unwrap();
        breaker.abandoned(&probe, now + REST);
        assert!(breaker.enter(now + REST).unwrap().probe);
    }

    #[test]
    fn calls_that_began_before_it_opened_have_no_say() {
        let now = Instant::now();
        let mut breaker = Breaker::new(1, REST);
        let (first, second, third) =
            (breaker.enter(now).unwrap(), breaker.enter(now).unwrap(), breaker.enter(now).unwrap());
        assert!(breaker.ended(&first, failed(), now));
        assert!(!breaker.ended(&second, Verdict::Well, now));
        assert_eq!(breaker.enter(now).unwrap_err().wait, REST);
        let probe = breaker.enter(now + REST).unwrap();
        assert!(!breaker.ended(&third, failed(), now + REST));
        assert!(breaker.ended(&probe, Verdict::Well, now + REST));
    }

    #[test]
    fn no_credit_and_refused_keys_open_it_at_once_and_for_long() {
        let now = Instant::now();
        let mut breaker = Breaker::new(5, REST);
        let pass = breaker.enter(now).unwrap();
        let long = Duration::from_secs(900);
        assert!(breaker.ended(&pass, Verdict::Away(long, "no credit".to_owned()), now));
        assert_eq!(breaker.enter(now), Err(Shut { wait: long, why: "no credit".to_owned(), asked: false }));
        assert!(breaker.enter(now + long).unwrap().probe);
    }

    #[test]
    fn two_too_fast_in_a_row_close_the_gate_until_the_latest_hint() {
        let now = Instant::now();
        let mut breaker = Breaker::new(5, REST);
        let mut hurry = |hint: u64, at: Instant| {
            let pass = breaker.enter(at).unwrap();
            breaker.ended(&pass, Verdict::TooFast(Some(Duration::from_secs(hint))), at);
            breaker.check(at)
        };
        assert_eq!(hurry(9, now), Ok(()), "one may be about one call");
        let shut = hurry(2, now + SECOND).unwrap_err();
        assert_eq!((shut.wait, shut.asked), (Duration::from_secs(8), true));
        let again = now + Duration::from_secs(9);
        assert_eq!(hurry(3, again).unwrap_err().wait, Duration::from_secs(3), "still no answer between");
        let pass = breaker.enter(again + Duration::from_secs(3)).unwrap();
        breaker.ended(&pass, Verdict::Well, again);
        assert_eq!(breaker.standing(again), Standing::Closed);
    }

    impl PartialEq for Pass {
        fn eq(&self, other: &Self) -> bool {
            (self.probe, self.epoch) == (other.probe, other.epoch)
        }
    }

    proptest! {
        /// Whatever happens: one probe at most, no wait beyond ten minutes for failures, and never shut for good.
        #[test]
        fn never_two_probes_and_never_shut_for_good(
            steps in proptest::collection::vec((0u8..6, 0u64..700), 1..200)
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(3, REST);
            let mut under_way: Vec<Pass> = Vec::new();
            for (step, wait) in steps {
                match step {
                    0 | 1 => match breaker.enter(now) {
                        Ok(pass) => {
                            let probes = under_way.iter().filter(|one| one.probe && one.epoch == pass.epoch);
                            prop_assert!(!pass.probe || probes.count() == 0);
                            under_way.push(pass);
                        }
                        Err(shut) => prop_assert!(shut.wait <= LONGEST_REST && !shut.wait.is_zero()),
                    },
                    2 => now += Duration::from_secs(wait),
                    _ => if let Some(pass) = under_way.pop() {
                        match step {
                            3 => drop(breaker.ended(&pass, failed(), now)),
                            4 => drop(breaker.ended(&pass, Verdict::Well, now)),
                            _ => breaker.abandoned(&pass, now),
                        }
                    },
                }
            }
            for pass in under_way {
                breaker.abandoned(&pass, now);
            }
            prop_assert!(breaker.enter(now + LONGEST_REST).is_ok());
        }
    }
}
