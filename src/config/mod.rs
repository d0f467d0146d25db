//! Every setting, typed, in one place. Durations are text such as `250ms`, `20s`, `5m`.

mod environment;
pub mod secret;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::config::secret::SecretRef;

/// All settings of one process.
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    pub queue: QueueSettings,
    pub store: StoreSettings,
    pub worker: WorkerSettings,
    pub seal: SealSettings,
    /// By source name.
    pub sources: BTreeMap<String, SourceSettings>,
    /// By tenant id; a tenant that is not listed has the defaults.
    pub tenants: BTreeMap<String, TenantSettings>,
    pub llm: LlmSettings,
    pub whatsapp: WhatsappSettings,
    pub admin: AdminSettings,
    pub log: LogSettings,
}

#[derive(Clone, Debug, Deserialize)]
pub struct QueueSettings {
    /// URL of the queue to work.
    pub url: String,
    /// URL of its dead-letter queue.
    pub dead_letter_url: String,
    /// Endpoint of an SQS-compatible server; Amazon's own when absent.
    pub endpoint: Option<String>,
    /// AWS region; from the environment when absent.
    pub region: Option<String>,
    /// Form of messages without a `longshore-form` attribute.
    pub default_form: Option<String>,
    /// Source of messages without a `longshore-source` attribute.
    pub default_source: Option<String>,
    /// Long poll: 0..=20 s. Default 20 s.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// Visibility timeout and claim lease. Default 60 s.
    #[serde(with = "humantime_serde")]
    pub visibility: Duration,
}

#[derive(Clone, Debug, Deserialize)]
pub struct StoreSettings {
    /// `sqlite:PATH` or a reference to a `postgres://` URL (it holds a password).
    pub url: SecretRef,
    /// Connections to PostgreSQL; readers on SQLite. Default 10.
    pub connections: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WorkerSettings {
    /// Events worked at once. Default 64.
    pub concurrency: usize,
    /// Bytes of received messages held at once. Default 64 MiB.
    pub bytes_in_flight: usize,
    /// Default 5 min.
    #[serde(with = "humantime_serde")]
    pub handler_timeout: Duration,
    /// Failures after which an event is buried `attempts_exhausted`. Default 8.
    pub attempts: i32,
    /// First backoff. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub backoff_initial: Duration,
    /// Longest backoff. Default 15 min.
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,
    /// Waits longer than this are parked instead of held at the queue. Default 10 min.
    #[serde(with = "humantime_serde")]
    pub park_after: Duration,
    /// How long a stopping worker finishes what it has; at least `queue.wait` + 5 s. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// Accept `longshore.drill.v1` jobs. Default false.
    pub drills: bool,
    /// Migrate at start. Default false.
    pub migrate: bool,
}

/// State of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Good for everything.
    #[default]
    Active,
    /// Good only for ids that our store knows already.
    ReplayOnly,
    /// Good for nothing.
    Revoked,
}

/// One key of a sender.
#[derive(Clone, Debug, Deserialize)]
pub struct KeySettings {
    /// Names the key in `webhook-key-id`, logs and tables.
    pub id: String,
    /// Where the secret is.
    pub secret: SecretRef,
    #[serde(default)]
    pub state: KeyState,
    /// RFC 3339; judged by the "now" of the scheme.
    #[serde(default)]
    pub not_before: Option<String>,
    /// RFC 3339; judged by the "now" of the scheme.
    #[serde(default)]
    pub not_after: Option<String>,
}

/// A key of an edge: what it seals counts for the listed sources only.
#[derive(Clone, Debug, Deserialize)]
pub struct SealKeySettings {
    #[serde(flatten)]
    pub key: KeySettings,
    /// Source names, or `*`; `wake` for our own scheduler.
    pub sources: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct SealSettings {
    #[serde(default)]
    pub keys: Vec<SealKeySettings>,
    /// Id of the key with which this process seals wakes.
    #[serde(default)]
    pub sign_with: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SourceSettings {
    /// A row of the SOURCES table: `whatsapp`, `hubspot`, `standard-webhooks`, `jobs`.
    pub vendor: String,
    #[serde(default)]
    pub keys: Vec<KeySettings>,
    /// Tenant of everything from this source.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Tenant by the sender's account; comes before `tenant`.
    #[serde(default)]
    pub accounts: BTreeMap<String, String>,
    /// Default 300 s.
    #[serde(default = "default_tolerance", with = "humantime_serde")]
    pub tolerance: Duration,
    /// Largest request body in bytes. Default 1 MiB.
    #[serde(default = "default_max_body")]
    pub max_body: usize,
    /// Scheme, host and path as the vendor knows them, where the edge sees others.
    #[serde(default)]
    pub public_url: Option<String>,
}

fn default_tolerance() -> Duration {
    Duration::from_secs(300)
}

fn default_max_body() -> usize {
    1_048_576
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct TenantSettings {
    /// Name of an `llm.providers` entry; the default one when absent.
    #[serde(default)]
    pub llm: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// OpenAI chat completions, or any server that speaks it.
    Openai,
    /// Deterministic, no key, cost 0.
    Rules,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ProviderSettings {
    pub kind: ProviderKind,
    /// Up to and with `/v1`.
    #[serde(default)]
    pub base_url: Option<String>,
    #[serde(default)]
    pub api_key: Option<SecretRef>,
    #[serde(default)]
    pub model: Option<String>,
    /// Whole call. Default 60 s.
    #[serde(default = "default_llm_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// Calls of one step within one attempt of the event. Default 3.
    #[serde(default = "default_llm_attempts")]
    pub attempts: u32,
    /// First backoff between them. Default 500 ms.
    #[serde(default = "default_llm_backoff", with = "humantime_serde")]
    pub backoff: Duration,
}

fn default_llm_timeout() -> Duration {
    Duration::from_secs(60)
}

fn default_llm_attempts() -> u32 {
    3
}

fn default_llm_backoff() -> Duration {
    Duration::from_millis(500)
}

#[derive(Clone, Debug, Deserialize)]
pub struct LlmSettings {
    /// By a name of your choice.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The provider of tenants that name none. Default `rules`.
    pub default: String,
    /// A price table to use instead of the shipped one.
    pub prices: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WhatsappSettings {
    /// Default `https://graph.facebook.com/v23.0`.
    pub base_url: String,
    /// The system user's token; without one nothing is sent and commands wait.
    pub access_token: Option<SecretRef>,
    /// Whole call. Default 15 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

#[derive(Clone, Debug, Deserialize)]
pub struct AdminSettings {
    /// Where health and metrics listen. Default `127.0.0.1:9464`.
    pub listen: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
pub struct LogSettings {
    /// `info`, or directives such as `longshore=debug,warn`.
    pub filter: String,
    /// `json`, `text`, or `auto`: text on a terminal, else JSON.
    pub format: String,
}
