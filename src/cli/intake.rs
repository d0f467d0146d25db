//! `longshore intake`: the edge.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Handle;

use crate::{
    admin::{Admin, IntakeProbes},
    app::intake::Intake,
    cli::context::Context,
    config::Settings,
    lifecycle::{self, ExitCode, Shutdown},
    telemetry::{Output, metrics, start_logs},
};

const AFTER_HELP: &str = "\
Every source of the configuration has its address: give the vendor PUBLIC_URL/hooks/SOURCE.
  200  the queue has it (or a handshake was answered: Meta's challenge, Salesforce's SOAP Ack ...)
  401  the signature does not hold (only where the source sets verify_at_edge; the worker always checks)
  403  a handshake with a wrong token or topic       404  no such source
  408  the body came too slowly                      413  the body is too large
  429  come again: the queue is away, the source is over its rate, or too much at once
Never a 5xx: some vendors would not send the event again.

Needs queue.url, and a key under [[seal.keys]] that lists the sources, or `*`; the worker needs the same key.
The queue's policy need allow no more than sqs:SendMessage. TLS is the proxy's business: name the address that
vendors know in intake.public_url, because some sign it.

Example:
  longshore intake --config /etc/longshore/intake.toml
  longshore sign whatsapp-main message.json --curl --to http://127.0.0.1:8080/hooks/whatsapp-main | sh";

/// Receive webhooks over HTTP and put them on the queue, until asked to stop (SIGTERM or Ctrl-C; a second one
/// shortens the drain).
///
/// Each request is kept byte for byte, sealed, and acknowledged only when the queue has it. Logs go to standard
/// output; webhooks arrive at intake.listen; /livez, /readyz and /metrics listen at admin.listen.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct IntakeCommand {}

impl IntakeCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut loaded = context.loaded()?;
        loaded.problems.extend(loaded.settings.intake_needs());
        let warnings = loaded.problems.clone();
        let settings = loaded.into_settings()?;
        start_logs(&settings.log.filter, &settings.log.format, Output::Stdout)?;
        for warning in warnings {
            tracing::warn!(setting = warning.path, "{}", warning.message);
        }
        let shutdown = Shutdown::default();
        shutdown.on_signals(settings.intake.drain).context("signals")?;
        receive(settings, &shutdown).await
    }
}

async fn receive(settings: Settings, shutdown: &Shutdown) -> anyhow::Result<ExitCode> {
    let metrics = metrics::start().context("metrics")?;
    metrics.keep_up();
    metrics::zero_edge(settings.sources.keys());
    let (queue_wait, drain, listen) = (settings.queue.wait, settings.intake.drain, settings.admin.listen);
    let intake = Box::pin(Intake::start(settings)).await?;
    let vitals = Arc::clone(&intake.vitals);
    let probes = IntakeProbes { vitals, metrics, executor: Handle::current() };
    let admin = Admin::start(listen, probes).with_context(|| format!("admin.listen {listen}"))?;
    lifecycle::keep_watchdog(&intake.vitals, queue_wait);
    lifecycle::ready("receiving");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), address = %intake.address(), health = %admin.address(), "receiving");

    shutdown.stopping().cancelled().await;
    lifecycle::stopping(drain);
    let finished = intake.stop(shutdown.hurry()).await;
    drop(admin);
    if finished {
        tracing::info!("stopped: every request was answered");
        return Ok(ExitCode::Ok);
    }
    tracing::warn!(
        "stopped at the deadline: requests that were not answered are sent again by their vendors"
    );
    Ok(ExitCode::Temporary)
}
