//! How fast the stand-in's model may be asked: by a strict sliding minute, and by requests under way.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::cli::dev::outside::script::{Fault, error};

const MINUTE: Duration = Duration::from_secs(60);
/// What somebody who has too many requests under way is told to wait: nobody knows when one ends.
const TOO_MANY: Duration = Duration::from_secs(1);

/// What is allowed; absent: anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Requests within any sixty seconds.
    pub requests_per_minute: Option<u32>,
    /// Tokens, in and out, within any sixty seconds.
    pub tokens_per_minute: Option<u32>,
    /// Requests under way.
    pub in_flight: Option<u32>,
}

impl Limits {
    /// Twice as much of everything.
    #[must_use]
    pub fn doubled(self) -> Self {
        let twice = |limit: Option<u32>| limit.map(|limit| limit.saturating_mul(2));
        Self {
            requests_per_minute: twice(self.requests_per_minute),
            tokens_per_minute: twice(self.tokens_per_minute),
            in_flight: twice(self.in_flight),
        }
    }
}

/// Goes with a request that is under way.
#[derive(Debug)]
pub(crate) struct Pass(#[expect(dead_code, reason = "counted by its clones")] Arc<()>);

/// What was admitted in the last minute. Refused requests do not count.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    pub(crate) limits: Limits,
    admitted: VecDeque<(Instant, i64)>,
    under_way: Arc<()>,
}

impl Limiter {
    /// Admits a request of so many tokens, or says when to come again, as OpenAI words it.
    pub(crate) fn admit(&mut self, model: &str, tokens: i64, now: Instant) -> Result<Pass, Fault> {
        while self.admitted.front().is_some_and(|(at, _)| now.duration_since(*at) >= MINUTE) {
            self.admitted.pop_front();
        }
        let under_way = Arc::strong_count(&self.under_way) - 1;
        if self.limits.in_flight.is_some_and(|limit| under_way >= limit as usize) {
            let message = format!("Too many requests under way for {model}: {under_way}. Please slow down.");
            return Err(refusal(&message, "requests", TOO_MANY));
        }
        let requests = i64::try_from(self.admitted.len()).unwrap_or(i64::MAX);
        let spent = self.admitted.iter().map(|(_, tokens)| tokens).sum();
        self.fits(model, ("requests", "RPM"), self.limits.requests_per_minute, (requests, 1), now, |_| 1)?;
        let of_tokens = self.limits.tokens_per_minute;
        self.fits(model, ("tokens", "TPM"), of_tokens, (spent, tokens), now, |tokens| tokens)?;
        self.admitted.push_back((now, tokens));
        Ok(Pass(Arc::clone(&self.under_way)))
    }

    /// Refuses until so much has become a minute old that the rest fits.
    fn fits(
        &self,
        model: &str,
        (what, short): (&'static str, &str),
        limit: Option<u32>,
        (used, wanted): (i64, i64),
        now: Instant,
        weight: impl Fn(i64) -> i64,
    ) -> Result<(), Fault> {
        let Some(limit) = limit.map(i64::from) else { return Ok(()) };
        let mut surplus = used + wanted - limit;
        if surplus <= 0 {
            return Ok(());
        }
        let mut wait = MINUTE;
        for (at, tokens) in &self.admitted {
            surplus -= weight(*tokens);
            if surplus <= 0 {
                wait = MINUTE.saturating_sub(now.duration_since(*at));
                break;
            }
        }
        let message = format!(
            "Rate limit reached for {model} in organization org-outside on {what} per min ({short}): \
             Limit {limit}, Used {used}, Requested {wanted}. Please try again in {}ms.",
            wait.as_millis()
        );
        Err(refusal(&message, what, wait))
    }
}

/// Whole seconds for everybody, milliseconds for who reads them.
fn refusal(message: &str, kind: &str, wait: Duration) -> Fault {
    let millis = wait.as_micros().div_ceil(1000);
    Fault::Answer {
        status: 429,
        headers: vec![
            ("retry-after", millis.div_ceil(1000).to_string()),
            ("retry-after-ms", millis.to_string()),
        ],
        body: error(message, kind, "rate_limit_exceeded"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Limiter, Limits};
    use crate::cli::dev::outside::script::Fault;

    fn limiter(requests: u32, tokens: u32, in_flight: u32) -> Limiter {
        let limits = Limits {
            requests_per_minute: Some(requests),
            tokens_per_minute: Some(tokens),
            in_flight: Some(in_flight),
        };
        Limiter { limits, ..Limiter::default() }
    }

    fn wait(refused: Fault) -> u64 {
        let Fault::Answer { status: 429, headers, .. } = refused else { panic!("{refused:?}") };
        headers.iter().find(|(name, _)| *name == "retry-after-ms").unwrap().1.parse().unwrap()
    }

    #[test]
    fn no_minute_holds_more_than_the_limit() {
        let (mut limiter, start) = (limiter(2, 1_000, 10), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(limiter.admit("m", 1, at(0)).is_ok());
        assert!(limiter.admit("m", 1, at(30)).is_ok());
        assert_eq!(wait(limiter.admit("m", 1, at(59)).unwrap_err()), 1_000);
        assert!(limiter.admit("m", 1, at(60)).is_ok());
        assert_eq!(wait(limiter.admit("m", 1, at(60)).unwrap_err()), 30_000);
    }

    #[test]
    fn tokens_are_waited_for_until_enough_have_passed() {
        let (mut limiter, start) = (limiter(100, 100, 10), Instant::now());
        for second in 0..4 {
            assert!(limiter.admit("m", 25, start + Duration::from_secs(second)).is_ok());
        }
        let refused = limiter.admit("m", 40, start + Duration::from_secs(10)).unwrap_err();
        assert_eq!(wait(refused), 51_000, "the second of them has to go, too");
    }

    #[test]
    fn what_ends_makes_room() {
        let (mut limiter, now) = (limiter(100, 1_000, 1), Instant::now());
        let pass = limiter.admit("m", 1, now).unwrap();
        assert_eq!(wait(limiter.admit("m", 1, now).unwrap_err()), 1_000);
        drop(pass);
        assert!(limiter.admit("m", 1, now).is_ok());
        limiter.limits = limiter.limits.doubled();
        assert_eq!(limiter.limits.in_flight, Some(2));
    }
}
