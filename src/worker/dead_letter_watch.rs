//! Watches the open dead letters: a signed alert when there are more of a reason than were told, at most one an hour for
//! each reason, so that a flood of them is told and does not become one of alerts.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    domain::{ids::CommandId, timestamp::Timestamp},
    worker::{alerts, parts::Context},
};

/// Type of the alert.
const DEAD_LETTERS: &str = "longshore.dead_letters.alert.v1";
/// At most one alert of a reason within this.
const QUIET: Duration = Duration::from_secs(3600);

/// What was told of each reason. A worker that starts tells what it finds.
#[derive(Default)]
pub(super) struct DeadLetterWatch {
    told: BTreeMap<String, Told>,
}

struct Told {
    open: i64,
    at: Instant,
}

impl DeadLetterWatch {
    /// Looks at how many are open, by reason.
    pub(super) fn look(&mut self, context: &Arc<Context>, open: &BTreeMap<String, i64>) {
        for (reason, open) in self.news(open, Instant::now()) {
            tracing::error!(reason, open, "dead letters are waiting to be looked at");
            alert(context, &reason, open);
        }
    }

    /// The reasons that have more than were told, unless they were told a short while ago.
    fn news(&mut self, open: &BTreeMap<String, i64>, now: Instant) -> Vec<(String, i64)> {
        for (reason, told) in &mut self.told {
            // Those that were replayed meanwhile may come back, and count as new then.
            told.open = told.open.min(open.get(reason).copied().unwrap_or(0));
        }
        let is_news = |reason: &str, open: i64| match self.told.get(reason) {
            Some(told) => open > told.open && now.saturating_duration_since(told.at) >= QUIET,
            None => open > 0,
        };
        let found: Vec<_> = open
            .iter()
            .filter(|(reason, open)| is_news(reason, **open))
            .map(|(r, n)| (r.clone(), *n))
            .collect();
        for (reason, open) in &found {
            self.told.insert(reason.clone(), Told { open: *open, at: now });
        }
        found
    }
}

fn alert(context: &Arc<Context>, reason: &str, open: i64) {
    let at = context.parts.clock.now();
    let data = json!({ "reason": reason, "open": open, "at": at.to_string() });
    alerts::tell(context, id(reason, at), DEAD_LETTERS, data);
}

/// The same for all workers within an hour: whoever remembers ids hears it once.
fn id(reason: &str, at: Timestamp) -> CommandId {
    CommandId(format!("dead_letters:{reason}:{}", at.seconds() / 3600))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, Instant},
    };

    use super::{DeadLetterWatch, id};
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn more_of_a_reason_is_told_and_at_most_once_an_hour() {
        let (mut watch, start) = (DeadLetterWatch::default(), Instant::now());
        let mut told = |minutes: u64, open: &[(&str, i64)]| {
            let open: BTreeMap<String, i64> = open.iter().map(|(r, n)| ((*r).to_owned(), *n)).collect();
            watch.news(&open, start + Duration::from_secs(60 * minutes))
        };
        let one = |reason: &str, open| vec![(reason.to_owned(), open)];
        assert_eq!(told(0, &[]), []);
        assert_eq!(told(1, &[("bad_signature", 1)]), one("bad_signature", 1));
        assert_eq!(told(2, &[("bad_signature", 500)]), [], "told a minute ago");
        assert_eq!(told(3, &[("bad_signature", 500), ("vendor_refused", 2)]), one("vendor_refused", 2));
        assert_eq!(told(61, &[("bad_signature", 500), ("vendor_refused", 2)]), one("bad_signature", 500));
        assert_eq!(told(200, &[("bad_signature", 500), ("vendor_refused", 2)]), [], "nothing new");
        assert_eq!(told(201, &[("vendor_refused", 2)]), [], "fewer");
        assert_eq!(told(202, &[("bad_signature", 1), ("vendor_refused", 2)]), one("bad_signature", 1));
    }

    #[test]
    fn all_workers_have_one_id_within_an_hour() {
        let at = |text: &str| id("bad_signature", Timestamp::parse_rfc3339(text).unwrap());
        assert_eq!(at("2026-11-21T10:00:00Z"), at("2026-11-21T10:59:59Z"));
        assert_ne!(at("2026-11-21T10:59:59Z"), at("2026-11-21T11:00:00Z"));
    }
}
