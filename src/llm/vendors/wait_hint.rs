//! Wait hints that only LLM providers send.

use std::time::Duration;

use crate::http::Answer;

/// Without a plain hint: when the exhausted window opens again.
pub(crate) fn exhausted_window(answer: &Answer) -> Option<Duration> {
    let windows = [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ];
    let wait = |(left, reset): (&str, &str)| {
        (answer.header(left)?.trim() == "0").then(|| go_duration(answer.header(reset)?))?
    };
    windows.into_iter().filter_map(wait).max()
}

/// A wait in Go's notation, as in `x-ratelimit-reset-tokens`: `1s`, `6m0s`, `17ms`, `1h2m3.5s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        seconds += number
            * match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::go_duration;

    #[test]
    fn reads_durations_as_go_writes_them() {
        for (text, millis) in [("1s", 1_000), ("6m0s", 360_000), ("17ms", 17), ("1h2m3.5s", 3_723_500)] {
            assert_eq!(go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "s", "5", "1x", "-1s", "1s "].iter().filter(|bad| bad.trim() == **bad) {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }
}
