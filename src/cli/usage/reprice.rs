//! `longshore usage reprice`: costs of calls whose model the price table did not know.

use std::{collections::BTreeMap, io::IsTerminal as _, sync::Arc};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::{
    cli::{
        context::{Context, actor},
        output::{say, say_json, say_table},
        usage::span::Span,
    },
    domain::{money::Money, record::LedgerRow, usage::UsageSource},
    lifecycle::ExitCode,
    llm::money::pricing::{PriceTable, Used},
    store::{
        contract::Store,
        report::{LedgerQuery, PricedRow},
    },
};

/// Rows of one page, which are priced in one transaction.
const PAGE: i64 = 500;

/// Give ledger rows without a cost theirs, by the price table at their own date. Rows that have a cost stay as they
/// are, and so do those of which not even the tokens are known.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore usage reprice --dry-run && longshore usage reprice")]
pub(super) struct Reprice {
    #[command(flatten)]
    span: Span,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Who decides, for the audit log; $USER when absent.
    #[arg(long)]
    actor: Option<String>,
    /// JSON instead of lines; cost in pico-dollars (10^-12).
    #[arg(long)]
    json: bool,
}

/// What was found, and done.
#[derive(Default)]
struct Tally {
    /// Rows whose cost could be told.
    priced: i64,
    /// Rows that were written.
    written: i64,
    /// Their costs.
    cost: Money,
    /// Rows that stay without, by model.
    unknown: BTreeMap<String, i64>,
}

impl Reprice {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let prices = PriceTable::load(context.settings()?.llm.prices.as_deref())?;
        let store = context.store().await?;
        let tally = self.reprice(&store, &prices).await;
        store.close().await;
        self.show(&tally?)?;
        Ok(ExitCode::Ok)
    }

    async fn reprice(&self, store: &Arc<dyn Store>, prices: &PriceTable) -> anyhow::Result<Tally> {
        let filter = self.span.filter(None);
        let unpriced: i64 = store.usage(&filter).await?.iter().map(|row| row.unpriced).sum();
        let bar = bar(unpriced);
        let who = actor(self.actor.clone());
        let mut tally = Tally::default();
        let mut query = LedgerQuery { filter, unpriced: true, limit: PAGE, after: None };
        loop {
            let page = store.ledger(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some((last.at, last.id.clone()));
            let priced: Vec<PricedRow> = page.iter().filter_map(|row| tally.price(prices, row)).collect();
            if !self.dry_run && !priced.is_empty() {
                tally.written += store.ledger_price(&priced, &who).await?;
            }
            bar.inc(page.len() as u64);
        }
        bar.finish_and_clear();
        Ok(tally)
    }

    fn show(&self, tally: &Tally) -> anyhow::Result<()> {
        let unknown: i64 = tally.unknown.values().sum();
        if self.json {
            return say_json(&json!({
                "dry_run": self.dry_run,
                "priced": tally.priced,
                "written": tally.written,
                "cost": tally.cost,
                "unknown": unknown,
                "unknown_by_model": tally.unknown,
            }));
        }
        let rows: Vec<_> =
            tally.unknown.iter().map(|(model, rows)| vec![model.clone(), rows.to_string()]).collect();
        if !rows.is_empty() {
            say_table(&["still unknown", "rows"], &rows);
        }
        let done = if self.dry_run { "would get a cost" } else { "got a cost" };
        let count = if self.dry_run { tally.priced } else { tally.written };
        say(&format!("{count} rows {done}, {} USD in all; {unknown} stay unknown", tally.cost));
        Ok(())
    }
}

impl Tally {
    /// `None` for a row that stays as it is.
    fn price(&mut self, prices: &PriceTable, row: &LedgerRow) -> Option<PricedRow> {
        let model = row.served_model.as_deref().unwrap_or(&row.requested_model);
        // Without a count the cost would come out as nothing, which is not known.
        let known = row.usage_source != UsageSource::None;
        let used = Used { model, tier: row.served_tier.as_deref(), usage: &row.usage, at: row.at };
        match prices.cost(&used).filter(|_| known) {
            Some((cost, price_version)) => {
                self.priced += 1;
                self.cost = self.cost + cost;
                Some(PricedRow { id: row.id.clone(), at: row.at, cost, price_version })
            }
            None => {
                let name = if known { model.to_owned() } else { format!("{model} (tokens not known)") };
                *self.unknown.entry(name).or_default() += 1;
                None
            }
        }
    }
}

/// On standard error, and only for people.
fn bar(rows: i64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(u64::try_from(rows).unwrap_or(0)), target);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} rows, {eta} left");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
