//! `longshore worker`: the daemon.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Handle;

use crate::{
    admin::{Admin, Probes},
    app::App,
    cli::context::Context,
    config::Settings,
    lifecycle::{self, ExitCode, Shutdown},
    telemetry::{
        Output,
        metrics::{self, Metrics},
        start_logs,
    },
    worker::trail::Trail,
};

/// Work the queue until asked to stop (SIGTERM or Ctrl-C; a second one shortens the drain).
///
/// Needs queue.url, queue.dead_letter_url, seal.sign_with and a current schema. Logs go to standard output;
/// /livez, /readyz and /metrics listen at admin.listen.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  longshore migrate up && longshore worker --config /etc/longshore/orders.toml"
)]
pub(super) struct WorkerCommand {
    /// Bring the schema up to date first, as worker.migrate = true does.
    #[arg(long)]
    migrate: bool,
}

impl WorkerCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut loaded = context.loaded()?;
        loaded.problems.extend(loaded.settings.worker_needs());
        let warnings = loaded.problems.clone();
        let mut settings = loaded.into_settings()?;
        settings.worker.migrate |= self.migrate;
        start_logs(&settings.log.filter, &settings.log.format, Output::Stdout)?;
        for warning in warnings {
            tracing::warn!(setting = warning.path, "{}", warning.message);
        }
        let shutdown = Shutdown::default();
        shutdown.on_signals(settings.worker.drain).context("signals")?;
        work(settings, &shutdown).await
    }
}

async fn work(settings: Settings, shutdown: &Shutdown) -> anyhow::Result<ExitCode> {
    let metrics = metrics::start().context("metrics")?;
    metrics.keep_up();
    let (wait, drain, listen) = (settings.queue.wait, settings.worker.drain, settings.admin.listen);
    for source in settings.sources.keys() {
        metrics::zero_source(source, &[]);
    }
    let stopping = shutdown.stopping();
    let app = tokio::select! {
        app = Box::pin(App::start(settings, Trail::default())) => app?,
        () = stopping.cancelled() => return Ok(ExitCode::Ok),
    };
    let admin = Admin::start(listen, probes(&app, metrics, wait))
        .with_context(|| format!("admin.listen {listen}"))?;
    lifecycle::keep_watchdog(&app.vitals, wait);
    lifecycle::ready("polling");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), health = %admin.address(), "working");

    stopping.cancelled().await;
    lifecycle::stopping(drain);
    let finished = Box::pin(app.stop(shutdown.hurry())).await;
    drop(admin);
    if finished {
        tracing::info!("stopped: all that was begun is finished");
        return Ok(ExitCode::Ok);
    }
    tracing::warn!("stopped at the deadline: what was not finished is handed back");
    Ok(ExitCode::Temporary)
}

fn probes(app: &App, metrics: Metrics, wait: std::time::Duration) -> Probes {
    let (vitals, store) = (Arc::clone(&app.vitals), Arc::clone(&app.store));
    Probes { vitals, store, models: app.models(), metrics, wait, executor: Handle::current() }
}
