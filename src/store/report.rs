//! What people and dashboards read from the store.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::{ids::TenantId, money::Money, timestamp::Timestamp};

/// Rows by table name.
pub type TableCounts = BTreeMap<String, i64>;

/// Everything known about one event.
#[derive(Clone, Debug, Serialize)]
pub struct EventHistory {
    /// Its key.
    pub key: String,
    /// `open`, `waiting`, `parked`, `done` or `buried`.
    pub state: String,
    /// Fresh starts.
    pub revision: i32,
    /// Claims so far.
    pub ticket: i64,
    /// Counted failures of this revision.
    pub failures: i32,
    /// Deferrals of this revision.
    pub deferrals: i32,
    /// Last reason, where there is one.
    pub reason: Option<String>,
    /// Whose.
    pub tenant: String,
    /// The configured sender.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// First seen.
    pub first_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// What happened to it, oldest first: audit rows.
    pub audit: Vec<AuditRow>,
    /// LLM calls.
    pub calls: Vec<CallRow>,
    /// Effects.
    pub commands: Vec<CommandRow>,
    /// Kind and body of its results.
    pub results: Vec<Value>,
}

/// One line of an event's past.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// `worker` or who gave the order.
    pub actor: String,
    /// `done`, `retry`, `defer`, `park`, `bury`, `hand_back`, `replay`, `resolve` ...
    pub action: String,
    /// Reason code and text.
    pub detail: String,
}

/// One LLM call.
#[derive(Clone, Debug, Serialize)]
pub struct CallRow {
    /// `reply` ...
    pub step: String,
    /// Which fresh start.
    pub revision: i32,
    /// Which attempt.
    pub attempt: i32,
    /// `reserved`, `sent`, `answered`, `failed`, `ambiguous`.
    pub state: String,
    /// Who was asked.
    pub provider: String,
    /// The model asked.
    pub model: String,
    /// Input tokens in all.
    pub input: i64,
    /// Output tokens in all.
    pub output: i64,
    /// `None`: price not known, or nothing billed.
    pub cost: Option<Money>,
    /// Milliseconds.
    pub latency_ms: i64,
}

/// One command.
#[derive(Clone, Debug, Serialize)]
pub struct CommandRow {
    /// Its id.
    pub id: String,
    /// The event behind it.
    pub event_key: Option<String>,
    /// Whose.
    pub tenant: String,
    /// `message`, `copy_dead_letter`, `requeue`, `webhook`.
    pub kind: String,
    /// Its lane.
    pub lane: String,
    /// Where it stands.
    pub state: String,
    /// How often it was taken.
    pub tries: i32,
    /// The vendor's id.
    pub vendor_id: Option<String>,
    /// Code and text of the last answer.
    pub detail: Option<String>,
    /// Planned.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// Which ledger rows, and by what they are summed.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Only this tenant.
    pub tenant: Option<String>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Only this prompt, in any version.
    pub prompt: Option<String>,
}

/// Which ledger rows, a page at a time.
#[derive(Clone, Debug, Default)]
pub struct LedgerQuery {
    /// Which.
    pub filter: UsageFilter,
    /// Only those whose price was not known.
    pub unpriced: bool,
    /// After the row with this time and id.
    pub after: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: i64,
}

/// What a ledger row costs after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedRow {
    /// The row's id.
    pub id: String,
    /// The row's time.
    pub at: Timestamp,
    /// Its cost.
    pub cost: Money,
    /// `as_of` of the price used.
    pub price_version: String,
}

/// What is looked for by its meaning.
#[derive(Clone, Debug)]
pub struct SimilarQuery {
    /// Whose.
    pub tenant: TenantId,
    /// Of which kind.
    pub kind: String,
    /// The model that made the vector.
    pub model: String,
    /// The vector, of length 1.
    pub vector: Vec<f32>,
    /// At most so many.
    pub limit: i64,
    /// Only those stored before this time: an event that is worked again must find what it found before, or its
    /// question would change and be bought again.
    pub before: Option<Timestamp>,
}

/// An item that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimilarItem {
    /// Its id.
    pub item: String,
    /// What is shown of it.
    pub text: String,
    /// Cosine, -1 to 1.
    pub score: f64,
}

/// Sums for one tenant, prompt, model and day (UTC).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UsageRow {
    /// Who pays.
    pub tenant: String,
    /// Name and version of the prompt; empty where there was none.
    pub prompt: String,
    /// The model that answered, else the one asked.
    pub model: String,
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Ledger rows.
    pub calls: i64,
    /// Of these with unknown fate.
    pub ambiguous: i64,
    /// Of these without a known price.
    pub unpriced: i64,
    /// Input tokens, cached ones included.
    pub input: i64,
    /// Of these read from a cache.
    pub cached: i64,
    /// Output tokens.
    pub output: i64,
    /// Sum of the known costs.
    pub cost: Money,
}

/// Levels for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gauges {
    /// Events waiting for a wake.
    pub parked: i64,
    /// Commands waiting for their turn.
    pub planned: i64,
    /// Commands whose outcome is unknown.
    pub unknown: i64,
    /// Calls to models that are reserved or sent, and have not ended.
    pub calls: i64,
    /// Open dead letters by reason code.
    pub dead_letters: BTreeMap<String, i64>,
}
