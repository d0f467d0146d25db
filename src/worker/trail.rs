//! What happens, said once: one call writes the log line, moves the counters and tells who listens.

use std::time::Duration;

use tokio::sync::broadcast;

use crate::domain::{
    event::Event,
    ids::{CommandId, CorrelationId, EventKey, TenantId},
    outcome::Failure,
    reason::Reason,
};

/// The event that something happened to.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its key.
    pub key: EventKey,
    /// The configured sender.
    pub source: String,
    /// Its kind.
    pub kind: &'static str,
    /// Whose.
    pub tenant: TenantId,
    /// Follows it.
    pub correlation_id: CorrelationId,
}

impl From<&Event> for Subject {
    fn from(event: &Event) -> Self {
        Self {
            key: event.key.clone(),
            source: event.source.0.clone(),
            kind: event.fact.kind(),
            tenant: event.tenant.clone(),
            correlation_id: event.correlation_id.clone(),
        }
    }
}

/// Something that happened to a delivery, an event or a command.
#[derive(Clone, Debug)]
pub enum Happening {
    /// Messages came; `oldest_wait` is the longest time one of them had been waiting.
    Received {
        /// How many.
        messages: usize,
        /// Sent to received.
        oldest_wait: Duration,
    },
    /// A delivery, or one item of it, never became an event.
    Rejected {
        /// Its dead letter.
        id: String,
        /// The configured sender, where it is known.
        source: Option<String>,
        /// Why.
        reason: Reason,
        /// For operators.
        detail: String,
    },
    /// More forged messages came within a minute than a source may send: further ones are dropped.
    Flooded {
        /// A configured source, or `unknown`.
        source: String,
    },
    /// A rejected delivery was dropped, and not kept: its source sends too many of them.
    Dropped {
        /// A configured source, or `unknown`.
        source: String,
        /// Why it was rejected.
        reason: Reason,
    },
    /// A whole delivery waits, uncounted: a secret or the database cannot be read.
    PutBack {
        /// Why.
        reason: Reason,
        /// For operators.
        detail: String,
    },
    /// A verified event was read from a delivery.
    Arrived(Subject),
    /// It was known already: `done`, `parked`, `buried`, `busy` or `retry_at`.
    Duplicate(Subject, &'static str),
    /// Done and committed.
    Done(Subject, Duration),
    /// Failed, comes back after this long.
    Retried(Subject, Failure, Duration),
    /// Not now, comes back after this long.
    Deferred(Subject, Failure, Duration),
    /// Waits in the store for this long; a failure or a deferral.
    Parked(Subject, Failure, Duration),
    /// Kept as a dead letter.
    Buried(Subject, Failure),
    /// Handed back untouched.
    HandedBack(Subject),
    /// Our claim was lost: nothing was written.
    Lost(Subject),
    /// A wake was sent for a parked event.
    Woken(EventKey),
    /// A command ended: `sent`, `refused`, `unknown`, `dropped`, `again`.
    Command {
        /// Which.
        id: CommandId,
        /// Its kind.
        kind: &'static str,
        /// How it ended.
        end: &'static str,
        /// Code and text.
        detail: String,
    },
}

/// Tells what happens.
#[derive(Clone, Debug)]
pub struct Trail {
    listeners: broadcast::Sender<Happening>,
}

impl Default for Trail {
    fn default() -> Self {
        Self { listeners: broadcast::channel(16_384).0 }
    }
}

impl Trail {
    /// Everything from now on. A listener that falls 16,384 behind misses some and is told so.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.listeners.subscribe()
    }

    /// Says it: log, counters, listeners.
    pub fn note(&self, happening: Happening) {
        count(&happening);
        log(&happening);
        // Nobody listening is the usual case.
        let _ = self.listeners.send(happening);
    }
}

fn count(happening: &Happening) {
    let event = |outcome: &'static str, subject: &Subject, reason: &'static str| {
        metrics::counter!("longshore_events_total", "outcome" => outcome, "source" => subject.source.clone(),
            "kind" => subject.kind, "reason" => reason)
        .increment(1);
    };
    match happening {
        Happening::Received { messages, oldest_wait } => {
            metrics::counter!("longshore_messages_received_total").increment(*messages as u64);
            metrics::histogram!("longshore_message_dwell_seconds").record(oldest_wait.as_secs_f64());
            metrics::gauge!("longshore_oldest_wait_seconds").set(oldest_wait.as_secs_f64());
        }
        // The claimed source is not proved, so it is no label: anybody could make up more.
        Happening::Rejected { reason, .. } => {
            metrics::counter!("longshore_rejected_total", "reason" => reason.code()).increment(1);
        }
        Happening::Flooded { source } => {
            metrics::counter!("longshore_source_alerts_total", "source" => source.clone()).increment(1);
        }
        Happening::Dropped { source, reason } => {
            metrics::counter!("longshore_dropped_total", "source" => source.clone(),
                "reason" => reason.code())
            .increment(1);
        }
        Happening::PutBack { reason, .. } => {
            metrics::counter!("longshore_put_back_total", "reason" => reason.code()).increment(1);
        }
        Happening::Arrived(subject) => event("arrived", subject, ""),
        Happening::Duplicate(subject, _) => event("duplicate", subject, ""),
        Happening::Done(subject, took) => {
            event("done", subject, "");
            metrics::histogram!("longshore_handling_seconds", "kind" => subject.kind)
                .record(took.as_secs_f64());
        }
        Happening::Retried(subject, failure, _) => event("retried", subject, failure.reason.code()),
        Happening::Deferred(subject, failure, _) => event("deferred", subject, failure.reason.code()),
        Happening::Parked(subject, failure, _) => event("parked", subject, failure.reason.code()),
        Happening::Buried(subject, failure) => event("buried", subject, failure.reason.code()),
        Happening::HandedBack(subject) => event("handed_back", subject, ""),
        Happening::Lost(subject) => event("lost", subject, ""),
        Happening::Woken(_) => metrics::counter!("longshore_wakes_total").increment(1),
        Happening::Command { kind, end, .. } => {
            metrics::counter!("longshore_commands_total", "kind" => *kind, "end" => *end).increment(1);
        }
    }
}

fn log(happening: &Happening) {
    macro_rules! line {
        ($level:ident, $subject:expr, $text:literal $(, $field:ident = $value:expr)*) => {
            tracing::$level!(event_key = %$subject.key, source = %$subject.source, kind = $subject.kind,
                tenant = %$subject.tenant, correlation_id = %$subject.correlation_id $(, $field = $value)*, $text)
        };
    }
    match happening {
        Happening::Received { messages, .. } => tracing::debug!(messages, "received"),
        Happening::Rejected { id, source, reason, detail } => {
            tracing::warn!(dead_letter = id, source, reason = reason.code(), detail, "rejected");
        }
        Happening::Flooded { source } => {
            tracing::warn!(source, "too many bad signatures within a minute: further ones are dropped");
        }
        Happening::Dropped { source, reason } => {
            tracing::debug!(source, reason = reason.code(), "dropped");
        }
        Happening::PutBack { reason, detail } => {
            tracing::warn!(reason = reason.code(), detail, "delivery put back");
        }
        Happening::Arrived(subject) => line!(debug, subject, "arrived"),
        Happening::Duplicate(subject, state) => line!(info, subject, "duplicate", state = state),
        Happening::Done(subject, took) => line!(info, subject, "done", seconds = took.as_secs_f64()),
        Happening::Retried(subject, failure, wait) => {
            line!(
                warn,
                subject,
                "retry",
                failure = tracing::field::display(failure),
                wait_seconds = wait.as_secs_f64()
            );
        }
        Happening::Deferred(subject, failure, wait) => {
            line!(
                info,
                subject,
                "deferred",
                failure = tracing::field::display(failure),
                wait_seconds = wait.as_secs_f64()
            );
        }
        Happening::Parked(subject, failure, wait) => {
            line!(
                info,
                subject,
                "parked",
                failure = tracing::field::display(failure),
                wait_seconds = wait.as_secs_f64()
            );
        }
        Happening::Buried(subject, failure) => {
            line!(error, subject, "buried", failure = tracing::field::display(failure))
        }
        Happening::HandedBack(subject) => line!(info, subject, "handed back"),
        Happening::Lost(subject) => line!(warn, subject, "claim lost"),
        Happening::Woken(key) => tracing::info!(event_key = %key, "woken"),
        Happening::Command { id, kind, end, detail } => {
            tracing::info!(command = %id, kind, end, detail, "command");
        }
    }
}
