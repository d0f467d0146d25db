//! For how long a streamed answer is waited for.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::llm::contract::Request;

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
        let left = self.left(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        tokio::time::timeout(left, next).await.map_err(|_| late())
    }

    /// How long the next sign of life may take.
    fn left(&self, now: Instant) -> Duration {
        let silence = now.saturating_duration_since(self.moved);
        if self.begun {
            self.idle.min(self.timeout.max(self.idle).saturating_sub(silence))
        } else {
            self.timeout.saturating_sub(silence)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Patience;

    const IDLE: Duration = Duration::from_secs(10);

    fn patience(begun: bool) -> (Patience, impl Fn(u64) -> Instant) {
        let moved = Instant::now();
        let patience = Patience { timeout: Duration::from_secs(60), idle: IDLE, moved, begun };
        (patience, move |seconds| moved + Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_piece_may_take_as_long_as_the_call() {
        let (patience, after) = patience(false);
        assert_eq!(patience.left(after(0)), Duration::from_secs(60));
        assert_eq!(patience.left(after(50)), IDLE);
        assert_eq!(patience.left(after(60)), Duration::ZERO, "not even for what is there");
    }

    #[test]
    fn then_silence_counts_and_signs_of_life_help_for_a_while() {
        let (patience, after) = patience(true);
        assert_eq!(patience.left(after(0)), IDLE);
        assert_eq!(patience.left(after(45)), IDLE, "signs of life came meanwhile");
        assert_eq!(patience.left(after(54)), Duration::from_secs(6));
        assert_eq!(patience.left(after(61)), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_is_late_is_said_in_words() {
        let patience = Patience { timeout: Duration::ZERO, idle: IDLE, moved: Instant::now(), begun: false };
        assert!(patience.wait(std::future::ready(())).await.unwrap_err().starts_with("silent for "));
    }
}
