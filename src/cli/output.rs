//! How commands answer: tables for people, JSON for machines, errors with hints.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    config::{Problems, environment_variable},
    lifecycle::{ExitCode, Stop, exit_code_of},
    queue::contract::QueueError,
    store::contract::StoreError,
};

/// Terminals narrower than this get tables that run over their edge.
const NARROWEST: u16 = 60;

/// One line of the answer. A closed pipe is nobody's fault.
pub(super) fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

/// One line beside the answer: on standard error. What comes from strangers cannot steer the terminal.
pub(super) fn say_aside(text: &str) {
    let _ = writeln!(stderr(), "{}", printable(text));
}

/// The answer as JSON.
pub(super) fn say_json(value: &impl Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The answer as CSV, for spreadsheets: a cell that begins as a formula does is made text.
pub(super) fn say_csv(head: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(head)?;
    for row in rows {
        out.write_record(row.iter().map(|cell| no_formula(cell)))?;
    }
    say(String::from_utf8_lossy(&out.into_inner()?).trim_end());
    Ok(())
}

/// What strangers may name, such as a model, must not be worked by whoever opens the file.
fn no_formula(cell: &str) -> String {
    let is_number = cell.strip_prefix('-').unwrap_or(cell).bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// A table: with frame and bold head on a terminal, plain columns elsewhere and with `NO_COLOR`.
pub(super) fn say_table(head: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        say("nothing");
        return;
    }
    let terminal = stdout().is_terminal();
    let colour = terminal && environment_variable("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut table = Table::new();
    table.load_style(if terminal { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING });
    // A terminal that does not tell its width, or hardly has one, would get columns of single letters.
    if terminal && table.width().is_some_and(|width| width >= NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    let bold = |name: &&str| {
        let cell = Cell::new(*name);
        if colour { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    table.set_header(head.iter().map(bold));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let lines = table.to_string();
    lines.lines().for_each(|line| say(line.trim_end()));
}

/// Stored text comes from strangers: no control characters for the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{00b7}' } else { c }).collect()
}

/// Says what is wrong and what to do, and answers the exit code.
pub(super) fn complain(error: &anyhow::Error) -> ExitCode {
    let (code, hint) = judge(error);
    let _ = writeln!(stderr(), "error: {error:#}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr(), "hint: {hint}");
    }
    code
}

fn judge(error: &anyhow::Error) -> (ExitCode, Option<String>) {
    let hint = |text: &str| Some(text.to_owned());
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return (stop.code, stop.hint.clone());
    }
    if error.is::<Problems>() {
        return (ExitCode::Config, hint("`longshore config check` shows all of it again, secrets included"));
    }
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Schema(_)) => return (ExitCode::Temporary, hint("run `longshore migrate up`")),
        Some(StoreError::Refused(_)) => return (ExitCode::Internal, None),
        Some(_) => return (ExitCode::Unavailable, hint("is store.url right, and the database running?")),
        None => {}
    }
    if error.is::<QueueError>() {
        return (ExitCode::Unavailable, hint("are queue.url, queue.endpoint and the AWS credentials right?"));
    }
    (exit_code_of(error), None)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn every_error_has_its_exit_code() {
        let store = StoreError::Unavailable("refused".into());
        let wrapped = Err::<(), _>(store).context("opening").unwrap_err();
        assert_eq!(judge(&wrapped).0, ExitCode::Unavailable);
        assert_eq!(judge(&Problems::default().into()).0, ExitCode::Config);
        assert_eq!(judge(&QueueError::Unavailable("x".into()).into()).0, ExitCode::Unavailable);
        assert_eq!(judge(&anyhow::anyhow!("odd")).0, ExitCode::Internal);
    }

    #[test]
    fn stored_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\u{00b7}[2Jb\u{00b7}c");
    }
}
