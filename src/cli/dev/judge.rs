//! Did every sample end as it should? Judged by what was seen and by what the store holds.

use std::collections::HashMap;

use crate::{
    cli::dev::{
        observed::Observed,
        samples::sample::{End, Expect, Sample, Step},
    },
    domain::{
        ids::{EventKey, TenantId},
        reason::Reason,
    },
    store::contract::{EventHistory, Result, Store},
};

/// The samples with what has come true of each.
pub(crate) struct Judge {
    samples: Vec<Judged>,
    /// States of the samples' events before this run.
    before: HashMap<EventKey, String>,
}

/// One sample under judgement.
pub(crate) struct Judged {
    pub(crate) sample: Sample,
    met: Vec<bool>,
    pub(crate) is_sent: bool,
}

impl Judged {
    /// Has everything come true?
    pub(crate) fn is_over(&self) -> bool {
        self.is_sent && self.met.iter().all(|met| *met)
    }

    /// What has not come true.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Expect> {
        self.sample.expects.iter().zip(&self.met).filter(|(_, met)| !**met).map(|(expect, _)| expect)
    }
}

impl Judge {
    /// Asks the store how the samples' events stand now.
    pub(crate) async fn new(samples: Vec<Sample>, store: &dyn Store) -> Result<Self> {
        let mut before = HashMap::new();
        for key in samples.iter().flat_map(Sample::keys) {
            if let Some(history) = store.event_history(key).await? {
                before.insert(key.clone(), history.state);
            }
        }
        let judged =
            |sample: Sample| Judged { met: vec![false; sample.expects.len()], sample, is_sent: false };
        Ok(Self { samples: samples.into_iter().map(judged).collect(), before })
    }

    /// Was none of the events known before?
    pub(crate) fn is_first_run(&self) -> bool {
        self.before.is_empty()
    }

    /// Had some begun before, and not ended?
    pub(crate) fn carries_on(&self) -> bool {
        self.before.values().any(|state| !is_end(state))
    }

    /// All samples.
    pub(crate) fn samples(&self) -> &[Judged] {
        &self.samples
    }

    /// Samples that may be sent now; they count as sent.
    pub(crate) fn take_ready(&mut self) -> Vec<usize> {
        let over: Vec<&str> =
            self.samples.iter().filter(|judged| judged.is_over()).map(|judged| judged.sample.name).collect();
        let ready =
            |judged: &Judged| !judged.is_sent && judged.sample.after.iter().all(|name| over.contains(name));
        let found: Vec<usize> = (0..self.samples.len()).filter(|at| ready(&self.samples[*at])).collect();
        for at in &found {
            self.samples[*at].is_sent = true;
        }
        found
    }

    /// Has everything come true, but for what an empty queue will show?
    pub(crate) fn is_over(&self) -> bool {
        self.samples
            .iter()
            .all(|judged| judged.is_sent && judged.missing().all(|expect| matches!(expect, Expect::NoEvent)))
    }

    /// The queue is empty, and everything else was over: nothing came of what holds nothing for us.
    pub(crate) fn queue_is_empty(&mut self) {
        for judged in &mut self.samples {
            for (expect, met) in judged.sample.expects.iter().zip(&mut judged.met) {
                *met |= judged.is_sent && *expect == Expect::NoEvent;
            }
        }
    }

    /// Looks at what was seen, and where that suffices so far, into the store.
    pub(crate) async fn look(&mut self, observed: &Observed, store: &dyn Store) -> Result<()> {
        let before = &self.before;
        for judged in self.samples.iter_mut().filter(|judged| judged.is_sent && !judged.is_over()) {
            let expects = &judged.sample.expects;
            let mut waits_for_events = false;
            for (expect, met) in expects.iter().zip(&mut judged.met) {
                *met |= seen(expect, before, observed).unwrap_or(false);
                waits_for_events |= !*met && seen(expect, before, observed).is_some();
            }
            if waits_for_events {
                continue;
            }
            for (expect, met) in expects.iter().zip(&mut judged.met) {
                if !*met {
                    *met = stored(expect, store).await?;
                }
            }
        }
        Ok(())
    }
}

/// Judged by what was seen; `None` where only the store can tell.
fn seen(expect: &Expect, before: &HashMap<EventKey, String>, observed: &Observed) -> Option<bool> {
    let ended_before = |key| before.get(key).filter(|state| is_end(state));
    match expect {
        Expect::Event { key, end, through } => Some(match (ended_before(key), observed.end(key)) {
            (Some(_), None) => observed.duplicates(key) > 0,
            // Worked again, though it had ended.
            (Some(_), Some(_)) => false,
            // A run that was cut off may have been anywhere on the way, and the stand-in has forgotten how often
            // it failed already.
            (None, ended) if before.contains_key(key) => {
                ended == Some(*end) || ended == Some(End::Buried(Reason::AttemptsExhausted))
            }
            (None, ended) => ended == Some(*end) && in_order(through, observed.steps(key)),
        }),
        Expect::Duplicate { key, copy } => {
            Some(observed.duplicates(key) >= copy + usize::from(ended_before(key).is_some()))
        }
        Expect::Rejected { id, reason } => Some(observed.rejection(id) == Some(*reason)),
        Expect::Answer { to, wanted } => Some(observed.was_answered(to, *wanted)),
        Expect::PutBack(reason) => Some(observed.put_back(*reason) > 0),
        Expect::Attempt { key, end } => Some(before.contains_key(key) || observed.attempt_ended(key, end)),
        // Judged in the run that does the work.
        Expect::Command { key, .. } | Expect::NoCommand(key) | Expect::Calls { key, .. } => {
            before.contains_key(key).then_some(true)
        }
        Expect::Property { .. } | Expect::NoEvent => None,
    }
}

/// States that an event does not leave by itself.
fn is_end(state: &str) -> bool {
    matches!(state, "done" | "buried")
}

/// Are these among those, in this order?
fn in_order(wanted: &[Step], seen: &[Step]) -> bool {
    let mut seen = seen.iter();
    wanted.iter().all(|step| seen.any(|other| other == step))
}

/// Judged by the store.
async fn stored(expect: &Expect, store: &dyn Store) -> Result<bool> {
    let history = |key| async move { store.event_history(key).await };
    let is = |found: Option<EventHistory>, right: &dyn Fn(EventHistory) -> bool| found.is_some_and(right);
    Ok(match expect {
        Expect::Command { key, state } => is(
            history(key).await?,
            &|found| matches!(&found.commands[..], [one] if one.state == state.name()),
        ),
        // A buried event also plans its copy for the DLQ.
        Expect::NoCommand(key) => {
            is(history(key).await?, &|found| found.commands.iter().all(|command| command.kind != "message"))
        }
        Expect::Calls { key, states } => is(history(key).await?, &|found| {
            found.calls.iter().map(|call| call.state.as_str()).eq(states.iter().copied())
        }),
        Expect::Property { tenant, system, id, name, value } => {
            let tenant = TenantId::from(*tenant);
            store.contact_property(&tenant, system, id, name).await?.as_deref() == Some(*value)
        }
        _ => false,
    })
}

/// In words, for people who must find out what went wrong.
pub(crate) fn describe(expect: &Expect) -> String {
    match expect {
        Expect::Event { key, end: End::Done, through } => format!("{key} is done{}", way(through)),
        Expect::Event { key, end: End::Buried(reason), through } => {
            format!("{key} is buried as {reason}{}", way(through))
        }
        Expect::Duplicate { key, .. } => format!("{key} is recognised as a duplicate"),
        Expect::Rejected { reason, id } => format!("rejected as {reason} (dead letter {id})"),
        Expect::PutBack(reason) => format!("put back once: {reason}"),
        Expect::Command { key, state } => format!("the command of {key} is {}", state.name()),
        Expect::Attempt { key, end } => format!("an attempt at the command of {key} ends {end}"),
        Expect::NoCommand(key) => format!("{key} plans no command"),
        Expect::Calls { key, states } => format!("calls to the model for {key}: {}", states.join(", ")),
        Expect::Property { id, name, value, .. } => format!("contact {id} has {name} = {value}"),
        Expect::Answer { wanted, .. } => format!("the vendor is answered {wanted}"),
        Expect::NoEvent => "acknowledged without an event".to_owned(),
    }
}

fn way(through: &[Step]) -> String {
    let word = |step: &Step| match step {
        Step::Retried(reason) => format!("retried ({reason})"),
        Step::Deferred(reason) => format!("deferred ({reason})"),
        Step::Parked(reason) => format!("parked ({reason})"),
        Step::Woken => "woken".to_owned(),
    };
    if through.is_empty() {
        return String::new();
    }
    format!(" after {}", through.iter().map(word).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::dev::samples::sample::{buried, done, done_through},
        domain::{
            ids::{CorrelationId, TenantId},
            outcome::Failure,
        },
        worker::trail::{Happening, Subject},
    };
    use std::time::Duration;

    fn subject(key: &str) -> Subject {
        Subject {
            key: key.into(),
            source: "drills".into(),
            kind: "drill",
            tenant: TenantId::from("acme"),
            correlation_id: CorrelationId::from("c"),
        }
    }

    fn observed(happenings: &[Happening]) -> Observed {
        let mut observed = Observed::default();
        happenings.iter().for_each(|happening| observed.add(happening));
        observed
    }

    fn retried(key: &str) -> Happening {
        let failure = Failure::new(Reason::HandlerFailed, "x");
        Happening::Retried(subject(key), failure, Duration::ZERO)
    }

    #[test]
    fn a_first_run_needs_the_steps_in_order_and_the_end() {
        let new = HashMap::new();
        let step = Step::Retried(Reason::HandlerFailed);
        let twice = done_through(&"k".into(), &[step, step]);
        let end = Happening::Done(subject("k"), Duration::ZERO);
        let once = [retried("k"), end.clone()];
        assert_eq!(seen(&twice, &new, &observed(&once)), Some(false));
        let both = [retried("k"), retried("k"), end];
        assert_eq!(seen(&twice, &new, &observed(&both)), Some(true));
        assert_eq!(seen(&twice, &new, &observed(&both[..2])), Some(false));
        assert_eq!(seen(&buried(&"k".into(), Reason::Expired, &[]), &new, &observed(&both)), Some(false));
    }

    #[test]
    fn a_later_run_needs_a_duplicate_and_nothing_else() {
        let before = HashMap::from([(EventKey::from("k"), "done".to_owned())]);
        let duplicate = |state| Happening::Duplicate(subject("k"), state);
        let expect = done(&"k".into());
        let judge = |happenings: &[Happening]| seen(&expect, &before, &observed(happenings));
        assert_eq!(judge(&[]), Some(false));
        assert_eq!(judge(&[duplicate("busy")]), Some(false));
        assert_eq!(judge(&[duplicate("done")]), Some(true));
        let again = Happening::Done(subject("k"), Duration::ZERO);
        assert_eq!(judge(&[duplicate("done"), again]), Some(false));
        assert_eq!(seen(&Expect::NoCommand("k".into()), &before, &observed(&[])), Some(true));
        let copy = Expect::Duplicate { key: "k".into(), copy: 1 };
        assert_eq!(seen(&copy, &before, &observed(&[duplicate("done")])), Some(false));
        let two = [duplicate("done"), duplicate("done")];
        assert_eq!(seen(&copy, &before, &observed(&two)), Some(true));
    }

    #[test]
    fn after_a_run_that_was_cut_off_only_the_end_counts() {
        let before = HashMap::from([(EventKey::from("k"), "waiting".to_owned())]);
        let expect = done_through(&"k".into(), &[Step::Retried(Reason::HandlerFailed)]);
        let end = [Happening::Done(subject("k"), Duration::ZERO)];
        assert_eq!(seen(&expect, &before, &observed(&end)), Some(true));
        assert_eq!(seen(&expect, &before, &observed(&[Happening::Arrived(subject("k"))])), Some(false));
    }
}
