//! `longshore usage report`: sums of the ledger.

use clap::Args;

use crate::{
    cli::{
        context::Context,
        output::{say, say_csv, say_json, say_table},
        usage::span::Span,
    },
    domain::money::Money,
    lifecycle::ExitCode,
    store::report::UsageRow,
};

/// The columns, in the order in which a row gives them.
const HEAD: [&str; 11] = [
    "day",
    "tenant",
    "prompt",
    "model",
    "calls",
    "ambiguous",
    "unpriced",
    "input",
    "cached",
    "output",
    "USD",
];

/// Sums by tenant, prompt, model and day (UTC), from the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  longshore usage report --tenant acme --from 2026-11-01 --until 2026-12-01
  longshore usage report --prompt email_draft --csv > usage.csv")]
pub(super) struct Report {
    #[command(flatten)]
    span: Span,
    /// Only this prompt, in any version.
    #[arg(long)]
    prompt: Option<String>,
    /// JSON instead of a table; cost in pico-dollars (10^-12).
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// CSV instead of a table; cost in dollars, exact.
    #[arg(long)]
    csv: bool,
}

impl Report {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let store = context.store().await?;
        let rows = store.usage(&self.span.filter(self.prompt)).await?;
        store.close().await;
        if self.json {
            say_json(&rows)?;
        } else if self.csv {
            say_csv(&HEAD, &cells(&rows))?;
        } else {
            say_table(&HEAD, &cells(&rows));
            let total: Money = rows.iter().map(|row| row.cost).sum();
            say(&format!("total: {total} USD"));
        }
        Ok(ExitCode::Ok)
    }
}

fn cells(rows: &[UsageRow]) -> Vec<Vec<String>> {
    let row = |row: &UsageRow| {
        let mut cells = [&row.day, &row.tenant, &row.prompt, &row.model].map(String::clone).to_vec();
        let numbers = [row.calls, row.ambiguous, row.unpriced, row.input, row.cached, row.output];
        cells.extend(numbers.map(|number| number.to_string()));
        cells.push(row.cost.to_string());
        cells
    };
    rows.iter().map(row).collect()
}
