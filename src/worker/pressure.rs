//! When nearly everything comes back "not now", receiving more only moves the line from the queue into
//! deferrals: receiving slows down until something gets through again.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Ends of events that are looked back on.
const WINDOW: usize = 50;
/// So many of these, in percent, must have been deferrals.
const MOSTLY: usize = 80;
/// Between receives while it lasts.
const SLOW: Duration = Duration::from_secs(1);

/// The latest ends of events: deferred, or anything else.
#[derive(Default)]
pub(super) struct Pressure(Mutex<VecDeque<bool>>);

impl Pressure {
    /// Notes one end.
    pub(super) fn note(&self, deferred: bool) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.push_back(deferred);
        if ends.len() > WINDOW {
            ends.pop_front();
        }
    }

    /// How long to wait before the next receive.
    pub(super) fn pause(&self) -> Duration {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deferred = ends.iter().filter(|deferred| **deferred).count();
        if ends.len() == WINDOW && deferred * 100 > WINDOW * MOSTLY { SLOW } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pressure, SLOW, WINDOW};

    #[test]
    fn slows_only_above_four_fifths_and_recovers() {
        let pressure = Pressure::default();
        (0..WINDOW).for_each(|n| pressure.note(n % 5 != 0));
        assert_eq!(pressure.pause(), Duration::ZERO, "exactly 80 % is not more than 80 %");
        (0..WINDOW).for_each(|_| pressure.note(true));
        assert_eq!(pressure.pause(), SLOW);
        (0..10).for_each(|_| pressure.note(false));
        assert_eq!(pressure.pause(), Duration::ZERO);
    }
}
