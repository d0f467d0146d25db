//! `longshore usage`: what the models cost, and whether the providers say the same.

mod compare;
mod export;
mod reconcile;
mod report;
mod reprice;
mod span;

use clap::{Args, Subcommand};

use crate::{cli::context::Context, lifecycle::ExitCode};

/// LLM calls, tokens and cost.
#[derive(Debug, Args)]
pub(super) struct UsageCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Report(report::Report),
    Reconcile(reconcile::Reconcile),
    Reprice(reprice::Reprice),
}

impl UsageCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Report(report) => report.run(context).await,
            Verb::Reconcile(reconcile) => Box::pin(reconcile.run(context)).await,
            Verb::Reprice(reprice) => reprice.run(context).await,
        }
    }
}
