//! Times in headers, and whether they lie within the tolerance.

use std::time::Duration;

use crate::domain::timestamp::Timestamp;

/// Plain ASCII digits, at most fifteen: `+1`, ` 1` and `1e3` are not times.
pub(super) fn digits(text: &str) -> Option<i64> {
    let plain = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `None` when `at` lies within the tolerance of `now`, before or after; else by how much it does not.
pub(super) fn stale(at: Timestamp, now: Timestamp, tolerance: Duration) -> Option<String> {
    let (age, ahead) = (now.since(at), at.since(now));
    let limit = tolerance.as_secs();
    if age > tolerance {
        Some(format!("signed {} s before it was received, tolerance {limit} s", age.as_secs()))
    } else if ahead > tolerance {
        Some(format!("signed {} s after it was received, tolerance {limit} s", ahead.as_secs()))
    } else {
        None
    }
}
