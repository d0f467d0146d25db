//! Every setting, typed, in one place. Name, documentation, default and environment variable of each stand
//! here and nowhere else: `.env.example`, the template and the reference page are made from them.
//! A line `Example:` in a field's documentation is the value that the template shows.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use confique::Config;
use humantime_serde::deserialize as duration;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        llm::{LlmSettings, WebhookSettings},
        secret::SecretRef,
        senders::{KeySettings, SealKeySettings, SourceSettings, TenantSettings},
    },
    domain::timestamp::Timestamp,
};

/// All settings of one process.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// The queue to work. AWS credentials are not settings of Longshore: the AWS SDK finds them by itself
    /// (`AWS_*` variables, profile, container or instance role).
    #[config(nested)]
    pub queue: QueueSettings,

    /// Bodies that are too large for a queue and lie in Amazon S3, or in a store that speaks its protocol.
    #[config(nested)]
    pub objects: ObjectSettings,

    /// Where events, results, costs and dead letters are kept.
    #[config(nested)]
    pub store: StoreSettings,

    /// How much is worked at once, and how often it is tried.
    #[config(nested)]
    pub worker: WorkerSettings,

    /// Keys with which our own systems seal what they put on the queue.
    #[config(nested)]
    pub seal: SealSettings,

    /// The systems that send us events, by a name of your choice.
    #[config(default = {})]
    pub sources: BTreeMap<String, SourceSettings>,

    /// Tenants that differ from the defaults, by tenant id.
    #[config(default = {})]
    pub tenants: BTreeMap<String, TenantSettings>,

    /// The language models.
    #[config(nested)]
    pub llm: LlmSettings,

    /// Signed requests that Longshore sends: alerts, and answers of chats.
    #[config(nested)]
    pub webhooks: WebhookSettings,

    /// Sending through the WhatsApp Cloud API.
    #[config(nested)]
    pub whatsapp: WhatsappSettings,

    /// The edge, `longshore intake`: webhooks over HTTP, onto the queue.
    #[config(nested)]
    pub intake: IntakeSettings,

    /// Health and metrics.
    #[config(nested)]
    pub admin: AdminSettings,

    /// What is logged, and how it looks.
    #[config(nested)]
    pub log: LogSettings,
}

/// The queue to work.
#[derive(Clone, Debug, Config)]
pub struct QueueSettings {
    /// URL of the queue to work. The worker needs it.
    /// Example: `"https://sqs.eu-central-1.amazonaws.com/123456789012/longshore"`
    #[config(env = "LONGSHORE_QUEUE_URL", default = "")]
    pub url: String,

    /// URL of its dead-letter queue. The worker needs it.
    /// Example: `"https://sqs.eu-central-1.amazonaws.com/123456789012/longshore-dead"`
    #[config(env = "LONGSHORE_QUEUE_DEAD_LETTER_URL", default = "")]
    pub dead_letter_url: String,

    /// Endpoint of an SQS-compatible server. Amazon's own when absent.
    /// Example: `"http://127.0.0.1:9324"`
    #[config(env = "LONGSHORE_QUEUE_ENDPOINT")]
    pub endpoint: Option<String>,

    /// AWS region. When absent the AWS SDK decides (`AWS_REGION`, profile).
    /// Example: `"eu-central-1"`
    #[config(env = "LONGSHORE_QUEUE_REGION")]
    pub region: Option<String>,

    /// Form of messages without a `longshore-form` attribute. When absent they are dead letters (`unknown_form`).
    /// Example: `"envelope.v1"`
    #[config(env = "LONGSHORE_QUEUE_DEFAULT_FORM")]
    pub default_form: Option<String>,

    /// Source of messages without a `longshore-source` attribute: a name under `sources`.
    /// Example: `"whatsapp-main"`
    #[config(env = "LONGSHORE_QUEUE_DEFAULT_SOURCE")]
    pub default_source: Option<String>,

    /// Who vouches for the senders of this queue. `queue`: its policy, which lets only known AWS services and roles
    /// write to it. Sources with `scheme = "queue"` then count without a signature, and messages of AWS services are
    /// taken out of their envelopes. Absent: nobody but a signature.
    /// Example: `"queue"`
    #[config(env = "LONGSHORE_QUEUE_TRUST")]
    pub trust: Option<Trust>,

    /// How long one receive waits for the first message, 0 s to 20 s. Longer waits cost fewer requests.
    #[config(env = "LONGSHORE_QUEUE_WAIT", default = "20s", deserialize_with = duration)]
    pub wait: Duration,

    /// Visibility timeout and claim lease, set on every receive and extended while work goes on: how soon
    /// another worker takes over after a crash. 3 s to 12 h, whole seconds.
    #[config(env = "LONGSHORE_QUEUE_VISIBILITY", default = "60s", deserialize_with = duration)]
    pub visibility: Duration,
}

/// Who else than a signature may vouch for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The queue's policy.
    Queue,
}

impl QueueSettings {
    /// How often leases are extended: three chances before one runs out.
    #[must_use]
    pub fn lease_tick(&self) -> Duration {
        self.visibility / 3
    }
}

/// The store of large bodies. Nothing is ever deleted there: leave that to the bucket's lifecycle rules, and keep
/// objects as long as messages and dead letters live.
#[derive(Clone, Debug, Config)]
pub struct ObjectSettings {
    /// Buckets from which bodies may be fetched: a pointer can name any bucket that the worker's role can read.
    /// Example: `["acme-large-messages"]`
    #[config(default = [])]
    pub buckets: Vec<String>,

    /// Bucket in which the intake puts large bodies, and which is meant where an envelope names none.
    /// Example: `"acme-longshore-bodies"`
    #[config(env = "LONGSHORE_OBJECTS_BUCKET")]
    pub bucket: Option<String>,

    /// Endpoint of a store that speaks the protocol of Amazon S3. Amazon's own when absent.
    /// Example: `"http://127.0.0.1:9000"`
    #[config(env = "LONGSHORE_OBJECTS_ENDPOINT")]
    pub endpoint: Option<String>,

    /// AWS region. When absent, the queue's.
    /// Example: `"eu-central-1"`
    #[config(env = "LONGSHORE_OBJECTS_REGION")]
    pub region: Option<String>,

    /// Name the bucket in the path and not in the host: most stores that are not Amazon's want it.
    #[config(env = "LONGSHORE_OBJECTS_PATH_STYLE", default = false)]
    pub path_style: bool,

    /// Largest message body that is fetched for a pointer, in bytes.
    #[config(env = "LONGSHORE_OBJECTS_MAX_BYTES", default = 8_388_608)]
    pub max_bytes: usize,

    /// Longest time for one object, its repetitions included.
    #[config(env = "LONGSHORE_OBJECTS_TIMEOUT", default = "20s", deserialize_with = duration)]
    pub timeout: Duration,
}

/// The store.
#[derive(Clone, Debug, Config)]
pub struct StoreSettings {
    /// `sqlite:PATH`, or a reference to a `postgres://` URL (it holds a password): `env:NAME`, `file:/path`
    /// or `credential:NAME`.
    #[config(env = "LONGSHORE_STORE_URL", default = "sqlite:longshore.db")]
    pub url: SecretRef,

    /// Connections to PostgreSQL; readers on SQLite.
    #[config(env = "LONGSHORE_STORE_CONNECTIONS", default = 10)]
    pub connections: u32,
}

/// The worker.
#[derive(Clone, Debug, Config)]
pub struct WorkerSettings {
    /// Events worked at once.
    #[config(env = "LONGSHORE_WORKER_CONCURRENCY", default = 64)]
    pub concurrency: usize,

    /// Bytes of received messages held at once. At least 1 MiB, the largest message.
    #[config(env = "LONGSHORE_WORKER_BYTES_IN_FLIGHT", default = 67_108_864)]
    pub bytes_in_flight: usize,

    /// Longest run of one handler; then the attempt counts as failed.
    #[config(env = "LONGSHORE_WORKER_HANDLER_TIMEOUT", default = "5m", deserialize_with = duration)]
    pub handler_timeout: Duration,

    /// Failures after which an event is buried (`attempts_exhausted`). Deferrals do not count.
    #[config(env = "LONGSHORE_WORKER_ATTEMPTS", default = 8)]
    pub attempts: i32,

    /// Wait after the first failure; it grows with each further one.
    #[config(env = "LONGSHORE_WORKER_BACKOFF_INITIAL", default = "1s", deserialize_with = duration)]
    pub backoff_initial: Duration,

    /// Longest wait between two attempts.
    #[config(env = "LONGSHORE_WORKER_BACKOFF_MAX", default = "15m", deserialize_with = duration)]
    pub backoff_max: Duration,

    /// Waits longer than this are parked in the store instead of held at the queue.
    #[config(env = "LONGSHORE_WORKER_PARK_AFTER", default = "10m", deserialize_with = duration)]
    pub park_after: Duration,

    /// How long a stopping worker finishes what it has. At least `queue.wait` + 5 s, and less than the time
    /// that the supervisor gives it (TimeoutStopSec, terminationGracePeriodSeconds).
    #[config(env = "LONGSHORE_WORKER_DRAIN", default = "30s", deserialize_with = duration)]
    pub drain: Duration,

    /// Accept rehearsal jobs (`longshore.drill.v1`), which fail, wait or panic on purpose. Not for production.
    #[config(env = "LONGSHORE_WORKER_DRILLS", default = false)]
    pub drills: bool,

    /// Bring the schema up to date at start. Off, the worker refuses an out-of-date one.
    #[config(env = "LONGSHORE_WORKER_MIGRATE", default = false)]
    pub migrate: bool,
}

/// The seal.
#[derive(Clone, Debug, Config)]
pub struct SealSettings {
    /// Keys of the edges and of our own scheduler.
    #[config(default = [])]
    pub keys: Vec<SealKeySettings>,

    /// Id of the key with which this process seals wakes and test messages.
    /// Example: `"edge-2026"`
    #[config(env = "LONGSHORE_SEAL_SIGN_WITH")]
    pub sign_with: Option<String>,
}

impl SealSettings {
    /// The key that seals for this source at this time: `sign_with` where it may, else the first good one that may.
    #[must_use]
    pub fn key_for(&self, source: &str, now: Timestamp) -> Option<&KeySettings> {
        let may = |key: &&SealKeySettings| key.sources.iter().any(|name| name == source || name == "*");
        let good = |key: &&KeySettings| key.is_good(now);
        let mut keys = self.keys.iter().filter(may).map(|key| &key.key);
        let preferred = keys.clone().filter(good).find(|key| Some(&key.id) == self.sign_with.as_ref());
        preferred.or_else(|| keys.find(good))
    }
}

/// WhatsApp.
#[derive(Clone, Debug, Config)]
pub struct WhatsappSettings {
    /// Graph API with its version.
    #[config(env = "LONGSHORE_WHATSAPP_BASE_URL", default = "https://graph.facebook.com/v23.0")]
    pub base_url: String,

    /// Reference to the system user's token. Without one nothing is sent, and commands wait.
    /// Example: `"credential:whatsapp_access_token"`
    #[config(env = "LONGSHORE_WHATSAPP_ACCESS_TOKEN")]
    pub access_token: Option<SecretRef>,

    /// Longest time for one call.
    #[config(env = "LONGSHORE_WHATSAPP_TIMEOUT", default = "15s", deserialize_with = duration)]
    pub timeout: Duration,
}

/// The edge.
#[derive(Clone, Debug, Config)]
pub struct IntakeSettings {
    /// Where `POST /hooks/SOURCE` listens, without TLS: a proxy or load balancer in front terminates it. Port 0 takes
    /// a free one.
    #[config(env = "LONGSHORE_INTAKE_LISTEN", default = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Scheme and host as the vendors know them. Some sign the URL: it is told as configured, never rebuilt from `Host`
    /// or `X-Forwarded-*`. A source's own `public_url` comes first. Absent: the address where it listens.
    /// Example: `"https://hooks.example.com"`
    #[config(env = "LONGSHORE_INTAKE_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// How long a request waits for others to share its call to the queue: ten cost as much as one.
    #[config(env = "LONGSHORE_INTAKE_LINGER", default = "5ms", deserialize_with = duration)]
    pub linger: Duration,

    /// Longest time for a request's body to arrive; then 408.
    #[config(env = "LONGSHORE_INTAKE_BODY_TIMEOUT", default = "10s", deserialize_with = duration)]
    pub body_timeout: Duration,

    /// Longest wait for the queue to take a request; then 429. HubSpot gives up after 5 s.
    #[config(env = "LONGSHORE_INTAKE_SEND_TIMEOUT", default = "4s", deserialize_with = duration)]
    pub send_timeout: Duration,

    /// How long a stopping edge finishes the requests that it has. At least `intake.send_timeout` + 1 s, and less than
    /// the time that the supervisor gives it (TimeoutStopSec, terminationGracePeriodSeconds).
    #[config(env = "LONGSHORE_INTAKE_DRAIN", default = "20s", deserialize_with = duration)]
    pub drain: Duration,

    /// Requests worked at once; further ones get 429.
    #[config(env = "LONGSHORE_INTAKE_MAX_WAITING", default = 1024)]
    pub max_waiting: usize,

    /// Bytes of request bodies held at once; further ones get 429. At its peak each byte is held about four times.
    #[config(env = "LONGSHORE_INTAKE_MAX_BYTES", default = 67_108_864)]
    pub max_bytes: usize,

    /// Connections open at once; further ones wait to be accepted.
    #[config(env = "LONGSHORE_INTAKE_MAX_CONNECTIONS", default = 4096)]
    pub max_connections: usize,

    /// Header in which the proxy tells the SHA-256 fingerprint (hex) of the client's certificate. The proxy must
    /// overwrite it: whoever can set it is believed. Absent: no certificate is known.
    /// Example: `"x-client-cert-sha256"`
    #[config(env = "LONGSHORE_INTAKE_CLIENT_CERTIFICATE_HEADER")]
    pub client_certificate_header: Option<String>,

    /// Header in which the proxy tells the client's address; of several in a list the last one counts, which the
    /// nearest proxy added. Absent: the address of the connection.
    /// Example: `"x-forwarded-for"`
    #[config(env = "LONGSHORE_INTAKE_CLIENT_IP_HEADER")]
    pub client_ip_header: Option<String>,

    /// Folder for what a vendor tells only once and an operator needs: verification keys of Marketing Cloud
    /// callbacks. Made when needed, readable by us alone.
    #[config(env = "LONGSHORE_INTAKE_STATE_DIR", default = "longshore-intake")]
    pub state_dir: PathBuf,
}

/// Health and metrics.
#[derive(Clone, Debug, Config)]
pub struct AdminSettings {
    /// Where `/livez`, `/readyz` and `/metrics` listen, without any authentication: keep it off public networks.
    #[config(env = "LONGSHORE_ADMIN_LISTEN", default = "127.0.0.1:9464")]
    pub listen: SocketAddr,
}

/// Logs.
#[derive(Clone, Debug, Config)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `longshore=debug,warn`. Other
    /// libraries are never logged below `info`: they would print bodies.
    #[config(env = "LONGSHORE_LOG_FILTER", default = "info")]
    pub filter: String,

    /// `json`, `text`, or `auto`: text on a terminal, else one JSON object a line.
    #[config(env = "LONGSHORE_LOG_FORMAT", default = "auto")]
    pub format: String,
}
