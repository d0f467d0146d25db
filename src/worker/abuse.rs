//! Floods of forged messages: after so many from one source within a minute there is an alert, and the rest of that
//! minute is counted and dropped, so that nobody can fill the dead letters (WA-21).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    domain::{ids::SourceName, reason::Reason, timestamp::Timestamp},
    sources::senders::Senders,
};

/// What is counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Stands for all names that are not configured: anybody can make up more of them.
const UNKNOWN: &str = "unknown";
/// Bad messages per minute of all unknown sources together.
const UNKNOWN_LIMIT: u32 = 100;

/// What becomes of a rejected message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Kept as a dead letter.
    Keep,
    /// Counted and dropped.
    Drop {
        /// A configured source, or `unknown`: bounded, so a label.
        source: String,
        /// The first of its minute: somebody should look.
        alert: bool,
    },
}

/// Counts rejections by source.
pub(super) struct Guard {
    by_source: BTreeMap<String, Mutex<Minute>>,
    unknown: Mutex<Minute>,
}

/// One source's latest minute.
struct Minute {
    limit: u32,
    since: Option<Timestamp>,
    count: u32,
}

impl Guard {
    /// Watches over the configured sources, and over all others as one.
    pub(super) fn new(senders: &Senders) -> Self {
        let limits = senders.iter().map(|(name, sender)| (name, sender.settings.bad_signatures_per_minute));
        Self::with_limits(limits)
    }

    fn with_limits<'a>(limits: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let minute = |limit| Mutex::new(Minute { limit, since: None, count: 0 });
        Self {
            by_source: limits.map(|(name, limit)| (name.to_owned(), minute(limit))).collect(),
            unknown: minute(UNKNOWN_LIMIT),
        }
    }

    /// Judges one rejection. What is authentic, but late or unreadable, is always kept.
    pub(super) fn judge(&self, source: Option<&SourceName>, reason: Reason, now: Timestamp) -> Fate {
        if !matches!(reason, Reason::SigMissing | Reason::SigInvalid | Reason::UnknownSource) {
            return Fate::Keep;
        }
        let known = source.and_then(|source| self.by_source.get_key_value(source.as_str()));
        let (name, minute) = known.map_or((UNKNOWN, &self.unknown), |(name, minute)| (name, minute));
        let beyond = minute.lock().unwrap_or_else(PoisonError::into_inner).count(now);
        match beyond {
            0 => Fate::Keep,
            beyond => Fate::Drop { source: name.to_owned(), alert: beyond == 1 },
        }
    }
}

impl Minute {
    /// Counts one more; answers by how many the limit is passed.
    fn count(&mut self, now: Timestamp) -> u32 {
        if self.since.is_none_or(|since| now < since || now.since(since) >= WINDOW) {
            self.since = Some(now);
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count.saturating_sub(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fate, Guard, UNKNOWN_LIMIT};
    use crate::domain::{ids::SourceName, reason::Reason, timestamp::Timestamp};

    fn dropped(source: &str, alert: bool) -> Fate {
        Fate::Drop { source: source.to_owned(), alert }
    }

    #[test]
    fn wa_21_one_alert_a_minute_then_only_counting_and_other_sources_go_on() {
        let guard = Guard::with_limits([("crm", 3), ("shop", 3)].into_iter());
        let (crm, shop) = (SourceName::from("crm"), SourceName::from("shop"));
        let start = Timestamp::from_seconds(1_800_000_000);
        for minute in 0..3 {
            let at = |second: u64| start.plus(Duration::from_secs(60 * minute + second));
            for second in 0..3 {
                assert_eq!(guard.judge(Some(&crm), Reason::SigInvalid, at(second)), Fate::Keep);
            }
            assert_eq!(guard.judge(Some(&crm), Reason::SigMissing, at(30)), dropped("crm", true));
            for second in 31..60 {
                assert_eq!(guard.judge(Some(&crm), Reason::SigInvalid, at(second)), dropped("crm", false));
                assert_eq!(guard.judge(Some(&crm), Reason::SigExpired, at(second)), Fate::Keep);
            }
            assert_eq!(guard.judge(Some(&shop), Reason::SigInvalid, at(59)), Fate::Keep);
        }
        let earlier = start.minus(Duration::from_secs(3600));
        assert_eq!(guard.judge(Some(&crm), Reason::SigInvalid, earlier), Fate::Keep, "a clock set back");
    }

    #[test]
    fn wa_21_made_up_names_share_one_bucket_and_one_label() {
        let guard = Guard::with_limits([("crm", 3)].into_iter());
        let now = Timestamp::from_seconds(1_800_000_000);
        let made_up = |n: u32| SourceName(format!("made-up-{n}"));
        for n in 0..UNKNOWN_LIMIT {
            assert_eq!(guard.judge(Some(&made_up(n)), Reason::UnknownSource, now), Fate::Keep);
        }
        assert_eq!(guard.judge(None, Reason::SigMissing, now), dropped("unknown", true));
        assert_eq!(guard.judge(Some(&made_up(0)), Reason::UnknownSource, now), dropped("unknown", false));
        assert_eq!(guard.judge(Some(&SourceName::from("crm")), Reason::SigInvalid, now), Fate::Keep);
    }
}
