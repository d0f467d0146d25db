//! What a run amounts to: the JSON document, and what the tables are made of.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Serialize;

use crate::{
    cli::dev::{
        judge::{Judge, Judged, describe},
        lines::masked,
        machine::Machine,
        observed::{Counts, Observed},
        outside::{script::Service, world::Seen},
        state_dir::StateDir,
    },
    domain::money::Money,
    store::contract::{Result, Store, TableCounts, UsageFilter, UsageRow},
};

/// Table with one row for each call to a model.
const CALLS_TABLE: &str = "llm_journal";

/// How the store stood at one moment.
pub(crate) struct Standing {
    tables: TableCounts,
    usage: Vec<UsageRow>,
    dead_letters: i64,
}

impl Standing {
    /// Now.
    pub(crate) async fn of(store: &dyn Store) -> Result<Self> {
        let tables = store.table_counts().await?;
        let dead_letters = tables.get("dead_letters").copied().unwrap_or(0);
        Ok(Self { usage: store.usage(&UsageFilter::default()).await?, tables, dead_letters })
    }
}

/// The whole of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Did all samples end as they should?
    pub(crate) ok: bool,
    /// None of the samples' events was known before.
    pub(crate) first_run: bool,
    /// Some of them had begun before and not ended: an earlier run was cut off.
    pub(crate) carries_on: bool,
    pub(crate) seconds: f64,
    pub(crate) state_dir: String,
    pub(crate) samples: Vec<SampleEnd>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) rejected: Vec<RejectedRow>,
    pub(crate) put_back: BTreeMap<&'static str, u64>,
    pub(crate) llm: Llm,
    pub(crate) commands: Vec<CommandEnds>,
    pub(crate) outside: Vec<Got>,
    pub(crate) queue: QueueUse,
    pub(crate) handling: Handling,
    pub(crate) dead_letters: BeforeAfter,
    pub(crate) tables: BTreeMap<String, BeforeAfter>,
    /// Commands with which to look further.
    pub(crate) next: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SampleEnd {
    pub(crate) name: &'static str,
    pub(crate) sender: &'static str,
    pub(crate) ok: bool,
    pub(crate) expected: Vec<String>,
    pub(crate) missing: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct EventRow {
    pub(crate) source: String,
    pub(crate) kind: &'static str,
    #[serde(flatten)]
    pub(crate) counts: Counts,
}

#[derive(Debug, Serialize)]
pub(crate) struct RejectedRow {
    pub(crate) source: String,
    pub(crate) reason: &'static str,
    pub(crate) times: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Llm {
    /// Calls to models made in this run.
    pub(crate) calls: i64,
    /// Ledger rows written in this run: billed calls of ours, and chats that other systems reported.
    pub(crate) by_model: Vec<ModelRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelRow {
    pub(crate) model: String,
    pub(crate) ledger_rows: i64,
    pub(crate) ambiguous: i64,
    pub(crate) unpriced: i64,
    pub(crate) input: i64,
    pub(crate) cached: i64,
    pub(crate) output: i64,
    pub(crate) cost_usd: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct CommandEnds {
    pub(crate) kind: &'static str,
    pub(crate) end: &'static str,
    pub(crate) times: u64,
}

/// A request that the stand-in got.
#[derive(Debug, Serialize)]
pub(crate) struct Got {
    pub(crate) to: String,
    pub(crate) text: String,
    /// `None`: the connection was cut.
    pub(crate) status: Option<u16>,
}

#[derive(Debug, Serialize)]
pub(crate) struct QueueUse {
    /// Put on the queue by `dev`.
    pub(crate) messages: usize,
    /// Posted to the edge by `dev`.
    pub(crate) requests: usize,
    /// Received, with those that came back.
    pub(crate) received: usize,
    /// Requests as the queue counted them.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Receiving, deleting and changing visibility, for each message received.
    pub(crate) worker_calls_per_message: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Handling {
    pub(crate) events: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct BeforeAfter {
    pub(crate) before: i64,
    pub(crate) after: i64,
}

/// What a summary is made of.
pub(crate) struct Facts<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) state: &'a StateDir,
    /// As the user may name it.
    pub(crate) settings_file: &'a Path,
    pub(crate) judge: &'a Judge,
    pub(crate) observed: &'a Observed,
    pub(crate) messages: usize,
    pub(crate) before: &'a Standing,
    pub(crate) after: &'a Standing,
    pub(crate) seconds: f64,
}

impl Summary {
    /// Puts it together.
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        let Facts { judge, observed, before, after, .. } = facts;
        let samples = samples(judge);
        let calls = |standing: &Standing| standing.tables.get(CALLS_TABLE).copied().unwrap_or(0);
        Self {
            // What was missed cannot be vouched for.
            ok: samples.iter().all(|sample| sample.ok) && observed.missed == 0,
            first_run: judge.is_first_run(),
            carries_on: judge.carries_on(),
            seconds: facts.seconds,
            state_dir: facts.state.root().display().to_string(),
            events: events(observed),
            rejected: rejected(observed),
            put_back: observed.all_put_back().clone(),
            llm: Llm { calls: calls(after) - calls(before), by_model: by_model(&before.usage, &after.usage) },
            commands: observed
                .command_ends
                .iter()
                .map(|((kind, end), times)| CommandEnds { kind, end, times: *times })
                .collect(),
            outside: facts.machine.outside.log().iter().filter_map(got).collect(),
            queue: queue(facts),
            handling: handling(&observed.handling),
            dead_letters: BeforeAfter { before: before.dead_letters, after: after.dead_letters },
            tables: tables(&before.tables, &after.tables),
            next: next(facts),
            samples,
        }
    }
}

fn samples(judge: &Judge) -> Vec<SampleEnd> {
    let end = |judged: &Judged| SampleEnd {
        name: judged.sample.name,
        sender: judged.sample.sender,
        ok: judged.is_over(),
        expected: judged.sample.expects.iter().map(describe).collect(),
        missing: judged.missing().map(describe).collect(),
    };
    judge.samples().iter().map(end).collect()
}

fn events(observed: &Observed) -> Vec<EventRow> {
    let row = |((source, kind), counts): (&(String, &'static str), &Counts)| EventRow {
        source: source.clone(),
        kind,
        counts: counts.clone(),
    };
    observed.counts.iter().map(row).collect()
}

fn rejected(observed: &Observed) -> Vec<RejectedRow> {
    let rows = observed.rejections.iter();
    rows.map(|((source, reason), times)| RejectedRow { source: source.clone(), reason, times: *times })
        .collect()
}

/// Sums by model of what was added.
fn by_model(before: &[UsageRow], after: &[UsageRow]) -> Vec<ModelRow> {
    let mut sums: BTreeMap<&str, [i64; 7]> = BTreeMap::new();
    for (rows, sign) in [(after, 1), (before, -1)] {
        for row in rows {
            let sum = sums.entry(&row.model).or_default();
            let figures =
                [row.calls, row.ambiguous, row.unpriced, row.input, row.cached, row.output, row.cost.0];
            for (total, figure) in sum.iter_mut().zip(figures) {
                *total += sign * figure;
            }
        }
    }
    let added = sums.into_iter().filter(|(_, [rows, ..])| *rows != 0);
    added
        .map(|(model, [ledger_rows, ambiguous, unpriced, input, cached, output, cost])| ModelRow {
            model: model.to_owned(),
            ledger_rows,
            ambiguous,
            unpriced,
            input,
            cached,
            output,
            cost_usd: Money(cost).to_string(),
        })
        .collect()
}

fn got(seen: &Seen) -> Option<Got> {
    (seen.service == Service::Whatsapp).then(|| Got {
        to: masked(seen.body["to"].as_str().unwrap_or_default()),
        text: seen.body["text"]["body"].as_str().unwrap_or_default().to_owned(),
        status: seen.status,
    })
}

fn queue(facts: &Facts<'_>) -> QueueUse {
    let calls = facts.machine.server.counters().all();
    let by_the_worker: u64 = ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]
        .iter()
        .filter_map(|operation| calls.get(*operation))
        .sum();
    let received = facts.observed.received;
    QueueUse {
        messages: facts.messages,
        requests: facts.observed.requests(),
        received,
        worker_calls_per_message: ratio(by_the_worker, received),
        calls,
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
fn ratio(calls: u64, messages: usize) -> f64 {
    calls as f64 / messages.max(1) as f64
}

/// Nearest rank.
fn handling(taken: &[Duration]) -> Handling {
    let mut sorted = taken.to_vec();
    sorted.sort();
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    Handling { events: sorted.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
}

fn tables(before: &TableCounts, after: &TableCounts) -> BTreeMap<String, BeforeAfter> {
    let row = |(name, after): (&String, &i64)| {
        (name.clone(), BeforeAfter { before: before.get(name).copied().unwrap_or(0), after: *after })
    };
    after.iter().map(row).collect()
}

/// With a key and a state folder that are there.
fn next(facts: &Facts<'_>) -> Vec<String> {
    let longshore = format!("longshore --config {}", facts.settings_file.display());
    let interesting =
        facts.judge.samples().iter().find(|judged| judged.sample.name == "fails twice, then answers");
    let key =
        interesting.and_then(|judged| judged.sample.keys().next()).map(|key| format!("event show '{key}'"));
    let fixed = [
        "dlq list",
        "dlq replay --reason llm_refused --dry-run",
        "outbox list --state unknown",
        "usage report",
    ];
    key.into_iter().chain(fixed.map(str::to_owned)).map(|command| format!("{longshore} {command}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(model: &str, day: &str, calls: i64, cost: i64) -> UsageRow {
        UsageRow {
            tenant: "acme".into(),
            prompt: String::new(),
            model: model.into(),
            day: day.into(),
            calls,
            ambiguous: 0,
            unpriced: 0,
            input: 10 * calls,
            cached: 0,
            output: calls,
            cost: Money(cost),
        }
    }

    #[test]
    fn only_what_was_added_is_summed() {
        let before = [usage("a", "2026-11-20", 2, 5), usage("b", "2026-11-20", 1, 1)];
        let after =
            [usage("a", "2026-11-20", 2, 5), usage("a", "2026-11-21", 3, 7), usage("b", "2026-11-20", 1, 1)];
        let rows = by_model(&before, &after);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].model.as_str(), rows[0].ledger_rows, rows[0].input), ("a", 3, 30));
        assert_eq!(rows[0].cost_usd, "0.000000000007");
    }

    #[test]
    fn percentiles_are_ranks() {
        let taken: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let handling = handling(&taken);
        assert_eq!((handling.p50_ms, handling.p99_ms, handling.max_ms), (100.0, 198.0, 200.0));
        assert_eq!(super::handling(&[]).p99_ms, 0.0);
    }
}
