//! `longshore doctor`: is everything that a worker needs there, and does it fit together?

mod database;
mod finding;
mod live;
mod models;
mod patience;
mod prices;
mod prompts;
mod queue;
mod settings;
mod worker;

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        context::Context,
        doctor::finding::{Finding, State},
        output::{say, say_json},
    },
    http::Http,
    lifecycle::ExitCode,
};

/// Check everything that a worker needs, one line each: ok, warn or FAIL, and what to do. Exit 1 when something fails.
///
/// Looks only: nothing is sent to the queue, written to the store, or asked of a model, unless --live says so.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  longshore doctor\n  longshore doctor --json\n  longshore doctor --live")]
pub(super) struct DoctorCommand {
    /// Ask every model for one word, too. This costs a little; it stands in the ledger under the tenant `doctor`.
    #[arg(long)]
    live: bool,
    /// JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What was found so far; said at once, unless all of it is wanted as JSON.
struct Findings {
    all: Vec<Finding>,
    json: bool,
}

impl Findings {
    fn add(&mut self, found: impl IntoIterator<Item = Finding>) {
        for finding in found {
            if !self.json {
                say(&finding.to_string());
            }
            self.all.push(finding);
        }
    }

    fn end(self) -> anyhow::Result<ExitCode> {
        let count = |state| self.all.iter().filter(|finding| finding.state == state).count();
        let (fails, warns) = (count(State::Fail), count(State::Warn));
        if self.json {
            say_json(&json!({ "ok": fails == 0, "fails": fails, "warnings": warns, "checks": self.all }))?;
        } else {
            say(&format!("{} checks: {fails} fail, {warns} warn", self.all.len()));
        }
        Ok(if fails == 0 { ExitCode::Ok } else { ExitCode::No })
    }
}

impl DoctorCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut findings = Findings { all: Vec::new(), json: self.json };
        let loaded = match context.loaded() {
            Ok(loaded) => loaded,
            Err(problems) => {
                findings.add(problems.0.iter().map(settings::finding));
                return findings.end();
            }
        };
        let settings = &loaded.settings;
        findings.add(settings::check(context.file(), &loaded));
        let store = match database::open(settings).await {
            Ok(store) => Some(store),
            Err(finding) => {
                findings.add([finding]);
                None
            }
        };
        if let Some(store) = &store {
            findings.add(database::check(&**store).await);
        }
        findings.add(queue::check(settings).await);
        findings.add(prices::check(settings));
        findings.add(prompts::check(settings));
        let http = Http::new()?;
        findings.add(models::check(settings, &http).await);
        findings.add(worker::check(settings, &http).await);
        if self.live {
            match &store {
                Some(store) => findings.add(Box::pin(live::check(settings, Arc::clone(store), &http)).await),
                None => findings.add([Finding::warn("live", "no model was asked", "the store is needed")]),
            }
        }
        if let Some(store) = store {
            store.close().await;
        }
        findings.end()
    }
}
