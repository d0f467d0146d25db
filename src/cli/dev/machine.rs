//! All parts on one machine: embedded queue, stand-in for the outside, store, worker, health port.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Admin, Probes},
    app::{App, intake::Intake},
    cli::dev::{
        outside::{
            Outside,
            script::{Fault, Script, Service},
        },
        samples::workbench::callbacks,
        setup::{self, Places, RealModel, SLOW_MODEL, SLOW_TAG},
        state_dir::StateDir,
    },
    domain::ids::TenantId,
    lifecycle::{ExitCode, Stop},
    queue::{
        local::server::{Options, Server, ServerError},
        sqs::SqsQueue,
    },
    sources::{self, senders::Senders},
    store::contract::Store,
    telemetry::metrics,
    worker::trail::Trail,
};

/// Where `dev` listens when it goes on running.
const QUEUE_PORT: u16 = 9_324;
const ADMIN_PORT: u16 = 9_464;
/// Where its edge listens then, unless somebody else does.
const INTAKE_PORT: u16 = 8_080;
/// Names of the queues.
const QUEUE: &str = "longshore";
const DEAD_LETTER_QUEUE: &str = "longshore-dead";
/// The tenant whose automatic replies are off.
const QUIET_TENANT: &str = "quiet";

/// Everything, running.
pub(crate) struct Machine {
    pub(crate) server: Server,
    pub(crate) outside: Outside,
    pub(crate) store: Arc<dyn Store>,
    /// The queue to work, for sending samples.
    pub(crate) queue: SqsQueue,
    pub(crate) places: Places,
    /// All configured senders.
    pub(crate) senders: Senders,
    intake: Intake,
    app: App,
    admin: Admin,
}

impl Machine {
    /// Starts all parts, on the usual ports or on free ones.
    pub(crate) async fn start(
        state: &StateDir,
        usual_ports: bool,
        model: &RealModel,
        trail: Trail,
    ) -> anyhow::Result<Self> {
        let port = |usual| SocketAddr::from((Ipv4Addr::LOCALHOST, if usual_ports { usual } else { 0 }));
        for wanted in [port(QUEUE_PORT), port(ADMIN_PORT)] {
            is_free(wanted)?;
        }
        let server = Server::start(Options::new(port(QUEUE_PORT), state.root())).await.map_err(told)?;
        let dead_letter_url =
            server.ensure_queue(DEAD_LETTER_QUEUE, &[("MessageRetentionPeriod", "1209600")]).await?;
        let redrive = serde_json::json!({
            "deadLetterTargetArn": server.queue_arn(DEAD_LETTER_QUEUE),
            "maxReceiveCount": 100,
        });
        let queue_url = server.ensure_queue(QUEUE, &[("RedrivePolicy", &redrive.to_string())]).await?;
        let outside = Outside::start().await.context("no loopback port for the stand-in")?;
        outside.script(Script {
            service: Service::Llm,
            contains: SLOW_TAG.to_owned(),
            fault: Fault::Slow(SLOW_MODEL),
            times: 1,
        });
        let places = Places {
            endpoint: server.endpoint(),
            queue_url,
            dead_letter_url,
            admin: port(ADMIN_PORT),
            intake: free(port(INTAKE_PORT)),
            llm_base_url: outside.llm_base_url(),
            whatsapp_base_url: outside.whatsapp_base_url(),
            // As at the first start: it stands in the samples.
            callbacks: callbacks(state, &outside.base_url)?,
        };
        Self::start_worker(state, (server, outside, places), model, trail).await
    }

    async fn start_worker(
        state: &StateDir,
        (server, outside, mut places): (Server, Outside, Places),
        model: &RealModel,
        trail: Trail,
    ) -> anyhow::Result<Self> {
        let settings = setup::settings(state, &places, model)?;
        let queue = SqsQueue::connect(&settings.queue, &settings.queue.url).await;
        let wait = settings.queue.wait;
        let metrics = metrics::start().context("metrics")?;
        metrics.keep_up();
        metrics::zero_edge(settings.sources.keys());
        let senders = sources::senders(&settings)?;
        let app = Box::pin(App::start(settings.clone(), trail)).await?;
        let (vitals, store) = (Arc::clone(&app.vitals), Arc::clone(&app.store));
        let executor = tokio::runtime::Handle::current();
        let models = app.models();
        let probes = Probes { vitals, store: Arc::clone(&store), models, metrics, wait, executor };
        let admin = Admin::start(places.admin, probes).context("the health port cannot be opened")?;
        places.admin = admin.address();
        let intake = Box::pin(Intake::start(settings)).await?;
        places.intake = intake.address();
        // Now with the ports that were found: other commands read them.
        setup::settings(state, &places, model)?;
        let quiet = TenantId::from(QUIET_TENANT);
        if store.auto_replies(&quiet).await? {
            store.set_auto_replies(&quiet, false, "dev").await?;
        }
        Ok(Self { server, outside, store, queue, places, senders, intake, app, admin })
    }

    /// Stops from the top down; answers whether everything finished by itself. What is not finished after
    /// `patience` is handed back.
    pub(crate) async fn stop(self, patience: Duration, hurry: CancellationToken) -> bool {
        let later = hurry.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            later.cancel();
        });
        let answered = self.intake.stop(hurry.clone()).await;
        let finished = Box::pin(self.app.stop(hurry)).await;
        timer.abort();
        drop(self.admin);
        self.server.shutdown().await;
        self.outside.shutdown().await;
        answered && finished
    }
}

/// One folder holds one system.
fn told(error: ServerError) -> anyhow::Error {
    let stop = Stop::new(ExitCode::Unavailable, error.to_string());
    match error {
        ServerError::InUse(_) => stop
            .hint("another `longshore dev` runs on this folder: stop it, or name another with --state-dir")
            .into(),
        _ => stop.into(),
    }
}

/// This place, or any port where somebody else has it.
fn free(wanted: SocketAddr) -> SocketAddr {
    if is_free(wanted).is_ok() { wanted } else { SocketAddr::new(wanted.ip(), 0) }
}

/// A taken port is told before anything is begun.
fn is_free(wanted: SocketAddr) -> anyhow::Result<()> {
    match TcpListener::bind(wanted) {
        Ok(_) => Ok(()),
        Err(error) => {
            let stop = Stop::new(ExitCode::Unavailable, format!("{wanted} cannot be used: {error}"));
            let hint = "is another `longshore dev` running? With --once any free port will do";
            Err(stop.hint(hint).into())
        }
    }
}
