//! The arithmetic of a common bucket: filled evenly by the minute, up to a small burst, never above it.
//!
//! Levels are whole numbers, in sixty-millionths of a request or a token: a limit of one per minute fills a bucket by
//! exactly one of them in a microsecond, so that nothing is lost to rounding however often it is asked. Only what comes
//! to a bucket that is full is lost: below a hundred requests per minute it holds a single one, and gives a little less
//! than the limit to whoever asks late.

use std::time::Duration;

use crate::domain::rate::{RateAsk, RateGrant};

/// Parts of a request or a token: the microseconds of a minute.
const PART: i64 = 60_000_000;
/// A bucket without limit stands here, and nothing is ever taken from it.
const UNLIMITED: i64 = 0;

/// A bucket as it stood at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) requests: i64,
    pub(crate) tokens: i64,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
}

/// Most requests in a bucket: a fiftieth of the limit, a whole one at least, none where none is allowed.
fn most_requests(limit: u32) -> i64 {
    (i64::from(limit) / 50).max(i64::from(limit.min(1)))
}

/// Most tokens in a bucket: a tenth of the limit, a whole one at least, none where none is allowed.
fn most_tokens(limit: u32) -> i64 {
    (i64::from(limit) / 10).max(i64::from(limit.min(1)))
}

impl Bucket {
    /// One that nobody took from for long.
    pub(crate) fn full(ask: &RateAsk, at: i64) -> Self {
        let full =
            |limit: Option<u32>, most: fn(u32) -> i64| limit.map_or(UNLIMITED, |limit| most(limit) * PART);
        Self {
            requests: full(ask.requests_per_minute, most_requests),
            tokens: full(ask.tokens_per_minute, most_tokens),
            at,
        }
    }

    /// Takes what is there of what is asked for, or gives back; a clock that went back fills nothing.
    pub(crate) fn take(&mut self, ask: &RateAsk, now: i64) -> RateGrant {
        let passed = now.saturating_sub(self.at).max(0);
        self.at = self.at.max(now);
        let requests =
            level(&mut self.requests, ask.requests_per_minute, most_requests, passed, ask.requests);
        let tokens = level(&mut self.tokens, ask.tokens_per_minute, most_tokens, passed, ask.tokens);
        RateGrant { requests: requests.0, tokens: tokens.0, wait: requests.1.max(tokens.1) }
    }
}

/// One of both: what is granted, and how long until there is something again if that is not all.
fn level(
    level: &mut i64,
    limit: Option<u32>,
    most: fn(u32) -> i64,
    passed: i64,
    wanted: i64,
) -> (i64, Duration) {
    let Some(limit) = limit else {
        *level = UNLIMITED;
        return (wanted.max(0), Duration::ZERO);
    };
    let most = most(limit);
    let filled = i128::from(*level) + i128::from(passed) * i128::from(limit);
    let given_back = i128::from(wanted.min(0)) * i128::from(PART);
    let here = (filled.min(i128::from(most * PART)) - given_back).min(i128::from(most * PART));
    let whole = i64::try_from(here.max(0) / i128::from(PART)).unwrap_or(0);
    let granted = wanted.clamp(0, whole);
    let left = here - i128::from(granted) * i128::from(PART);
    *level = i64::try_from(left).unwrap_or(i64::MIN);
    let missing = (wanted.max(0) - granted).min((most / 2).max(1));
    let wait = (i128::from(missing) * i128::from(PART) - left).max(0) * i128::from(missing.signum());
    let micros = wait.checked_div(i128::from(limit)).unwrap_or(i128::from(u32::MAX) * 1_000_000);
    (granted, Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = PART;

    fn ask(requests: i64, tokens: i64, limits: (Option<u32>, Option<u32>)) -> RateAsk {
        RateAsk {
            bucket: "b".to_owned(),
            requests_per_minute: limits.0,
            tokens_per_minute: limits.1,
            requests,
            tokens,
        }
    }

    #[test]
    fn a_small_limit_still_lets_one_through() {
        let one = ask(1, 0, (Some(1), None));
        let mut bucket = Bucket::full(&one, 0);
        assert_eq!(bucket.take(&one, 0).requests, 1);
        let grant = bucket.take(&one, 0);
        assert_eq!((grant.requests, grant.wait), (0, Duration::from_secs(60)));
        assert_eq!(bucket.take(&one, MINUTE - 1).requests, 0);
        assert_eq!(bucket.take(&one, MINUTE).requests, 1);
    }

    #[test]
    fn a_burst_is_a_fiftieth_of_the_requests_and_a_tenth_of_the_tokens() {
        let all = ask(10_000, 1_000_000, (Some(600), Some(100_000)));
        let mut bucket = Bucket::full(&all, 0);
        let grant = bucket.take(&all, 0);
        assert_eq!((grant.requests, grant.tokens), (12, 10_000));
        let grant = bucket.take(&all, MINUTE * 60);
        assert_eq!((grant.requests, grant.tokens), (12, 10_000), "no more than that gathers");
        assert_eq!(bucket.take(&ask(0, 0, (Some(600), None)), MINUTE * 60), RateGrant::default());
    }

    #[test]
    fn without_a_limit_everything_is_granted() {
        let much = ask(7, i64::MAX, (None, None));
        let grant = Bucket::full(&much, 0).take(&much, 0);
        assert_eq!((grant.requests, grant.tokens, grant.wait), (7, i64::MAX, Duration::ZERO));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_but_no_more_than_a_burst() {
        let limits = (Some(600), Some(100_000));
        let mut bucket = Bucket::full(&ask(0, 0, limits), 0);
        bucket.take(&ask(12, 10_000, limits), 0);
        assert_eq!(bucket.take(&ask(-5, -1_000, limits), 0).requests, 0);
        let grant = bucket.take(&ask(12, 10_000, limits), 0);
        assert_eq!((grant.requests, grant.tokens), (5, 1_000));
        bucket.take(&ask(i64::MIN, i64::MIN, limits), 0);
        let grant = bucket.take(&ask(i64::MAX, i64::MAX, limits), 0);
        assert_eq!((grant.requests, grant.tokens), (12, 10_000));
    }

    proptest! {
        /// However it is asked, also with a clock that jumps back: no minute holds more than the limit and the burst.
        #[test]
        fn no_minute_holds_more_than_the_limit_and_the_burst(
            limit in 1_u32..5_000,
            steps in proptest::collection::vec((-1_000_000_i64..20_000_000, 0_i64..2_000), 1..120),
        ) {
            let limits = (Some(limit), Some(limit));
            let mut bucket = Bucket::full(&ask(0, 0, limits), 0);
            let (mut now, mut granted) = (0_i64, Vec::new());
            for (passed, wanted) in steps {
                now += passed.max(0);
                let grant = bucket.take(&ask(wanted, wanted, limits), now + passed.min(0));
                prop_assert!(grant.requests <= wanted && grant.tokens <= wanted);
                granted.push((now, grant));
            }
            for (from, _) in &granted {
                let minute = granted.iter().filter(|(at, _)| at >= from && *at - from < MINUTE);
                let (requests, tokens) =
                    minute.fold((0, 0), |sum, (_, grant)| (sum.0 + grant.requests, sum.1 + grant.tokens));
                prop_assert!(requests <= i64::from(limit) + most_requests(limit), "{} requests", requests);
                prop_assert!(tokens <= i64::from(limit) + most_tokens(limit), "{} tokens", tokens);
            }
        }

        /// Who asks often enough gets all of the limit.
        #[test]
        fn nothing_is_lost_to_rounding(limit in 100_u32..5_000, every in 1_000_i64..500_000) {
            let limits = (Some(limit), Some(limit));
            let much = ask(1_000_000, 1_000_000, limits);
            let mut bucket = Bucket::full(&much, 0);
            bucket.take(&much, 0);
            let steps = 5 * MINUTE / every;
            let taken: i64 = (1..=steps).map(|step| bucket.take(&much, step * every).requests).sum();
            let due = steps * every * i64::from(limit) / PART;
            prop_assert!(taken <= due && taken >= due - 1, "{} of {}", taken, due);
        }

        /// After the wait that is told there is something.
        #[test]
        fn the_wait_is_long_enough(limit in 1_u32..5_000, wanted in 1_i64..3_000) {
            let all = ask(wanted, 0, (Some(limit), None));
            let mut bucket = Bucket::full(&all, 0);
            let first = bucket.take(&all, 0);
            let wait = i64::try_from(first.wait.as_micros()).unwrap();
            prop_assert_eq!(wait == 0, first.requests == wanted);
            if wait > 0 {
                prop_assert!(bucket.take(&ask(1, 0, (Some(limit), None)), wait + 1).requests == 1);
            }
        }
    }
}
