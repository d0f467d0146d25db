//! How long to wait before trying again. The arithmetic is `backoff`'s `ExponentialBackoff`; the loops,
//! clocks and limits are ours, so that a test's clock rules and replacing the crate means changing this file.

use std::time::Duration;

use backoff::{ExponentialBackoff, backoff::Backoff as _};
use time::{PrimitiveDateTime, format_description::FormatItem, macros::format_description};

use crate::domain::timestamp::Timestamp;

/// Each wait is this many times the one before, until the cap.
const MULTIPLIER: f64 = 2.0;
/// A wait lies between half of and one and a half times its middle, clamped to the cap.
const JITTER: f64 = 0.5;
/// Doubling from a nanosecond passes any cap before this.
const MOST_DOUBLINGS: u32 = 64;

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    initial: Duration,
    max: Duration,
}

impl RetryPolicy {
    /// Doubles from `initial` up to `max`; `max` below `initial` counts as `initial`.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max: max.max(initial) }
    }

    /// The wait after failure number `attempt` (1, 2, 3 ...): random between half and one and a half times
    /// `initial * 2^(attempt - 1)`, never above the cap. A `hint` of the other side is never undercut, even
    /// where it is longer than the cap.
    #[must_use]
    pub fn delay(&self, attempt: u32, hint: Option<Duration>) -> Duration {
        let mut arithmetic = ExponentialBackoff {
            current_interval: self.initial,
            initial_interval: self.initial,
            max_interval: self.max,
            multiplier: MULTIPLIER,
            randomization_factor: JITTER,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        let mut delay = self.initial;
        for _ in 0..attempt.clamp(1, MOST_DOUBLINGS) {
            // With no elapsed time to respect it never says "give up".
            delay = arithmetic.next_backoff().unwrap_or(self.max);
        }
        delay.min(self.max).max(hint.unwrap_or_default())
    }

    /// The longest wait without a hint.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }
}

/// What a response says about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryHints {
    /// Not before.
    pub wait: Option<Duration>,
    /// `x-should-retry`: overrides what the status would mean.
    pub should_retry: Option<bool>,
}

impl RetryHints {
    /// Reads `retry-after-ms` and its relative `x-ms-retry-after-ms` (milliseconds, fractions allowed), else
    /// `retry-after` (seconds, fractions allowed, or an HTTP date, which is measured against the response's
    /// own `date`, so that a wrong clock here does no harm), and `x-should-retry`.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let millis = ["retry-after-ms", "x-ms-retry-after-ms"]
            .into_iter()
            .find_map(|name| seconds(header(name)?).map(|millis| millis / 1000.0));
        let wait = match (millis, header("retry-after")) {
            (Some(found), _) => duration(found),
            (None, Some(text)) => match seconds(text) {
                Some(found) => duration(found),
                None => until(text, header("date")),
            },
            (None, None) => None,
        };
        let should_retry = match header("x-should-retry").map(str::trim) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        Self { wait, should_retry }
    }
}

/// A plain non-negative decimal number; signs, exponents, `inf` and `nan` are not.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| plain)
}

/// Longer than any wait that makes sense; a hint beyond it is a broken clock over there.
const LONGEST_HINT: Duration = Duration::from_secs(31 * 24 * 3600);

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST_HINT))
}

fn until(text: &str, date: Option<&str>) -> Option<Duration> {
    let (then, now) = (http_date(text)?, http_date(date?)?);
    Some(then.since(now).min(LONGEST_HINT))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers may send today.
const HTTP_DATE: &[FormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Reads an HTTP date.
#[must_use]
pub fn http_date(text: &str) -> Option<Timestamp> {
    let at = PrimitiveDateTime::parse(text.trim(), HTTP_DATE).ok()?;
    Some(at.assume_utc().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{LONGEST_HINT, RetryHints, RetryPolicy, http_date};

    fn hints(pairs: &'static [(&'static str, &'static str)]) -> RetryHints {
        RetryHints::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| *value))
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(
            initial in 1u64..10_000, max in 1u64..1_000_000, attempt in 0u32..200, hint in proptest::option::of(0u64..2_000_000)
        ) {
            let policy = RetryPolicy::new(Duration::from_millis(initial), Duration::from_millis(max));
            let hint = hint.map(Duration::from_millis);
            let delay = policy.delay(attempt, hint);
            let steps = attempt.clamp(1, 40) - 1;
            let middle = policy.max().min(Duration::from_millis(initial.saturating_mul(1 << steps)));
            let floor = middle.mul_f64(0.499);
            prop_assert!(delay >= hint.unwrap_or_default(), "a hint is never undercut");
            prop_assert!(delay >= floor, "{delay:?} < {floor:?}");
            let ceiling = policy.max().min(middle.mul_f64(1.501)).max(hint.unwrap_or_default());
            prop_assert!(delay <= ceiling, "{delay:?} > {ceiling:?}");
        }

        #[test]
        fn reads_any_header_without_a_panic(text in "\\PC{0,40}") {
            let found = RetryHints::read(|name| (name == "retry-after").then_some(text.as_str()));
            prop_assert!(found.wait.unwrap_or_default() <= LONGEST_HINT);
        }
    }

    #[test]
    fn grows_until_the_cap() {
        let policy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(8));
        assert!(policy.delay(1, None) <= Duration::from_millis(751));
        assert!(policy.delay(9, None) >= Duration::from_secs(4));
        assert_eq!(RetryPolicy::new(Duration::from_secs(2), Duration::ZERO).max(), Duration::from_secs(2));
    }

    #[test]
    fn reads_every_form_of_hint() {
        let wait = |pairs| hints(pairs).wait;
        assert_eq!(wait(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(wait(&[("retry-after", "1.5")]), Some(Duration::from_millis(1500)));
        assert_eq!(
            wait(&[("retry-after", "9"), ("retry-after-ms", "17.5")]),
            Some(Duration::from_micros(17_500))
        );
        let dates =
            &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(wait(dates), Some(Duration::from_secs(30)));
        assert_eq!(
            wait(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            None,
            "no date to measure against"
        );
        let past =
            &[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(wait(past), Some(Duration::ZERO));
        for bad in ["-1", "soon", "", "inf", "1e9", "NaN"] {
            assert_eq!(RetryHints::read(|name| (name == "retry-after").then_some(bad)).wait, None, "{bad}");
        }
        assert_eq!(wait(&[("retry-after", "99999999999")]), Some(LONGEST_HINT));
    }

    #[test]
    fn reads_whether_to_retry() {
        assert_eq!(hints(&[("x-should-retry", "false")]).should_retry, Some(false));
        assert_eq!(hints(&[("x-should-retry", "true")]).should_retry, Some(true));
        assert_eq!(hints(&[("x-should-retry", "maybe")]).should_retry, None);
    }

    #[test]
    fn reads_an_http_date() {
        let at = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at.seconds(), 784_111_777);
        assert_eq!(http_date("1994-11-06T08:49:37Z"), None);
    }
}
