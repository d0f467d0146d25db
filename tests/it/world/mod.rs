//! A whole small world for one test: an embedded queue and the stand-in for the outside, both in the test's
//! process, so that they outlive any worker and can judge it; a fresh database; keys; a settings file; and
//! workers, as processes that can be killed or in this one.

mod both;
mod database;
mod expect;
mod hostile;
mod intake;
pub(crate) mod judge;
mod late_clock;
pub(crate) mod patience;
mod process;
mod send;
mod settings;

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use longshore::{
    app::App,
    cli::dev::outside::Outside,
    clock::{Clock, SystemClock},
    config::{QueueSettings, Settings},
    llm::contract::ModelHealth,
    queue::{
        contract::{Depth, OutgoingMessage, Queue as _},
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
    store::contract::Store,
    worker::trail::{Happening, Trail},
};
use tempfile::TempDir;
use tokio::{sync::broadcast, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use both::on_both;
pub(crate) use database::{Database, Kind};
pub(crate) use expect::Expected;
pub(crate) use intake::call;
pub(crate) use late_clock::LateClock;
pub(crate) use process::Worker;
pub(crate) use send::{Chat, Random};
pub(crate) use settings::Knobs;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// After this a wake that nobody claimed is sent again.
const RESEND: Duration = Duration::from_secs(15 * 60 + 1);

/// The world.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) outside: Outside,
    pub(crate) queue: SqsQueue,
    pub(crate) dead: SqsQueue,
    /// What must have become of everything that was sent.
    pub(crate) expected: Expected,
    pub(crate) settings: Settings,
    file: PathBuf,
    server: Option<Server>,
    outgoing: Vec<OutgoingMessage>,
    next: u64,
    padding: usize,
    workers: usize,
    folder: TempDir,
}

/// A worker in this process.
pub(crate) struct Inside {
    app: App,
    pub(crate) trail: broadcast::Receiver<Happening>,
}

impl World {
    /// A world that is as usual.
    pub(crate) async fn new(kind: Kind) -> Self {
        Self::with(kind, Knobs::default()).await
    }

    /// A world with an embedded queue of its own.
    pub(crate) async fn with(kind: Kind, knobs: Knobs) -> Self {
        Self::by_clock(kind, knobs, Arc::new(SystemClock)).await
    }

    /// A world whose queue goes by this clock.
    pub(crate) async fn by_clock(kind: Kind, knobs: Knobs, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = Options { clock, ..Options::new(listen, folder.path().join("queue")) };
        let server = Server::start(options).await.unwrap();
        let dead = server.ensure_queue("dead", &[]).await.unwrap();
        let policy = redrive(&server.queue_arn("dead"), knobs.max_receives);
        let queue = server.ensure_queue("events", &[("RedrivePolicy", &policy)]).await.unwrap();
        let endpoint = server.endpoint();
        Self::around(kind, knobs, folder, Some(server), [&endpoint, &queue, &dead]).await
    }

    /// A world on an SQS server that runs already.
    pub(crate) async fn on_server(kind: Kind, knobs: Knobs, endpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = uuid::Uuid::new_v4().simple().to_string();
        let client = aws_client(endpoint).await;
        // What the server answers has a host that is no good at a number as address.
        let url = |suffix: &str| format!("{endpoint}/000000000000/{name}-{suffix}");
        client.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap();
        let policy = redrive(&format!("arn:aws:sqs:us-east-1:000000000000:{name}-dead"), knobs.max_receives);
        let queue = client.create_queue().queue_name(format!("{name}-events"));
        queue.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
        Self::around(kind, knobs, folder, None, [endpoint, &url("events"), &url("dead")]).await
    }

    async fn around(
        kind: Kind,
        knobs: Knobs,
        folder: TempDir,
        server: Option<Server>,
        [endpoint, queue, dead]: [&str; 3],
    ) -> Self {
        let database = Database::create(kind, folder.path()).await;
        let outside = Outside::start().await.unwrap();
        let places = settings::Places {
            folder: folder.path(),
            endpoint,
            queue,
            dead,
            store: &database.url,
            outside: &outside,
        };
        let file = settings::write(&places, &knobs);
        let settings = settings::read(&file);
        let client = |url: &str| {
            let (settings, url): (QueueSettings, String) = (settings.queue.clone(), url.to_owned());
            async move { SqsQueue::connect(&settings, &url).await }
        };
        let (queue, dead) = (client(queue).await, client(dead).await);
        let expected = Expected::default();
        let (outgoing, next, workers) = (Vec::new(), 0, 0);
        Self {
            database,
            outside,
            queue,
            dead,
            expected,
            settings,
            file,
            server,
            outgoing,
            next,
            padding: 0,
            workers,
            folder,
        }
    }

    /// Starts a worker as a process of its own, with these environment variables.
    pub(crate) fn worker(&mut self, environment: &[(&str, &str)]) -> Worker {
        self.workers += 1;
        let log = self.folder.path().join(format!("worker-{}.log", self.workers));
        Worker::start(&self.file, &log, environment)
    }

    /// Starts a worker in this process.
    pub(crate) async fn inside(&self) -> Inside {
        let trail = Trail::default();
        let listener = trail.listen();
        Inside { app: App::start(self.settings.clone(), trail).await.unwrap(), trail: listener }
    }

    /// Waits until it holds; fails loudly at the deadline.
    pub(crate) async fn until<F: Future<Output = Result<(), String>>>(
        &self,
        deadline: Duration,
        mut holds: impl FnMut() -> F,
    ) {
        let end = Instant::now() + deadline;
        loop {
            match holds().await {
                Ok(()) => return,
                Err(what) if Instant::now() > end => {
                    panic!("not within {deadline:?}: {what}\n{}", self.story().await)
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until nothing is left to do: what was sent has ended, commands too, and the queue is empty.
    pub(crate) async fn settled(&self, deadline: Duration) {
        self.until(deadline, || self.unsettled()).await;
    }

    async fn unsettled(&self) -> Result<(), String> {
        let ended = self.database.count("inbox WHERE state IN ('done', 'buried')").await;
        let expected = i64::try_from(self.expected.events.len()).unwrap();
        if ended < expected {
            return Err(format!("{ended} of {expected} events have ended"));
        }
        for (what, rows) in [
            ("open events", "inbox WHERE state NOT IN ('done', 'buried')"),
            ("parked events", "parked"),
            ("open commands", "outbox WHERE state IN ('planned', 'sending')"),
            ("open calls", "llm_journal WHERE state = 'sent'"),
        ] {
            match self.database.count(rows).await {
                0 => {}
                left => return Err(format!("{left} {what}")),
            }
        }
        match self.queue.depth().await.unwrap() {
            Depth { visible: 0, in_flight: 0, delayed: 0 } => Ok(()),
            depth => Err(format!("{depth:?}")),
        }
    }

    /// What a failed test should tell: what is open, and the end of every worker's log.
    pub(crate) async fn story(&self) -> String {
        let mut story = String::new();
        for open in [
            "SELECT key, state, reason, CAST(ticket AS TEXT), CAST(started AS TEXT) FROM inbox
             WHERE state NOT IN ('done', 'buried') LIMIT 10",
            "SELECT id, state, detail FROM outbox WHERE state IN ('planned', 'sending') LIMIT 10",
            "SELECT key, CAST(due_at AS TEXT), CAST(woken_at AS TEXT) FROM parked LIMIT 10",
        ] {
            for row in self.database.rows(open).await {
                story += &format!("open: {row:?}\n");
            }
        }
        for number in 1..=self.workers {
            let log = self.folder.path().join(format!("worker-{number}.log"));
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).collect();
            let last = lines.len().saturating_sub(25);
            story += &format!("-- worker {number}\n{}\n", lines[last..].join("\n"));
        }
        story
    }

    /// What the workers said about the events that these words name.
    pub(crate) fn lines_about(&self, words: &str) -> String {
        let named: Vec<&String> = self.expected.events.keys().filter(|key| words.contains(*key)).collect();
        let mut found = String::new();
        for number in 1..=self.workers {
            let log = self.folder.path().join(format!("worker-{number}.log"));
            let text = std::fs::read_to_string(log).unwrap_or_default();
            for line in text.lines().filter(|line| named.iter().any(|key| line.contains(*key))).take(60) {
                found += &format!("worker {number}: {line}\n");
            }
        }
        found
    }

    /// Is the queue in this process?
    fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Messages on the dead-letter queue, whatever put them there.
    async fn dead_messages(&self) -> usize {
        let Depth { visible, in_flight, delayed } = self.dead.depth().await.unwrap();
        usize::try_from(visible + in_flight + delayed).unwrap()
    }

    /// Turns the clock on, so that wakes which were lost are sent again.
    pub(crate) async fn wakes_are_overdue(&self) {
        self.database.age_wakes(RESEND).await;
    }

    /// Every row that a worker can change, as text: the same as long as nobody commits anything.
    pub(crate) async fn snapshot(&self) -> Vec<Vec<Option<String>>> {
        let mut rows = Vec::new();
        for what in [
            "key, state, CAST(ticket AS TEXT), CAST(updated_at AS TEXT) FROM inbox",
            "subject, action, CAST(id AS TEXT) FROM audit_log",
            "id, state, CAST(tries AS TEXT), CAST(updated_at AS TEXT) FROM outbox",
            "event_key, step, CAST(attempt AS TEXT), state FROM llm_journal",
            "id, status FROM llm_ledger",
            "event_key, kind FROM results",
            "vendor_id, direction FROM messages",
            "vendor_id, state FROM deliveries",
            "id, CAST(updated_at AS TEXT) FROM conversations",
            "external_id, name, value FROM contact_properties",
            "id, CAST(seen AS TEXT) FROM dead_letters",
        ] {
            rows.extend(self.database.rows(&format!("SELECT {what} ORDER BY 1, 2")).await);
        }
        rows
    }

    /// Takes everything down.
    pub(crate) async fn finish(self) {
        self.database.finish().await;
        self.outside.shutdown().await;
        if let Some(server) = self.server {
            server.shutdown().await;
        }
    }
}

impl Inside {
    /// Its store.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.app.store
    }

    /// How its models are doing.
    pub(crate) fn models(&self) -> Vec<ModelHealth> {
        (self.app.models())()
    }

    /// Stops it; did it finish by itself?
    pub(crate) async fn stop(self) -> bool {
        self.app.stop(CancellationToken::new()).await
    }
}

/// After so many receives the server itself moves a message to the dead-letter queue.
fn redrive(dead: &str, max_receives: u32) -> String {
    format!(r#"{{"deadLetterTargetArn":"{dead}","maxReceiveCount":{max_receives}}}"#)
}

/// For what the worker's own client cannot do: making queues.
async fn aws_client(endpoint: &str) -> aws_sdk_sqs::Client {
    let credentials = aws_sdk_sqs::config::Credentials::new("local", "local", None, None, "Local");
    let loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
    let region = aws_sdk_sqs::config::Region::new("us-east-1");
    let shared = loader.endpoint_url(endpoint).region(region).credentials_provider(credentials).load().await;
    aws_sdk_sqs::Client::new(&shared)
}
