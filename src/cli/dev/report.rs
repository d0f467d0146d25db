//! The summary for people.

use std::collections::BTreeMap;

use crate::cli::{
    dev::{
        lines::{Lines, Tone},
        summary::{SampleEnd, Summary},
    },
    output::say_table,
};

/// What is missing of one sample, in lines.
const MOST_MISSING: usize = 4;

/// Prints all of it.
pub(crate) fn print(summary: &Summary, lines: &Lines) {
    lines.heading("Samples");
    samples(summary, lines);
    lines.heading("Events, by source and kind");
    events(summary);
    lines.heading("Rejected before they became events");
    rejected(summary);
    lines.heading("Models");
    models(summary, lines);
    lines.heading("What the outside got");
    outside(summary, lines);
    lines.heading("Queue and store");
    figures(summary, lines);
    verdict(summary, lines);
}

/// By sender: how many, and by name what did not end as it should.
fn samples(summary: &Summary, lines: &Lines) {
    let mut senders: Vec<(&str, Vec<&SampleEnd>)> = Vec::new();
    for sample in &summary.samples {
        match senders.iter_mut().find(|(sender, _)| *sender == sample.sender) {
            Some((_, of)) => of.push(sample),
            None => senders.push((sample.sender, vec![sample])),
        }
    }
    let rows: Vec<Vec<String>> = senders
        .iter()
        .map(|(sender, of)| {
            let ok = of.iter().filter(|sample| sample.ok).count();
            vec![(*sender).to_owned(), of.len().to_string(), ok.to_string()]
        })
        .collect();
    say_table(&["sender", "samples", "as they should"], &rows);
    for sample in summary.samples.iter().filter(|sample| !sample.ok) {
        lines.say(&lines.toned(&format!("✗ {}: {}", sample.sender, sample.name), Tone::Bad));
        for missing in sample.missing.iter().take(MOST_MISSING) {
            lines.say(&format!("    not seen: {missing}"));
        }
        if sample.missing.len() > MOST_MISSING {
            lines.say(&format!("    and {} more", sample.missing.len() - MOST_MISSING));
        }
    }
}

fn events(summary: &Summary) {
    let rows: Vec<Vec<String>> = summary
        .events
        .iter()
        .map(|row| {
            vec![
                row.source.clone(),
                row.kind.to_owned(),
                row.counts.arrived.to_string(),
                row.counts.done.to_string(),
                blank_zero(row.counts.duplicates),
                blank_zero(row.counts.retried),
                blank_zero(row.counts.deferred),
                blank_zero(row.counts.parked),
                by_reason(&row.counts.buried),
            ]
        })
        .collect();
    let head = [
        "source",
        "kind",
        "arrived",
        "done",
        "duplicates",
        "retried",
        "deferred",
        "parked",
        "buried, by reason",
    ];
    say_table(&head, &rows);
}

fn blank_zero(count: u64) -> String {
    if count == 0 { "·".to_owned() } else { count.to_string() }
}

fn by_reason(reasons: &BTreeMap<&'static str, u64>) -> String {
    if reasons.is_empty() {
        return "·".to_owned();
    }
    reasons.iter().map(|(reason, times)| format!("{times} {reason}")).collect::<Vec<_>>().join(", ")
}

fn rejected(summary: &Summary) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in &summary.rejected {
        reasons.entry(row.reason).or_default().push(format!("{} {}", row.times, row.source));
    }
    let rows: Vec<Vec<String>> =
        reasons.into_iter().map(|(reason, sources)| vec![reason.to_owned(), sources.join(", ")]).collect();
    say_table(&["reason", "claimed source"], &rows);
}

fn models(summary: &Summary, lines: &Lines) {
    lines.say(&format!("{} calls to models in this run", summary.llm.calls));
    if summary.llm.by_model.is_empty() {
        return;
    }
    let rows: Vec<Vec<String>> = summary
        .llm
        .by_model
        .iter()
        .map(|row| {
            let cost = match row.unpriced {
                0 => row.cost_usd.clone(),
                unpriced => format!("{} ({unpriced} without a known price)", row.cost_usd),
            };
            vec![
                row.model.clone(),
                row.ledger_rows.to_string(),
                blank_zero(u64::try_from(row.ambiguous).unwrap_or(0)),
                row.input.to_string(),
                row.cached.to_string(),
                row.output.to_string(),
                cost,
            ]
        })
        .collect();
    say_table(&["model", "ledger rows", "ambiguous", "input", "of it cached", "output", "USD"], &rows);
}

fn outside(summary: &Summary, lines: &Lines) {
    let said = |status: Option<u16>| summary.outside.iter().filter(|got| got.status == status).count();
    let cut = said(None);
    let good = said(Some(200));
    lines.say(&format!(
        "{} requests to send a WhatsApp message: {good} accepted, {cut} cut off without an answer, {} refused",
        summary.outside.len(),
        summary.outside.len() - good - cut,
    ));
    let ends = |wanted: &str| {
        let ends = summary.commands.iter().filter(|command| command.kind == wanted);
        ends.map(|command| format!("{} {}", command.times, command.end)).collect::<Vec<_>>().join(", ")
    };
    for (kind, words) in
        [("message", "messages to people"), ("copy_dead_letter", "copies of dead letters to the DLQ")]
    {
        let ends = ends(kind);
        if !ends.is_empty() {
            lines.say(&format!("{words}: {ends}"));
        }
    }
}

fn figures(summary: &Summary, lines: &Lines) {
    let calls: Vec<String> =
        summary.queue.calls.iter().map(|(operation, calls)| format!("{operation} {calls}")).collect();
    lines.say(&format!(
        "{} messages put on the queue, {} requests posted to the edge; {} messages received, {:.2} SQS calls of the \
         worker for each",
        summary.queue.messages,
        summary.queue.requests,
        summary.queue.received,
        summary.queue.worker_calls_per_message
    ));
    lines.say(&format!("all SQS calls: {}", calls.join(", ")));
    let handling = &summary.handling;
    lines.say(&format!(
        "handling of {} events: p50 {:.2} ms, p99 {:.2} ms, longest {:.0} ms",
        handling.events, handling.p50_ms, handling.p99_ms, handling.max_ms
    ));
    lines.say(&format!(
        "dead letters: {} before, {} now",
        summary.dead_letters.before, summary.dead_letters.after
    ));
    let grown: Vec<String> = summary
        .tables
        .iter()
        .filter(|(_, rows)| rows.after != rows.before)
        .map(|(table, rows)| format!("{table} {:+}", rows.after - rows.before))
        .collect();
    let grown = if grown.is_empty() { "none".to_owned() } else { grown.join(", ") };
    lines.say(&format!("rows added to the store: {grown}"));
}

fn verdict(summary: &Summary, lines: &Lines) {
    let all = summary.samples.len();
    let good = summary.samples.iter().filter(|sample| sample.ok).count();
    let run = match (summary.first_run, summary.carries_on) {
        (true, _) => "",
        (false, true) => " (carried on where an earlier run was cut off)",
        (false, false) => " (sent before: all recognised, nothing worked twice)",
    };
    let text = format!("{good} of {all} samples ended as they should, in {:.1} s{run}", summary.seconds);
    let tone = if summary.ok { Tone::Good } else { Tone::Bad };
    lines.heading(&lines.toned(&text, tone));
    lines.say(
        "Not among them: crash_loop, which needs a killed process; store_unavailable, a lost database; route_down and \
         budget_exhausted, which wait for a provider or a new day.",
    );
    lines.heading("Where to look next");
    for command in &summary.next {
        lines.say(&format!("  {command}"));
    }
}
