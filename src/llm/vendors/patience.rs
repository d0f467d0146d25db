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
        let silence = self.moved.elapsed();
        let late = || format!("silent for {} ms", self.moved.elapsed().as_millis());
        let left = if self.begun {
            self.idle.min(self.timeout.max(self.idle).saturating_sub(silence))
        } else {
            self.timeout.saturating_sub(silence)
        };
        if left.is_zero() {
            return Err(late());
        }
        tokio::time::timeout(left, next).await.map_err(|_| late())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use super::Patience;

    fn patience() -> Patience {
        let (timeout, idle) = (Duration::from_secs(60), Duration::from_secs(10));
        Patience { timeout, idle, moved: tokio::time::Instant::now(), begun: false }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_piece_may_take_as_long_as_the_call() {
        let (patience, begun) = (patience(), tokio::time::Instant::now());
        assert!(patience.wait(tokio::time::sleep(Duration::from_secs(50))).await.is_ok());
        assert!(patience.wait(pending::<()>()).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 60);
        assert!(patience.wait(std::future::ready(())).await.is_err(), "not even for what is there");
    }

    #[tokio::test(start_paused = true)]
    async fn then_silence_counts_and_signs_of_life_help_for_a_while() {
        let mut patience = patience();
        patience.renew();
        let begun = tokio::time::Instant::now();
        assert!(patience.wait(pending::<()>()).await.unwrap_err().contains("10000 ms"));
        for _ in 0..5 {
            let sign = patience.wait(tokio::time::sleep(Duration::from_secs(9))).await;
            assert!(sign.is_ok());
        }
        assert!(patience.wait(tokio::time::sleep(Duration::from_secs(9))).await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 60);
    }
}
