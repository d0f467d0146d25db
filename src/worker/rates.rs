//! How fast one sender may have its events worked: a person where a person wrote, else the sender's account (WA-10,
//! BV-3). Whoever is faster waits; the others do not notice.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher as _,
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::{
    domain::{
        event::{Event, Fact},
        outcome::Failure,
        reason::Reason,
    },
    sources::senders::Senders,
};

/// Senders are told apart by a random hash of so many values: it bounds the memory (some 24 MiB for each source at
/// worst), nobody can aim at another's value, and two senders that share one are about one in a million.
const BUCKETS: u64 = 1 << 20;
/// Longest wait before another look.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

type Limiter<C> = RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The rates of the sources that have one.
pub(super) struct Rates<C: Clock = DefaultClock> {
    by_source: BTreeMap<String, (Duration, Limiter<C>)>,
    clock: C,
    hash: RandomState,
}

impl Rates {
    /// Rates as configured: `sources.NAME.sender_events_per_minute`.
    pub(super) fn new(senders: &Senders) -> Self {
        let configured = senders
            .iter()
            .filter_map(|(name, sender)| Some((name, sender.settings.sender_events_per_minute?)));
        Self::with_clock(configured, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    /// A rate of 0 lets through what a rate of 1 would: nothing would ever end otherwise.
    fn with_clock<'a>(per_minute: impl Iterator<Item = (&'a str, u32)>, clock: C) -> Self {
        let limiter = |(name, rate): (&str, u32)| {
            let quota = Quota::per_minute(NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN));
            let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
            (name.to_owned(), (quota.replenish_interval(), limiter))
        };
        Self { by_source: per_minute.map(limiter).collect(), clock: clock.clone(), hash: RandomState::new() }
    }

    /// May this event be worked now? `deferrals`: how often it had to wait before. Each wait is one interval longer
    /// than the one before, so that what waits does not come back all at once for the one that may go.
    ///
    /// # Errors
    /// A deferral, with the time until the next one is allowed.
    pub(super) fn admit(&self, event: &Event, deferrals: i32) -> Result<(), Failure> {
        let Some((interval, limiter)) = self.by_source.get(event.source.as_str()) else { return Ok(()) };
        let bucket = self.hash.hash_one(sender(event)) % BUCKETS;
        limiter.check_key(&bucket).map_err(|not_until: NotUntil<C::Instant>| {
            let before = u32::try_from(deferrals).unwrap_or(0);
            let wait =
                not_until.wait_time_from(self.clock.now()).saturating_add(interval.saturating_mul(before));
            Failure::new(Reason::SenderRateLimited, "its sender is faster than `sender_events_per_minute`")
                .wait(wait.min(LONGEST_WAIT))
        })
    }

    /// Forgets senders that have been quiet long enough to have their whole allowance again.
    pub(super) fn forget_idle(&self) {
        for (_, limiter) in self.by_source.values() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// Who is behind an event.
fn sender(event: &Event) -> (&str, &str) {
    match &event.fact {
        Fact::InboundMessage(message) => (message.channel.name(), &message.from),
        _ => ("", &event.account),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;
    use serde_json::Value;

    use super::Rates;
    use crate::domain::{
        event::{Channel, Drill, Event, Fact, InboundMessage},
        ids::{CorrelationId, EventKey, SourceName, TenantId},
        outcome::Failure,
        reason::{Class, Reason},
        timestamp::Timestamp,
    };

    fn event(source: &str, account: &str, fact: Fact) -> Event {
        let source = SourceName::from(source);
        Event {
            key: EventKey::new(&source, account, "1"),
            source,
            vendor_type: String::new(),
            account: account.to_owned(),
            tenant: TenantId::from("acme"),
            occurred_at: None,
            received_at: Timestamp(0),
            due_at: None,
            expires_at: None,
            order_key: None,
            correlation_id: CorrelationId::from("c"),
            fact,
        }
    }

    fn from(person: &str) -> Event {
        let message = InboundMessage {
            channel: Channel::Whatsapp,
            business_id: "77".to_owned(),
            from: person.to_owned(),
            profile_name: None,
            vendor_id: "wamid.1".to_owned(),
            message_type: "text".to_owned(),
            text: None,
            choice: None,
            sent_at: Timestamp(0),
            raw: Value::Null,
        };
        event("wa", "1/77", Fact::InboundMessage(message))
    }

    fn rates(clock: &FakeRelativeClock) -> Rates<FakeRelativeClock> {
        Rates::with_clock([("wa", 6), ("jobs", 2)].into_iter(), clock.clone())
    }

    fn wait(admitted: Result<(), Failure>) -> Option<Duration> {
        let failure = admitted.err()?;
        assert_eq!((failure.reason, failure.class()), (Reason::SenderRateLimited, Class::Defer));
        failure.wait
    }

    #[test]
    fn wa_10_one_person_waits_and_others_do_not() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        for _ in 0..6 {
            assert_eq!(wait(rates.admit(&from("flood"), 0)), None);
        }
        for (deferrals, seconds) in [(0, 10), (1, 20), (2, 30), (100, 60), (i32::MAX, 60), (-1, 10)] {
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(wait(rates.admit(&from("flood"), deferrals)), expected, "{deferrals}");
        }
        assert_eq!(wait(rates.admit(&from("other"), 0)), None);
        clock.advance(Duration::from_secs(10));
        assert_eq!(wait(rates.admit(&from("flood"), 1)), None);
        assert!(wait(rates.admit(&from("flood"), 1)).is_some());
    }

    #[test]
    fn bv_3_without_a_person_the_account_counts_and_without_a_rate_nobody_waits() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        let drill = |source, account| event(source, account, Fact::Drill(Drill::Work { millis: 0 }));
        assert_eq!(wait(rates.admit(&drill("jobs", "a"), 0)), None);
        assert_eq!(wait(rates.admit(&drill("jobs", "a"), 0)), None);
        assert!(wait(rates.admit(&drill("jobs", "a"), 0)).is_some());
        assert_eq!(wait(rates.admit(&drill("jobs", "b"), 0)), None);
        for _ in 0..1_000 {
            assert_eq!(wait(rates.admit(&drill("free", "a"), 0)), None);
        }
    }

    #[test]
    fn quiet_senders_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        for n in 0..1_000 {
            assert_eq!(wait(rates.admit(&from(&n.to_string()), 0)), None);
        }
        let known = || rates.by_source["wa"].1.len();
        rates.forget_idle();
        assert!(known() > 900, "{}", known());
        clock.advance(Duration::from_secs(61));
        rates.forget_idle();
        assert_eq!(known(), 0);
    }
}
