//! `longshore usage`: what the models cost.

use clap::{Args, Subcommand};

use crate::{
    cli::{
        context::Context,
        output::{say, say_json, say_table},
    },
    domain::{money::Money, timestamp::Timestamp},
    lifecycle::ExitCode,
    store::report::{UsageFilter, UsageRow},
};

/// LLM calls, tokens and cost.
#[derive(Debug, Args)]
pub(super) struct UsageCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Sums by tenant, model and day (UTC), from the ledger.
    #[command(
        after_help = "Example:\n  longshore usage report --tenant acme --from 2026-11-01 --until 2026-12-01"
    )]
    Report {
        /// Only this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// From this day or RFC 3339 time on.
        #[arg(long, value_parser = time)]
        from: Option<Timestamp>,
        /// Before this day or RFC 3339 time.
        #[arg(long, value_parser = time)]
        until: Option<Timestamp>,
        /// JSON instead of a table; cost in pico-dollars (10^-12).
        #[arg(long)]
        json: bool,
    },
}

fn time(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&whole).ok_or_else(|| "such as 2026-11-21 or 2026-11-21T10:00:00Z".to_owned())
}

impl UsageCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Verb::Report { tenant, from, until, json } = self.verb;
        let store = context.store().await?;
        let rows = store.usage(&UsageFilter { tenant, from, until, prompt: None }).await?;
        store.close().await;
        if json {
            say_json(&rows)?
        } else {
            table(&rows)
        }
        Ok(ExitCode::Ok)
    }
}

fn table(rows: &[UsageRow]) {
    let row = |row: &UsageRow| {
        let numbers = [row.calls, row.ambiguous, row.unpriced, row.input, row.cached, row.output];
        let mut cells = vec![row.day.clone(), row.tenant.clone(), row.model.clone()];
        cells.extend(numbers.map(|number| number.to_string()));
        cells.push(row.cost.to_string());
        cells
    };
    say_table(
        &["day", "tenant", "model", "calls", "ambiguous", "unpriced", "input", "cached", "output", "USD"],
        &rows.iter().map(row).collect::<Vec<_>>(),
    );
    let total: Money = rows.iter().map(|row| row.cost).sum();
    say(&format!("total: {total} USD"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning() {
        assert_eq!(time("1970-01-02").unwrap(), Timestamp::from_seconds(86_400));
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap(), Timestamp::from_seconds(1));
        assert!(time("yesterday").is_err());
    }
}
