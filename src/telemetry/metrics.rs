//! Every metric, described in one place. Labels are bounded: no ids, no tenants, no error texts.

use std::{sync::OnceLock, time::Duration};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::reason::Reason;

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A level.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
}

const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const WAITS: &[f64] =
    &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 345_600.0];
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

macro_rules! metrics {
    ($($kind:expr, $name:literal, $help:literal;)+) => {
        /// All of them.
        pub const METRICS: &[Metric] = &[$(Metric { name: $name, kind: $kind, help: $help },)+];
    };
}

use Kind::{Counter, Gauge, Histogram};

metrics! {
    Gauge, "longshore_build_info", "1, with the version as label.";
    Gauge, "longshore_ready", "1 when the worker is ready, else 0: the answer of the last /readyz.";
    Counter, "longshore_messages_received_total", "Messages received from the queue, duplicates included.";
    Histogram(WAITS), "longshore_message_dwell_seconds", "Oldest wait between sending and receiving, of each receive.";
    Gauge, "longshore_oldest_wait_seconds", "Longest wait among the messages of the latest receive; 0 when a poll came back empty. SQS itself does not tell the age of what still waits.";
    Gauge, "longshore_messages_in_flight", "Slots taken by events and receives.";
    Gauge, "longshore_queue_messages", "Messages on the queue by state (visible, in_flight, delayed), as SQS estimates them.";
    Counter, "longshore_rejected_total", "Messages and items buried before they became events, by reason.";
    Counter, "longshore_source_alerts_total", "Minutes in which a source sent more bad signatures than it may, by source.";
    Counter, "longshore_dropped_total", "Rejected messages that were dropped and not kept in such a minute, by source and reason.";
    Counter, "longshore_events_total", "Events by outcome (arrived, duplicate, done, retried, deferred, parked, buried, handed_back, lost), source, kind and reason.";
    Histogram(SECONDS), "longshore_handling_seconds", "Time from start to commit of events that were done, by kind.";
    Counter, "longshore_leases_lost_total", "Leases that could not be extended: somebody else may work on the same event.";
    Counter, "longshore_settle_given_up_total", "Acknowledgements and releases that the queue did not take: the messages come back.";
    Counter, "longshore_put_back_total", "Deliveries put back uncounted because a secret or the database could not be read, by reason.";
    Counter, "longshore_wakes_total", "Wakes sent for parked events.";
    Gauge, "longshore_parked", "Events that wait for their wake.";
    Gauge, "longshore_outbox", "Commands by state (planned, unknown).";
    Counter, "longshore_commands_total", "Commands carried out, by kind and end.";
    Counter, "longshore_channel_sends_total", "Calls to send a message, by channel and outcome.";
    Counter, "longshore_channel_alerts_total", "Answers of a vendor after which somebody must act, by channel and code.";
    Counter, "longshore_webhooks_total", "Signed requests that were sent, by what they were for (alerts, callback, piece) and outcome.";
    Gauge, "longshore_llm_up", "1 while a model of the settings is asked, 0 while it is left alone or tried by a single call.";
    Gauge, "longshore_dead_letters_open", "Open dead letters by reason.";
    Counter, "longshore_commit_groups_total", "Transactions of the store that carried a group, by verb.";
    Histogram(SIZES), "longshore_commit_group_size", "Members of a group, by verb.";
    Counter, "longshore_sqs_calls_total", "Requests to the queue by operation, repeated attempts included: each is billed.";
    Counter, "longshore_edge_requests_total", "Requests to the edge by source (`unknown` where none is configured) and outcome.";
    Histogram(SECONDS), "longshore_edge_request_seconds", "Time from a request's head to the queue's word that it has it.";
    Histogram(SIZES), "longshore_edge_batch_size", "Requests that shared one call to the queue.";
    Counter, "longshore_llm_requests_total", "LLM calls by provider, model and outcome.";
    Histogram(SECONDS), "longshore_llm_request_seconds", "Duration of LLM calls by provider and model.";
    Counter, "longshore_llm_tokens_total", "LLM tokens by provider, model and kind.";
    Gauge, "longshore_llm_cost_usd_total", "US dollars for LLM calls since the start, by provider and model. Only grows; the ledger holds the exact amounts.";
    Counter, "longshore_llm_unpriced_total", "Billed LLM calls of models that the price table does not know.";
    Histogram(SECONDS), "longshore_llm_journal_seconds", "Wait for a durable write of the LLM journal, by verb (begin, send, finish).";
    Histogram(SECONDS), "longshore_llm_gate_wait_seconds", "Wait of calls that did not find every gate of their model open: calls at once, requests and tokens per minute.";
    Gauge, "longshore_llm_concurrency", "Calls at once that a model is trusted with now.";
    Gauge, "longshore_llm_waiting", "Calls that wait at a gate of a model.";
    Gauge, "longshore_llm_breaker_state", "A model's circuit breaker: 0 closed, 1 one call looks whether it is up, 2 open.";
    Counter, "longshore_llm_breaker_changes_total", "Openings and closings of circuit breakers.";
    Counter, "longshore_llm_retries_total", "LLM calls made again, by provider and model.";
    Counter, "longshore_llm_fallbacks_total", "Questions that went to the next model of their route, by reason.";
    Counter, "longshore_llm_cache_hits_total", "Questions answered by what an equal one was answered before, at no cost.";
    Counter, "longshore_llm_usage_inconsistent_total", "LLM answers whose token counts contradict each other.";
}

/// Gives the page of all metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Moves what was recorded into the histograms every few seconds, so that memory stays bounded when
    /// nobody asks for the page. Needs a runtime; ends with it.
    pub fn keep_up(&self) {
        let handle = self.0.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                handle.run_upkeep();
            }
        });
    }
}

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

/// Starts recording. Later calls answer the same recorder.
///
/// # Errors
/// When another recorder was installed before.
pub fn start() -> Result<Metrics, BuildError> {
    if let Some(metrics) = INSTALLED.get() {
        return Ok(metrics.clone());
    }
    let metrics = Metrics(builder()?.install_recorder()?);
    describe();
    zero();
    Ok(INSTALLED.get_or_init(|| metrics).clone())
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    METRICS.iter().try_fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Histogram(buckets) => builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets),
        Counter | Gauge => Ok(builder),
    })
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            Counter => describe_counter!(metric.name, metric.help),
            Gauge => describe_gauge!(metric.name, metric.help),
            Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Counters exist from the start, so that the first event is seen as an increase.
fn zero() {
    for name in [
        "longshore_messages_received_total",
        "longshore_leases_lost_total",
        "longshore_settle_given_up_total",
        "longshore_wakes_total",
    ] {
        counter!(name).increment(0);
    }
    for operation in [
        "ReceiveMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
        "SendMessageBatch",
        "GetQueueAttributes",
    ] {
        counter!("longshore_sqs_calls_total", "operation" => operation).increment(0);
    }
    for reason in Reason::ALL {
        gauge!("longshore_dead_letters_open", "reason" => reason.code()).set(0.0);
    }
    gauge!("longshore_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Counters of one configured source at zero. `kinds` are the kinds of events that it can bring.
pub fn zero_source(source: &str, kinds: &[&'static str]) {
    for kind in kinds {
        for outcome in ["arrived", "duplicate", "done"] {
            counter!("longshore_events_total", "outcome" => outcome, "source" => source.to_owned(),
                "kind" => *kind, "reason" => "")
            .increment(0);
        }
    }
    counter!("longshore_source_alerts_total", "source" => source.to_owned()).increment(0);
    for reason in Reason::ALL.iter().take_while(|reason| **reason != Reason::Expired) {
        counter!("longshore_rejected_total", "source" => source.to_owned(), "reason" => reason.code())
            .increment(0);
    }
}

/// Counters of the edge's configured sources at zero.
pub fn zero_edge<'a>(sources: impl Iterator<Item = &'a String>) {
    for source in sources {
        for outcome in ["accepted", "queue_unavailable", "busy", "rate_limited", "too_large"] {
            counter!("longshore_edge_requests_total", "source" => source.clone(), "outcome" => outcome)
                .increment(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::{histogram, with_local_recorder};

    use super::*;

    fn page(work: impl FnOnce()) -> String {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        with_local_recorder(&recorder, || {
            describe();
            zero();
            work();
        });
        handle.render()
    }

    #[test]
    fn counters_start_at_zero_and_histograms_have_buckets() {
        let page = page(|| {
            zero_source("wa", &["inbound_message"]);
            histogram!("longshore_handling_seconds", "kind" => "drill").record(0.2);
        });
        for line in [
            "longshore_messages_received_total 0",
            "longshore_rejected_total{source=\"wa\",reason=\"sig_invalid\"} 0",
            "longshore_dead_letters_open{reason=\"crash_loop\"} 0",
            "longshore_handling_seconds_bucket{kind=\"drill\",le=\"0.25\"} 1",
            "# TYPE longshore_handling_seconds histogram",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            let counts = metric.name.ends_with("_total");
            assert!(metric.name.starts_with("longshore_") && metric.help.ends_with('.'), "{}", metric.name);
            assert!(metric.kind != Counter || counts, "{}", metric.name);
        }
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
