//! For how long a streamed answer is waited for.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::llm::wire::Request;

/// Until something is generated the whole call's time-out counts; from then on no silence may be longer than the idle
/// time-out, and signs of life alone do not help for longer than the time-out.
#[derive(Debug)]
pub(crate) struct Patience {
    timeout: Duration,
    idle: Duration,
    /// When the call began, or something was generated last.
    moved: Instant,
    begun: bool,
}

impl Patience {
    /// From now on, before anything is sent.
    pub(crate) fn begin(request: &Request) -> Self {
        Self { timeout: request.timeout, idle: request.idle_timeout, moved: Instant::now(), begun: false }
    }

    /// Longest silence that may ever be allowed: for what watches the bytes below.
    pub(crate) fn longest(request: &Request) -> Duration {
        request.timeout.max(request.idle_timeout)
    }

    /// Something was generated.
    pub(crate) fn renew(&mut self) {
        self.moved = Instant::now();
        self.begun = true;
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    /// In words, when it takes too long.
    pub(crate) async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<T, String> {
        let late = || format!("silent for {} ms", self.moved.elapsed().as_millis());
        let left = self.left();
        // A time-out of nothing would still take what is there: signs of life without end.
        if left.is_zero() {
            return Err(late());
        }
        tokio::time::timeout(left, next).await.map_err(|_| late())
    }

    fn left(&self) -> Duration {
        let whole = if self.begun { self.timeout.max(self.idle) } else { self.timeout };
        let left = whole.saturating_sub(self.moved.elapsed());
        if self.begun { left.min(self.idle) } else { left }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        time::Duration,
    };

    use tokio::time::Instant;

    use super::Patience;

    /// Of a call with 60 and 10 seconds, so many seconds after it began or moved.
    fn after(seconds: u64, begun: bool) -> Patience {
        let moved = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        Patience { timeout: Duration::from_secs(60), idle: Duration::from_secs(10), moved, begun }
    }

    /// In whole seconds, rounded up: the test itself takes time.
    fn left(patience: &Patience) -> u64 {
        patience.left().as_secs() + 1
    }

    #[test]
    fn the_first_piece_may_take_as_long_as_the_call() {
        assert_eq!(left(&after(1, false)), 59);
        assert_eq!(left(&after(50, false)), 10);
        assert_eq!(after(60, false).left(), Duration::ZERO);
    }

    #[test]
    fn then_silence_counts_and_signs_of_life_help_for_a_while() {
        assert_eq!(after(1, true).left(), Duration::from_secs(10));
        assert_eq!(left(&after(55, true)), 5);
        assert_eq!(after(60, true).left(), Duration::ZERO);
        let mut renewed = after(60, false);
        renewed.renew();
        assert_eq!(renewed.left(), Duration::from_secs(10));
        let slow = Patience { timeout: Duration::from_secs(1), ..after(5, true) };
        assert_eq!(left(&slow), 5, "an idle time-out longer than the call's counts");
    }

    #[tokio::test]
    async fn what_is_there_too_late_is_not_taken() {
        assert!(after(60, true).wait(ready(())).await.unwrap_err().starts_with("silent for 60"));
        assert!(after(1, false).wait(ready(())).await.is_ok());
        let short = Patience { timeout: Duration::from_millis(20), ..after(0, false) };
        assert!(short.wait(pending::<()>()).await.is_err());
    }
}
