//! What the verbs write, table by table, in one form for both databases: plain rows that serialise to JSON
//! (SQLite takes them through `json_each`) or are taken apart into arrays.

use std::borrow::Cow;

use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    domain::{
        command::{Action, Command},
        event::Event,
        ids::{CommandId, CorrelationId, EventKey, TenantId, sha256_hex},
        outcome::{Failure, Settled, Verdict},
        reason::Reason,
        record::LedgerRow,
    },
    store::contract::{Result, StoreError, copy_lane, requeue_lane},
};

/// Text without NUL, which Postgres refuses and SQLite's JSON functions cut at.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

/// Longest text kept whole in a column with an index, in bytes. Postgres refuses an index row over 2,704
/// bytes, and our widest key is of four such columns; what we make of an event key (at most 400 bytes) fits.
const LONGEST_INDEXED: usize = 512;

/// How much of a longer one is kept: a tilde and 64 hex digits come behind it.
const KEPT_INDEXED: usize = LONGEST_INDEXED - 65;

/// Text that somebody else may choose, as it stands in a column with an index: without NUL, and a long one
/// cut and made unique again with a hash of the whole. Whoever writes such a column or looks it up asks here,
/// or one long id would fail every commit of its event for ever. Doing it twice changes nothing. Event keys,
/// steps and input hashes are short by birth.
pub(crate) fn indexed(raw: &str) -> Cow<'_, str> {
    let whole = text(raw);
    if whole.len() <= LONGEST_INDEXED {
        return whole;
    }
    let hash = sha256_hex(&[whole.as_bytes()]);
    Cow::Owned(format!("{}~{hash}", beginning(&whole)))
}

/// The beginning of an indexed text, to find those that begin with it: no longer than what a cut one keeps.
pub(crate) fn indexed_prefix(raw: &str) -> String {
    beginning(&text(raw)).to_owned()
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(KEPT_INDEXED)]
}

/// A ledger row with its id as it is stored.
pub(crate) fn ledger_row(row: &LedgerRow) -> Cow<'_, LedgerRow> {
    match indexed(&row.id) {
        Cow::Borrowed(_) => Cow::Borrowed(row),
        Cow::Owned(id) => Cow::Owned(LedgerRow { id, ..row.clone() }),
    }
}

/// A value as JSON text, without NUL in its strings and names.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map(json_without_nul)
        .map_err(|e| StoreError::Refused(format!("a row cannot be written: {e}")))
}

/// A closed word of ours as it stands in a table.
pub(crate) fn stored_word<T: DeserializeOwned>(word: String) -> Result<T> {
    serde_json::from_value(Value::String(word))
        .map_err(|e| StoreError::Refused(format!("a word in a table is not known to this release: {e}")))
}

/// Replaces the escape of NUL, and only that: a backslash that is itself escaped may stand before `u0000`.
fn json_without_nul(text: String) -> String {
    const ESCAPE: &str = "\\u0000";
    if !text.contains(ESCAPE) {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        cleaned.push_str(&rest[..at]);
        rest = &rest[at..];
        let (kept, length) =
            if rest.starts_with(ESCAPE) { ("\u{fffd}", ESCAPE.len()) } else { (&rest[..2], 2) };
        cleaned.push_str(kept);
        rest = &rest[length..];
    }
    cleaned.push_str(rest);
    cleaned
}

/// Under which an event's key is remembered for good once it left the inbox: only where its sender told no time,
/// for otherwise its age tells a duplicate.
pub(crate) fn timeless_hash(event: &Event) -> Option<String> {
    event.occurred_at.is_none().then(|| sha256_hex(&[event.key.as_str().as_bytes()]))
}

/// A change of one inbox row, fenced by its ticket.
#[derive(Debug, Serialize)]
pub(crate) struct InboxChange<'a> {
    pub(crate) key: &'a EventKey,
    pub(crate) ticket: i64,
    pub(crate) state: &'static str,
    /// `None` in state `waiting`: claimable at once.
    pub(crate) retry_at: Option<i64>,
    /// Added to the row's counters.
    pub(crate) failures: i32,
    pub(crate) deferrals: i32,
    pub(crate) panics: i32,
    /// `None` leaves what is there.
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<Cow<'a, str>>,
}

impl<'a> InboxChange<'a> {
    /// What a verdict makes of its event's row.
    pub(crate) fn of(settled: &'a Settled) -> Self {
        let (state, at, failure) = match &settled.verdict {
            Verdict::Done(_) => ("done", None, None),
            Verdict::HandBack => ("waiting", None, None),
            Verdict::Bury(failure) => ("buried", None, Some(failure)),
            Verdict::Retry { at, failure, park } | Verdict::Defer { at, failure, park } => {
                (if *park { "parked" } else { "waiting" }, Some(at.0), Some(failure))
            }
        };
        let failed = matches!(settled.verdict, Verdict::Retry { .. });
        let panicked = failed && failure.is_some_and(|f| f.reason == Reason::HandlerPanic);
        Self {
            key: &settled.held.key,
            ticket: settled.held.ticket.0,
            state,
            retry_at: at,
            failures: failed.into(),
            deferrals: matches!(settled.verdict, Verdict::Defer { .. }).into(),
            panics: panicked.into(),
            reason: failure.map(|f| f.reason.code()),
            detail: failure.map(|f| text(&f.detail)),
        }
    }
}

/// One line of the past.
#[derive(Debug, Serialize)]
pub(crate) struct AuditEntry<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: &'static str,
    #[serde(serialize_with = "as_indexed")]
    pub(crate) subject: &'a str,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) detail: String,
}

fn as_indexed<S: Serializer>(raw: &str, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&indexed(raw))
}

impl<'a> AuditEntry<'a> {
    /// What the worker did with an event of this tenant.
    pub(crate) fn of(settled: &'a Settled, tenant: &'a str) -> Self {
        let said = |failure: &Failure| text(&failure.to_string()).into_owned();
        let (action, detail) = match &settled.verdict {
            Verdict::Done(_) => ("done", String::new()),
            Verdict::HandBack => ("hand_back", String::new()),
            Verdict::Bury(failure) => ("bury", said(failure)),
            Verdict::Retry { failure, park: false, .. } => ("retry", said(failure)),
            Verdict::Defer { failure, park: false, .. } => ("defer", said(failure)),
            Verdict::Retry { failure, .. } | Verdict::Defer { failure, .. } => ("park", said(failure)),
        };
        Self { actor: "worker", action, subject: settled.held.key.as_str(), tenant: Some(tenant), detail }
    }

    /// So many ledger rows were given their cost.
    pub(crate) fn repriced(actor: &'a str, rows: i64) -> Self {
        let detail = format!("{rows} rows");
        Self { actor, action: "reprice", subject: "llm_ledger", tenant: None, detail }
    }
}

/// A command about to be planned.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlannedCommand {
    pub(crate) id: String,
    pub(crate) event_key: Option<String>,
    pub(crate) tenant: String,
    pub(crate) kind: &'static str,
    pub(crate) lane: String,
    pub(crate) expires_at: Option<i64>,
    /// Of a message.
    pub(crate) channel: Option<&'static str>,
    /// Of a message.
    pub(crate) recipient: Option<String>,
    pub(crate) automatic: bool,
    /// The command as JSON.
    pub(crate) body: String,
}

impl PlannedCommand {
    pub(crate) fn new(id: CommandId, event_key: Option<&EventKey>, command: &Command) -> Result<Self> {
        let (channel, recipient, automatic) = match &command.action {
            Action::Message { channel, to, automatic, .. } => {
                (Some(channel.name()), Some(indexed(to).into_owned()), *automatic)
            }
            Action::CopyDeadLetter { .. } | Action::Requeue { .. } | Action::Webhook { .. } => {
                (None, None, false)
            }
        };
        Ok(Self {
            id: indexed(id.as_str()).into_owned(),
            event_key: event_key.map(|key| key.0.clone()),
            tenant: indexed(command.tenant.as_str()).into_owned(),
            kind: command.action.kind(),
            lane: indexed(&command.lane).into_owned(),
            expires_at: command.expires_at.map(|at| at.0),
            channel,
            recipient,
            automatic,
            body: json(command)?,
        })
    }
}

/// The command that copies a dead letter to the DLQ. One without an event follows its own id.
pub(crate) fn copy_command(dead_letter: &str, tenant: &str, correlation: Option<&str>) -> Command {
    Command {
        tenant: TenantId::from(tenant),
        correlation_id: CorrelationId::from(correlation.unwrap_or(dead_letter)),
        lane: copy_lane(dead_letter),
        expires_at: None,
        action: Action::CopyDeadLetter { dead_letter: dead_letter.to_owned() },
    }
}

/// The command that puts a dead letter's message back on the queue.
pub(crate) fn requeue_command(dead_letter: &str) -> Command {
    Command {
        tenant: TenantId::from(""),
        correlation_id: CorrelationId::from(dead_letter),
        lane: requeue_lane(dead_letter),
        expires_at: None,
        action: Action::Requeue { dead_letter: dead_letter.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_INDEXED, indexed, indexed_prefix, json, text};

    #[test]
    fn long_indexed_text_is_cut_and_stays_distinct() {
        let longest = "x".repeat(LONGEST_INDEXED);
        assert_eq!(indexed(&longest), longest.as_str());
        assert_eq!(indexed("a\0b"), "a\u{fffd}b");
        for long in ["ä€𝄞".repeat(500), format!("{longest}y"), "\0".repeat(LONGEST_INDEXED)] {
            let cut = indexed(&long).into_owned();
            assert!(cut.len() <= LONGEST_INDEXED && cut.starts_with(&indexed_prefix(&long)), "{cut}");
            assert_eq!(indexed(&cut), cut.as_str(), "doing it twice changes nothing");
            assert_ne!(indexed(&format!("{long}z")), cut.as_str());
        }
    }

    #[test]
    fn only_a_real_nul_is_replaced() {
        assert_eq!(text("a\0b"), "a\u{fffd}b");
        for hostile in ["a\0b", "\\u0000", "\\\0", "\\\\u0000\0", "\"\\\"\0\n", "ä\0€"] {
            let back: String = serde_json::from_str(&json(hostile).expect("JSON")).expect("text");
            assert_eq!(back, text(hostile), "{hostile:?}");
        }
        let object = serde_json::json!({ "a\0": ["\0", { "b": "c" }] });
        assert_eq!(json(&object).expect("JSON"), "{\"a\u{fffd}\":[\"\u{fffd}\",{\"b\":\"c\"}]}");
    }
}
