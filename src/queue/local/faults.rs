//! Faults on request: rules that make the server fail the way a real one does.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::queue::local::error::{ApiError, Code};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, HTTP 500.
    Error,
    /// Nothing is done, `RequestThrottled`.
    Throttle,
    /// The work is done, the connection is dropped instead of an answer.
    Lose,
    /// A send is stored twice; what a receive gives out stays visible for the next one.
    Duplicate,
    /// Every second entry of a batch fails, beginning with the first.
    Partial,
    /// The answer comes this much later.
    Delay(Duration),
}

/// How often a rule strikes.
#[derive(Debug, Clone)]
enum Chance {
    /// This share of the calls, 0..=1.
    Share(f64),
    /// The next calls, as many as are left; copies of a rule share them.
    Next(Arc<AtomicU32>),
}

/// One rule: `OPERATION:FAULT[:HOW OFTEN]`, such as `ReceiveMessage:throttle:0.1`, `*:delay=200ms`,
/// `DeleteMessageBatch:lose:x3` (the next three calls). Always, when nothing says how often.
#[derive(Debug, Clone)]
pub struct FaultRule {
    operation: String,
    fault: Fault,
    chance: Chance,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no fault rule: OPERATION:error|throttle|lose|duplicate|partial|delay=TIME[:SHARE|:xTIMES], \
     for instance ReceiveMessage:throttle:0.1 or *:delay=200ms or SendMessage:lose:x3"
)]
pub struct BadFaultRule(String);

impl FromStr for FaultRule {
    type Err = BadFaultRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadFaultRule(text.to_owned());
        let mut parts = text.split(':');
        let operation = parts.next().filter(|name| is_operation(name)).ok_or_else(bad)?.to_owned();
        let fault = parts.next().and_then(parse_fault).ok_or_else(bad)?;
        let chance = match parts.next() {
            None => Chance::Share(1.0),
            Some(text) => parse_chance(text).ok_or_else(bad)?,
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { operation, fault, chance })
    }
}

fn is_operation(name: &str) -> bool {
    name == "*" || (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn parse_fault(text: &str) -> Option<Fault> {
    match text {
        "error" => Some(Fault::Error),
        "throttle" => Some(Fault::Throttle),
        "lose" => Some(Fault::Lose),
        "duplicate" => Some(Fault::Duplicate),
        "partial" => Some(Fault::Partial),
        _ => parse_duration(text.strip_prefix("delay=")?).map(Fault::Delay),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn parse_chance(text: &str) -> Option<Chance> {
    if let Some(times) = text.strip_prefix('x') {
        return times.parse().ok().map(|times| Chance::Next(Arc::new(AtomicU32::new(times))));
    }
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Chance::Share)
}

impl FaultRule {
    fn strikes(&self) -> bool {
        match &self.chance {
            Chance::Share(share) => random_share() < *share,
            Chance::Next(left) => {
                left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
            }
        }
    }
}

/// Evenly in 0..1.
fn random_share() -> f64 {
    // The first 32 bits of a version 4 UUID are all random.
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / 4_294_967_296.0
}

/// Everything that goes wrong with one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) delay: Duration,
    pub(super) error: bool,
    pub(super) throttle: bool,
    pub(super) lose: bool,
    pub(super) duplicate: bool,
    pub(super) partial: bool,
}

impl Strike {
    /// What becomes of a batch entry at this place before anybody looks at it.
    pub(super) fn entry(&self, at: usize) -> Result<(), ApiError> {
        if self.partial && at.is_multiple_of(2) {
            return Err(ApiError::new(Code::InternalError, "Fault on request: this entry fails."));
        }
        Ok(())
    }
}

/// All rules of a server.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FaultRule>);

impl Faults {
    pub(super) fn new(rules: Vec<FaultRule>) -> Self {
        Self(rules)
    }

    /// Draws what goes wrong with this call.
    pub(super) fn draw(&self, operation: &str) -> Strike {
        let mut strike = Strike::default();
        let concerned = |rule: &&FaultRule| rule.operation == "*" || rule.operation == operation;
        for rule in self.0.iter().filter(concerned).filter(|rule| rule.strikes()) {
            match rule.fault {
                Fault::Error => strike.error = true,
                Fault::Throttle => strike.throttle = true,
                Fault::Lose => strike.lose = true,
                Fault::Duplicate => strike.duplicate = true,
                Fault::Partial => strike.partial = true,
                Fault::Delay(delay) => strike.delay += delay,
            }
        }
        strike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rule: &str) -> Faults {
        Faults::new(vec![rule.parse().unwrap()])
    }

    #[test]
    fn a_rule_without_a_share_always_strikes_its_operation_only() {
        let faults = faults("ReceiveMessage:throttle");
        assert!(faults.draw("ReceiveMessage").throttle);
        assert_eq!(faults.draw("SendMessage"), Strike::default());
    }

    #[test]
    fn times_run_out() {
        let faults = faults("*:lose:x2");
        let lost: Vec<bool> = (0..4).map(|_| faults.draw("SendMessage").lose).collect();
        assert_eq!(lost, [true, true, false, false]);
    }

    #[test]
    fn a_share_strikes_about_that_often() {
        let faults = faults("*:error:0.25");
        let hits = (0..4_000).filter(|_| faults.draw("X").error).count();
        assert!((700..1_300).contains(&hits), "{hits} of 4000");
    }

    #[test]
    fn delays_have_units() {
        assert_eq!(faults("*:delay=250ms").draw("X").delay, Duration::from_millis(250));
        assert_eq!(faults("*:delay=2s").draw("X").delay, Duration::from_secs(2));
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in ["", "x", "*:explode", "*:error:2", "*:error:-1", "*:delay=5", "*:error:x", "*:error:1:1"]
        {
            let error = text.parse::<FaultRule>().unwrap_err().to_string();
            assert!(error.contains("ReceiveMessage:throttle:0.1"), "{text}: {error}");
        }
    }
}
