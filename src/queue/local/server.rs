//! The embedded server: its parts put together, started and stopped.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::sqlite::SqlitePool;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    clock::{Clock, SystemClock},
    queue::local::{
        attributes::AttributeTexts,
        backend::Backend,
        counters::Counters,
        counts,
        engine::Engine,
        error::ApiError,
        faults::{FaultRule, Faults},
        listener::{CuttableListener, Scissors},
        model::Job,
        protocol::{self, Service},
        queues_table,
        registry::{ACCOUNT, Registry},
        schema, validate,
    },
};

/// Requests that may wait for the writer before senders wait themselves.
const BACKLOG: usize = 1_024;

/// How long a stopping server waits for requests that have begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often messages past their retention are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Debug)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where its file `queue.sqlite` lies; made when absent.
    pub state_dir: PathBuf,
    /// What goes wrong on request.
    pub faults: Vec<FaultRule>,
    /// The region in queue ARNs.
    pub region: String,
    /// Visibility, delay and retention go by it.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// No faults, region `us-east-1`, the machine's clock.
    #[must_use]
    pub fn new(listen: SocketAddr, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            state_dir: state_dir.into(),
            faults: Vec::new(),
            region: "us-east-1".to_owned(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a server does not start, or a queue cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The folder, the lock or the socket.
    #[error("the embedded queue cannot start: {0}")]
    Io(#[from] std::io::Error),
    /// The file of the messages.
    #[error("the embedded queue's file: {0}")]
    Storage(#[from] sqlx::Error),
    /// Two servers on one file would both think that they are alone.
    #[error("{0} is in use by another embedded queue")]
    InUse(PathBuf),
    /// A queue's name or attributes.
    #[error("the embedded queue refuses: {0}")]
    Refused(String),
}

impl From<ApiError> for ServerError {
    fn from(refusal: ApiError) -> Self {
        Self::Refused(refusal.message)
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    counters: Counters,
    backend: Backend,
    stop: oneshot::Sender<()>,
    http: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Server {
    /// Opens the file, binds the port and serves.
    ///
    /// # Errors
    /// The folder or file cannot be used, another server uses it, or the port is taken.
    pub async fn start(options: Options) -> Result<Self, ServerError> {
        std::fs::create_dir_all(&options.state_dir)?;
        let lock = lock(&options.state_dir)?;
        let file = options.state_dir.join("queue.sqlite");
        let mut db = schema::open_writer(&file).await?;
        let registry = Arc::new(Registry::new(options.region, queues_table::all(&mut db).await?));
        let (jobs, inbox) = mpsc::channel(BACKLOG);
        let backend = Backend {
            jobs,
            readers: schema::open_readers(&file),
            registry: Arc::clone(&registry),
            clock: Arc::clone(&options.clock),
        };
        let engine = Engine::new(db, inbox, registry, options.clock).await?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let counters = Counters::default();
        let service = Service {
            backend: backend.clone(),
            faults: Faults::new(options.faults),
            counters: counters.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let http = tokio::spawn(serve(listener, service, stopped));
        let writer = tokio::spawn(async move {
            engine.run().await;
            // Held as long as the file is open, also when the server is dropped without a shutdown.
            drop(lock);
        });
        tokio::spawn(sweep(Sweeper::of(&backend)));
        Ok(Self { address, counters, backend, stop, http, writer })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a client takes as its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a queue of this name.
    #[must_use]
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.endpoint())
    }

    /// The ARN of a queue of this name.
    #[must_use]
    pub fn queue_arn(&self, name: &str) -> String {
        self.backend.registry.arn(name)
    }

    /// Calls by operation.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Makes a queue, or gives an existing one these attributes; its URL.
    ///
    /// # Errors
    /// An attribute is not one of a standard queue or out of range, or the file cannot be written.
    pub async fn ensure_queue(&self, name: &str, attributes: &[(&str, &str)]) -> Result<String, ServerError> {
        let attributes: AttributeTexts =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        validate::queue_name(name)?;
        self.backend.registry.check_redrive(&attributes)?;
        let job = |reply| Job::CreateQueue {
            name: name.to_owned(),
            attributes: AttributeTexts::new(),
            tags: std::collections::BTreeMap::new(),
            reply,
        };
        if self.backend.registry.by_name(name).is_err() {
            self.backend.ask(job).await?;
        }
        let queue = self.backend.registry.by_name(name)?.id;
        self.backend.ask(|reply| Job::SetAttributes { queue, attributes, reply }).await?;
        Ok(self.queue_url(name))
    }

    /// Looks for due messages now: for whoever turned the clock.
    pub async fn look_again(&self) {
        // A writer that is gone has nobody waiting.
        let _ = self.backend.jobs.send(Job::LookAgain).await;
    }

    /// Answers waiting receives, finishes what is under way and closes the file.
    pub async fn shutdown(self) {
        let Self { backend, stop, mut http, writer, .. } = self;
        // Neither can fail while the tasks live, and afterwards there is nothing to tell.
        let _ = backend.jobs.send(Job::StopWaiting).await;
        let _ = stop.send(());
        if tokio::time::timeout(PATIENCE, &mut http).await.is_err() {
            tracing::warn!("a client holds its connection open; the embedded queue leaves it");
            http.abort();
        }
        let Backend { jobs, readers, .. } = backend;
        readers.close().await;
        drop(jobs);
        if let Err(error) = writer.await {
            tracing::error!(%error, "the embedded queue's writer ended badly");
        }
    }
}

fn lock(state_dir: &Path) -> Result<File, ServerError> {
    let path = state_dir.join("queue.lock");
    let file = File::create(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServerError::InUse(state_dir.to_path_buf())),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

async fn serve(listener: TcpListener, service: Service, stopped: oneshot::Receiver<()>) {
    let router = protocol::router(Arc::new(service));
    let service = router.into_make_service_with_connect_info::<Scissors>();
    let serving = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(async {
        // A server that was dropped without a word stops too.
        let _ = stopped.await;
    });
    if let Err(error) = serving.await {
        tracing::error!(%error, "the embedded queue's HTTP server failed");
    }
}

/// What the sweep looks at.
struct Sweeper {
    jobs: mpsc::WeakSender<Job>,
    readers: SqlitePool,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
}

impl Sweeper {
    fn of(backend: &Backend) -> Self {
        Self {
            jobs: backend.jobs.downgrade(),
            readers: backend.readers.clone(),
            registry: Arc::clone(&backend.registry),
            clock: Arc::clone(&backend.clock),
        }
    }
}

/// Drops messages past their retention that no receive came across. Ends with the server: it holds the
/// way to the writer only while it uses it.
async fn sweep(sweeper: Sweeper) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(jobs) = sweeper.jobs.upgrade() else { return };
        for queue in sweeper.registry.all() {
            let cutoff = sweeper.clock.now().0 - queue.config.retention_s.saturating_mul(1_000_000);
            match counts::expired(&sweeper.readers, queue.id, cutoff).await {
                Ok(seqs) if seqs.is_empty() => {}
                Ok(seqs) => drop(jobs.send(Job::Expire { seqs }).await),
                Err(error) => tracing::warn!(%error, "the queue's file cannot be read for expiry"),
            }
        }
    }
}
