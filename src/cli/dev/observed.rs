//! What was seen to happen, by event, and in all.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde::Serialize;

use crate::{
    cli::dev::samples::{
        call::Answer,
        sample::{End, Step},
    },
    domain::{ids::EventKey, reason::Reason},
    worker::trail::{Happening, Subject},
};

/// Everything since the start.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    events: HashMap<EventKey, Seen>,
    rejected: HashMap<String, Reason>,
    put_back: BTreeMap<&'static str, u64>,
    commands: Vec<(String, &'static str)>,
    /// By sample.
    answers: HashMap<&'static str, Vec<Answer>>,
    /// By source and kind.
    pub(crate) counts: BTreeMap<(String, &'static str), Counts>,
    /// By source and reason.
    pub(crate) rejections: BTreeMap<(String, &'static str), u64>,
    /// By kind and end.
    pub(crate) command_ends: BTreeMap<(&'static str, &'static str), u64>,
    /// Of each event that was done.
    pub(crate) handling: Vec<Duration>,
    /// Messages received, repeated ones counted again.
    pub(crate) received: usize,
    /// Happenings that were missed because the listener fell behind.
    pub(crate) missed: u64,
}

/// What happened to one event.
#[derive(Debug, Default)]
struct Seen {
    steps: Vec<Step>,
    end: Option<End>,
    duplicates: usize,
    label: Option<(String, &'static str)>,
}

/// Sums for one source and kind.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) arrived: u64,
    pub(crate) done: u64,
    pub(crate) duplicates: u64,
    pub(crate) retried: u64,
    pub(crate) deferred: u64,
    pub(crate) parked: u64,
    pub(crate) woken: u64,
    pub(crate) buried: BTreeMap<&'static str, u64>,
}

impl Observed {
    /// Takes one happening in.
    pub(crate) fn add(&mut self, happening: &Happening) {
        match happening {
            Happening::Received { messages, .. } => self.received += messages,
            Happening::Rejected { id, source, reason, .. } => {
                self.rejected.insert(id.clone(), *reason);
                let source = source.clone().unwrap_or_else(|| "-".to_owned());
                *self.rejections.entry((source, reason.code())).or_default() += 1;
            }
            Happening::PutBack { reason, .. } => *self.put_back.entry(reason.code()).or_default() += 1,
            Happening::Command { id, kind, end, .. } => {
                self.commands.push((id.to_string(), end));
                *self.command_ends.entry((kind, end)).or_default() += 1;
            }
            Happening::Woken(key) => self.woken(key),
            _ => self.event(happening),
        }
    }

    /// The edge answered a request of this sample.
    pub(crate) fn answered(&mut self, sample: &'static str, answer: Answer) {
        self.answers.entry(sample).or_default().push(answer);
    }

    /// Was each request of this sample answered so?
    pub(crate) fn was_answered(&self, sample: &str, wanted: Answer) -> bool {
        self.answers.get(sample).is_some_and(|answers| answers.iter().all(|answer| *answer == wanted))
    }

    /// Requests that the edge answered.
    pub(crate) fn requests(&self) -> usize {
        self.answers.values().map(Vec::len).sum()
    }

    fn woken(&mut self, key: &EventKey) {
        let seen = self.events.entry(key.clone()).or_default();
        seen.steps.push(Step::Woken);
        if let Some(label) = seen.label.clone() {
            self.counts.entry(label).or_default().woken += 1;
        }
    }

    fn event(&mut self, happening: &Happening) {
        let Some(subject) = subject(happening) else { return };
        let label = (subject.source.clone(), subject.kind);
        let seen = self.events.entry(subject.key.clone()).or_default();
        seen.label = Some(label.clone());
        let counts = self.counts.entry(label).or_default();
        match happening {
            Happening::Arrived(_) => counts.arrived += 1,
            Happening::Duplicate(_, state) => {
                counts.duplicates += 1;
                // Told again when it comes back.
                seen.duplicates += usize::from(!matches!(*state, "busy" | "retry_at"));
            }
            Happening::Done(_, took) => {
                counts.done += 1;
                seen.end = Some(End::Done);
                self.handling.push(*took);
            }
            Happening::Retried(_, failure, _) => {
                counts.retried += 1;
                seen.steps.push(Step::Retried(failure.reason));
            }
            Happening::Deferred(_, failure, _) => {
                counts.deferred += 1;
                seen.steps.push(Step::Deferred(failure.reason));
            }
            Happening::Parked(_, failure, _) => {
                counts.parked += 1;
                seen.steps.push(Step::Parked(failure.reason));
            }
            Happening::Buried(_, failure) => {
                *counts.buried.entry(failure.reason.code()).or_default() += 1;
                seen.end = Some(End::Buried(failure.reason));
            }
            _ => {}
        }
    }

    /// How this event ended.
    pub(crate) fn end(&self, key: &EventKey) -> Option<End> {
        self.events.get(key)?.end
    }

    /// What happened to it before, in order.
    pub(crate) fn steps(&self, key: &EventKey) -> &[Step] {
        self.events.get(key).map_or(&[], |seen| &seen.steps)
    }

    /// Did any event wait for this reason?
    pub(crate) fn waited(&self, reason: Reason) -> bool {
        let waits = [Step::Deferred(reason), Step::Parked(reason)];
        self.events.values().any(|seen| seen.steps.iter().any(|step| waits.contains(step)))
    }

    /// Copies of it that were recognised, for good.
    pub(crate) fn duplicates(&self, key: &EventKey) -> usize {
        self.events.get(key).map_or(0, |seen| seen.duplicates)
    }

    /// Why the message or item of this dead letter was rejected.
    pub(crate) fn rejection(&self, id: &str) -> Option<Reason> {
        self.rejected.get(id).copied()
    }

    /// How often a delivery was put back for this reason.
    pub(crate) fn put_back(&self, reason: Reason) -> u64 {
        self.put_back.get(reason.code()).copied().unwrap_or(0)
    }

    /// Deliveries put back, by reason.
    pub(crate) fn all_put_back(&self) -> &BTreeMap<&'static str, u64> {
        &self.put_back
    }

    /// Did an attempt at a command of this event end so?
    pub(crate) fn attempt_ended(&self, key: &EventKey, end: &str) -> bool {
        let prefix = format!("{key}@");
        self.commands.iter().any(|(id, ended)| *ended == end && id.starts_with(&prefix))
    }
}

/// The event that it is about.
pub(crate) fn subject(happening: &Happening) -> Option<&Subject> {
    match happening {
        Happening::Arrived(subject)
        | Happening::Duplicate(subject, _)
        | Happening::Done(subject, _)
        | Happening::Retried(subject, ..)
        | Happening::Deferred(subject, ..)
        | Happening::Parked(subject, ..)
        | Happening::Buried(subject, _)
        | Happening::HandedBack(subject)
        | Happening::Lost(subject) => Some(subject),
        Happening::Received { .. }
        | Happening::Rejected { .. }
        | Happening::PutBack { .. }
        | Happening::Woken(_)
        | Happening::Flooded { .. }
        | Happening::Dropped { .. }
        | Happening::Command { .. } => None,
    }
}
