//! `longshore dev`: the whole thing on one machine, with nothing installed.

mod judge;
mod lines;
mod machine;
mod observed;
pub mod outside;
mod report;
mod samples;
mod senders;
mod session;
mod setup;
mod state_dir;
mod summary;
mod vendors;

use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{
    lines::{Lines, Tone},
    machine::Machine,
    samples::workbench::Workbench,
    session::Session,
    setup::RealModel,
    state_dir::StateDir,
    summary::{Facts, Standing, Summary},
};
use crate::{
    cli::output::say_json,
    clock::{Clock as _, SystemClock},
    lifecycle::{ExitCode, Shutdown},
    telemetry::start_file_logs,
    worker::trail::Trail,
};

/// The samples must have ended by then, from the start of the command.
const DEADLINE: Duration = Duration::from_secs(17);
/// How long what still runs may take once the samples are over.
const PATIENCE: Duration = Duration::from_millis(1_300);
/// Log lines of a run, in the state folder.
const LOG_FILE: &str = "dev.log";

const AFTER_HELP: &str = "\
Everything is real but the outside: an edge for webhooks, an SQS-compatible queue, a SQLite store, signatures,
retries, dead letters. Vendors' samples are posted to the edge; jobs, and what must be rejected, go to the queue.
WhatsApp is a stand-in on loopback. Messages are read by word lists; set OPENAI_API_KEY or OPENAI_BASE_URL (and
OPENAI_MODEL) to have a real model read those of the tenant `acme`.

A second run on the same folder sends the same events again: all are recognised, nothing is done or paid twice.

Examples:
  longshore dev --once
  longshore dev --once --json | jq .ok
  longshore --config .longshore/longshore.toml dlq list
  longshore --config .longshore/longshore.toml sign clerk event.json --curl | sh";

/// Run the whole system on this machine, with signed sample events of every kind, and show what becomes of them.
///
/// Without --once it goes on running: send it messages of your own (queue at 127.0.0.1:9324, health and metrics
/// at 127.0.0.1:9464, webhooks at 127.0.0.1:8080 or, where that is taken, a port that it tells), and stop it with
/// Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DevCommand {
    /// Stop when the samples are done, print the summary; exit 0 only if all ended as they should, else 1.
    #[arg(long)]
    once: bool,
    /// The summary as one JSON document on standard output, and nothing else.
    #[arg(long)]
    json: bool,
    /// Folder of queue, store, keys and log. Made when absent; a second start carries on.
    #[arg(long, value_name = "DIR", default_value = "./.longshore")]
    state_dir: PathBuf,
}

impl DevCommand {
    /// Runs until the samples are done, or until asked to stop.
    ///
    /// # Errors
    /// When the folder or a port cannot be used, or a part does not start.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let begun = Instant::now();
        let mut state = StateDir::open(&self.state_dir)?;
        let log = state.path(LOG_FILE);
        let file = File::options().create(true).append(true).open(&log);
        start_file_logs("info", file.with_context(|| format!("cannot write {}", log.display()))?)?;
        let mut lines = Lines::new(begun, !self.json);
        let model = RealModel::from_environment();
        self.greet(&lines, &state, &model);
        let shutdown = Shutdown::default();
        shutdown.on_signals(PATIENCE).context("signals")?;
        let trail = Trail::default();
        let machine = Machine::start(&state, !self.once, &model, trail.clone()).await?;
        lines.say(&format!("hooks at http://{}/hooks/SOURCE\n", machine.places.intake));
        let ended = self.play(&machine, &mut state, &mut lines, (begun, &trail, &shutdown)).await;
        let finished = machine.stop(PATIENCE, shutdown.hurry()).await;
        if !finished {
            lines.say("stopped before everything was finished: the next start carries on");
        }
        let summary = ended?;
        if self.json {
            say_json(&summary)?;
        }
        Ok(if summary.ok { ExitCode::Ok } else { ExitCode::No })
    }

    fn greet(&self, lines: &Lines, state: &StateDir, model: &RealModel) {
        let reader =
            if model.is_set() { "a model behind OpenAI's API" } else { "word lists (no key is set)" };
        lines.say(&format!("longshore {} · state in {}", env!("CARGO_PKG_VERSION"), state.root().display()));
        lines.say(&format!("messages are read by {reader}; WhatsApp is a stand-in on loopback"));
    }

    /// The samples, their summary, and whatever comes then.
    async fn play(
        &self,
        machine: &Machine,
        state: &mut StateDir,
        lines: &mut Lines,
        (begun, trail, shutdown): (Instant, &Trail, &Shutdown),
    ) -> anyhow::Result<Summary> {
        let before = Standing::of(&*machine.store).await?;
        let base = state.begin(SystemClock.now())?;
        let samples = samples::all(&Workbench::new(state, &machine.senders, base, SystemClock.now()))?;
        let mut session = Session::new(machine, state, samples, lines, trail.listen()).await?;
        let stopping: CancellationToken = shutdown.stopping();
        session.run((begun + DEADLINE).into(), &stopping).await?;
        let after = Standing::of(&*machine.store).await?;
        let summary = Summary::of(&Facts {
            machine,
            state,
            settings_file: &self.state_dir.join(setup::SETTINGS_FILE),
            judge: &session.judge,
            observed: &session.observed,
            messages: session.messages,
            before: &before,
            after: &after,
            seconds: begun.elapsed().as_secs_f64(),
        });
        if !self.json {
            report::print(&summary, session.lines);
        }
        if !self.once && !stopping.is_cancelled() {
            tell_where(machine, session.lines);
            session.keep_telling(&stopping).await?;
        }
        Ok(summary)
    }
}

fn tell_where(machine: &Machine, lines: &Lines) {
    let places = &machine.places;
    lines.heading("Running; Ctrl-C stops");
    lines.say(&format!("  queue    {}", places.queue_url));
    lines.say(&format!("  hooks    http://{}/hooks/SOURCE", places.intake));
    lines.say(&format!("  health   http://{}/readyz", places.admin));
    lines.say(&format!("  metrics  http://{}/metrics", places.admin));
    lines.say(&lines.toned("  messages that you send there are told here\n", Tone::Quiet));
}
