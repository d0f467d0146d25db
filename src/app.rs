//! The composition root: the only place that names concrete parts.

pub mod intake;
mod objects;
mod pieces;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    app::pieces::Pieces,
    clock::{Clock, SystemClock},
    config::{KeySettings, Settings},
    handlers::tools::Tools,
    http::Http,
    lifecycle::{ExitCode, Stop, Vitals},
    llm::{
        contract::ModelHealth, gateway::Gateway, money::pricing::PriceTable, prompts::catalogue::Catalogue,
    },
    messaging::{self, callback::Callbacks, webhook::WebhookSender},
    queue::sqs::SqsQueue,
    sources,
    store::{
        contract::{SchemaState, Store},
        group::GroupCommit,
        postgres::PostgresStore,
        sqlite::SqliteStore,
    },
    worker::{
        parts::Parts,
        run::{self, Running},
        trail::Trail,
    },
};

/// How often the executor shows that it turns.
const TICK: Duration = Duration::from_millis(500);
/// After the deadline, for answers that have just come.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// Opens the configured store as it is: never migrates, never checks.
///
/// # Errors
/// When the URL cannot be read or names no database that we know, or the database does not answer.
pub async fn open_store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    let url = settings.store.url.read_url().context("store.url")?;
    let url = url.expose_secret();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = Path::new(path.trim_start_matches("//"));
        return Ok(Arc::new(SqliteStore::open(path, settings.store.connections).await?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(PostgresStore::connect(url, settings.store.connections).await?));
    }
    let stop = Stop::new(ExitCode::Config, "store.url names no database that Longshore knows");
    Err(stop.hint("it must begin with `sqlite:` or `postgres://`").into())
}

/// Opens the store and insists on the schema of this release.
///
/// # Errors
/// As [`open_store`], and when the schema is another one: the error names the command to run.
pub async fn open_current_store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_store(settings).await?;
    match store.schema().await? {
        SchemaState::Current => Ok(store),
        SchemaState::Behind(missing) if settings.worker.migrate => {
            tracing::info!(?missing, "migrating");
            store.migrate().await?;
            Ok(store)
        }
        SchemaState::Behind(missing) => {
            let stop = Stop::new(ExitCode::Temporary, format!("the schema lacks {}", missing.join(", ")));
            Err(stop.hint("run `longshore migrate up`").into())
        }
        SchemaState::Foreign(foreign) => {
            let message = format!("the schema is not this release's ({})", foreign.join(", "));
            let hint = "run the release that made it; `longshore migrate check` shows the difference";
            Err(Stop::new(ExitCode::Temporary, message).hint(hint).into())
        }
    }
}
/// A worker with everything it needs, started.
pub struct App {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    gateway: Arc<Gateway>,
    running: Running,
    drain: Duration,
    ticker: tokio::task::JoinHandle<()>,
}

impl App {
    /// Builds and starts a worker.
    ///
    /// # Errors
    /// When a setting cannot be used, or the store or the queue does not answer.
    pub async fn start(settings: Settings, trail: Trail) -> anyhow::Result<Self> {
        let store = open_current_store(&settings).await?;
        let vitals = Arc::new(Vitals::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let writer = Arc::new(GroupCommit::start(&store, settings.queue.visibility));
        let http = Http::new()?;
        let prices = Arc::new(PriceTable::load(settings.llm.prices.as_deref())?);
        let gateway = Gateway::new(
            &settings,
            Arc::clone(&prices),
            Arc::clone(&store),
            Arc::clone(&writer),
            &http,
            Arc::clone(&clock),
        )?;
        let gateway = Arc::new(gateway);
        let channels = messaging::channels(&settings, &http).map_err(anyhow::Error::msg)?;
        let webhooks = WebhookSender::new(&settings.webhooks, http.clone(), Arc::clone(&clock));
        let webhooks = Arc::new(webhooks.map_err(anyhow::Error::msg)?);
        let tools = Tools {
            store: Arc::clone(&store),
            gateway: Arc::clone(&gateway),
            clock: Arc::clone(&clock),
            prices,
            channels: channels.keys().copied().collect(),
            prompts: Arc::new(Catalogue::load(settings.llm.prompts.as_deref())?),
            callbacks: Callbacks::new(&settings.webhooks.callbacks).map_err(anyhow::Error::msg)?,
            pieces: Some(Arc::new(Pieces(Arc::clone(&webhooks)))),
        };
        let drain = settings.worker.drain;
        let parts = Parts {
            queue: Arc::new(SqsQueue::connect(&settings.queue, &settings.queue.url).await),
            dead_letter_queue: Arc::new(
                SqsQueue::connect(&settings.queue, &settings.queue.dead_letter_url).await,
            ),
            store: Arc::clone(&store),
            writer,
            senders: Arc::new(sources::senders(&settings)?),
            objects: objects::open(&settings).await,
            wake_key: wake_key(&settings)?,
            tools: Arc::new(tools),
            channels,
            webhooks,
            clock,
            trail,
            vitals: Arc::clone(&vitals),
            settings: settings.worker,
            queue_settings: settings.queue,
        };
        let running = run::start(parts).await?;
        let ticker = tokio::spawn(tick(Arc::clone(&vitals)));
        Ok(Self { store, vitals, gateway, running, drain, ticker })
    }

    /// Tells how every model is doing, as this process sees it.
    #[must_use]
    pub fn models(&self) -> Arc<dyn Fn() -> Vec<ModelHealth> + Send + Sync> {
        let gateway = Arc::clone(&self.gateway);
        Arc::new(move || gateway.health())
    }

    /// Stops in order; answers whether everything finished by itself. `hurry` shortens the drain.
    pub async fn stop(self, hurry: CancellationToken) -> bool {
        let deadline = Instant::now() + self.drain;
        let finished = self.running.stop(self.drain, hurry.clone()).await;
        // Calls on the wire are paid: their answers are recorded as long as there is time.
        let last_call = async {
            tokio::select! {
                () = hurry.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        let recorded = tokio::select! {
            () = self.gateway.drained() => true,
            () = last_call => false,
        };
        self.ticker.abort();
        self.store.close().await;
        finished && recorded
    }
}

async fn tick(vitals: Arc<Vitals>) {
    loop {
        vitals.tick();
        tokio::time::sleep(TICK).await;
    }
}

/// The key with which wakes are sealed.
fn wake_key(settings: &Settings) -> Result<KeySettings, Stop> {
    let wrong = |what: String| {
        let hint = "name a seal key whose `sources` list `wake`: with it this worker seals its own wakes";
        Stop::new(ExitCode::Config, format!("seal.sign_with {what}")).hint(hint)
    };
    let name = settings.seal.sign_with.as_deref().ok_or_else(|| wrong("is missing".to_owned()))?;
    let key = settings.seal.keys.iter().find(|key| key.key.id == name);
    match key {
        None => Err(wrong(format!("names `{name}`, which is not in seal.keys"))),
        Some(key) if !key.sources.iter().any(|source| source == "wake") => {
            Err(wrong(format!("names `{name}`, which does not list `wake`")))
        }
        Some(key) => Ok(key.key.clone()),
    }
}
