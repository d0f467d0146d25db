//! `longshore usage reconcile`: the ledger against what a provider says that it billed.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        context::Context,
        output::{say, say_json, say_table},
        usage::{
            compare::{Comparing, Comparison, Figures, Totals},
            export::{self, Bill, dollars},
            span::Span,
        },
    },
    domain::{money::Money, timestamp::Timestamp},
    lifecycle::{ExitCode, Stop},
    store::{
        contract::Store,
        report::{LedgerQuery, UsageFilter},
    },
};

/// Rows of one page of the ledger.
const PAGE: i64 = 1_000;
/// A call's time here is its end, a provider's often its beginning: so much around the span is looked at, too.
const AROUND: Duration = Duration::from_secs(24 * 3600);

/// Hold the ledger against a provider's export, request by request; exit 1 on a difference.
///
/// The export is CSV with a header, or JSON lines. Columns are found by name: a request id (`request_id`,
/// `x-request-id`, `id`), and, where they are there, `model`, input tokens (`input_tokens`, `prompt_tokens`), cached
/// ones (`cached_tokens`, `input_cached_tokens`, or beside the input: `cache_read_input_tokens`,
/// `cache_creation_input_tokens`), output tokens (`output_tokens`, `completion_tokens`), cost in dollars (`cost`,
/// `cost_usd`, `amount`) and a time (`timestamp`, `created_at`). What the export does not tell is not compared.
/// Without --from and --until the times in the export set the span; without those all of the ledger counts.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  longshore usage reconcile --provider-export openai-2026-11.csv --provider openai --from 2026-11-01 --until 2026-12-01")]
pub(super) struct Reconcile {
    /// The provider's export.
    #[arg(long, value_name = "FILE")]
    provider_export: PathBuf,
    /// Only ledger rows of this kind of provider (`openai`, `anthropic` ...); may be given several times.
    #[arg(long, value_name = "KIND")]
    provider: Vec<String>,
    #[command(flatten)]
    span: Span,
    /// Costs may differ by so many dollars for each request: exports round.
    #[arg(long, value_name = "USD", default_value = "0", value_parser = dollars)]
    tolerance: Money,
    /// JSON instead of tables; cost in pico-dollars (10^-12).
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) async fn run(mut self, context: &Context) -> anyhow::Result<ExitCode> {
        let bills = self.bills()?;
        self.narrow(&bills);
        let store = context.store().await?;
        let compared = self.compare(&*store, &bills).await;
        store.close().await;
        let compared = compared?;
        if self.json {
            say_json(&json!({
                "from": self.span.from.map(|at| at.to_string()),
                "until": self.span.until.map(|at| at.to_string()),
                "result": compared,
            }))?;
        } else {
            self.show(&compared);
        }
        Ok(if compared.different.is_empty() { ExitCode::Ok } else { ExitCode::No })
    }

    fn bills(&self) -> anyhow::Result<Vec<Bill>> {
        let file = self.provider_export.display();
        let stop = |what: String| Stop::new(ExitCode::BadInput, format!("{file}: {what}"));
        let text = fs::read_to_string(&self.provider_export).map_err(|error| stop(error.to_string()))?;
        let hint = "`longshore usage reconcile --help` names the columns";
        let bills = export::read(&text).map_err(|what| stop(what).hint(hint))?;
        if bills.is_empty() {
            return Err(stop("it holds no rows".to_owned()).hint(hint).into());
        }
        Ok(bills)
    }

    /// An export of a day says nothing about the other days of the ledger.
    fn narrow(&mut self, bills: &[Bill]) {
        if self.span.from.is_some() || self.span.until.is_some() || bills.iter().any(|bill| bill.at.is_none())
        {
            return;
        }
        self.span.from = bills.iter().filter_map(|bill| bill.at).min();
        let last = bills.iter().filter_map(|bill| bill.at).max();
        self.span.until = last.map(|last| last.plus(Duration::from_secs(1)));
    }

    async fn compare(&self, store: &dyn Store, bills: &[Bill]) -> anyhow::Result<Comparison> {
        let filter = UsageFilter {
            tenant: self.span.tenant.clone(),
            from: self.span.from.map(|from| from.minus(AROUND)),
            until: self.span.until.map(|until| until.plus(AROUND)),
            prompt: None,
        };
        let mut comparing = Comparing::new(bills, &self.span, &self.provider, self.tolerance);
        let mut query = LedgerQuery { filter, limit: PAGE, ..LedgerQuery::default() };
        loop {
            let page = store.ledger(&query).await?;
            page.iter().for_each(|row| comparing.take(row));
            match page.last() {
                Some(last) => query.after = Some((last.at, last.id.clone())),
                None => return Ok(comparing.finish()),
            }
        }
    }

    fn show(&self, compared: &Comparison) {
        let shown = |at: Option<Timestamp>| at.map_or_else(|| "...".to_owned(), |at| at.to_string());
        say(&format!("from {} until {}", shown(self.span.from), shown(self.span.until)));
        if compared.different.is_empty() {
            say(&format!("{} requests, all the same on both sides", compared.same));
        } else {
            let head = ["request", "in", "model", "input", "cached", "output", "USD"];
            let rows = compared.different.iter().map(|row| {
                let (ledger, export) = (row.ledger.as_ref(), row.export.as_ref());
                let place = match (ledger, export) {
                    (Some(_), Some(_)) => "both",
                    (Some(_), None) => "ledger",
                    _ => "export",
                };
                let cell =
                    |get: fn(&Figures) -> Option<String>| sides(ledger.and_then(get), export.and_then(get));
                vec![
                    row.request_id.clone(),
                    place.to_owned(),
                    cell(|figures| figures.model.clone()),
                    cell(|figures| figures.input.map(|n| n.to_string())),
                    cell(|figures| figures.cached.map(|n| n.to_string())),
                    cell(|figures| figures.output.map(|n| n.to_string())),
                    cell(|figures| figures.cost.map(|cost| cost.to_string())),
                ]
            });
            say_table(&head, &rows.collect::<Vec<_>>());
            say(&format!("{} requests are the same, {} are not", compared.same, compared.different.len()));
        }
        totals(&compared.ledger, &compared.export);
    }
}

/// `ledger/export` where both say something and not the same.
fn sides(ledger: Option<String>, export: Option<String>) -> String {
    match (ledger, export) {
        (Some(ours), Some(theirs)) if ours != theirs => format!("{ours} / {theirs}"),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => "-".to_owned(),
    }
}

fn totals(ledger: &Totals, export: &Totals) {
    let row = |name: &str, totals: &Totals| {
        let Totals { requests, input, cached, output, cost, unpriced } = totals;
        let mut cells = vec![name.to_owned()];
        cells.extend([requests, input, cached, output, unpriced].map(i64::to_string));
        cells.push(cost.to_string());
        cells
    };
    let difference = Totals {
        requests: ledger.requests - export.requests,
        input: ledger.input - export.input,
        cached: ledger.cached - export.cached,
        output: ledger.output - export.output,
        cost: Money(ledger.cost.0.saturating_sub(export.cost.0)),
        unpriced: ledger.unpriced - export.unpriced,
    };
    say_table(
        &["", "requests", "input", "cached", "output", "unpriced", "USD"],
        &[row("ledger", ledger), row("export", export), row("difference", &difference)],
    );
}
