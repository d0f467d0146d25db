//! The contract of a store. Every verb is one transaction; batch verbs pay one disk flush for all their
//! members. All times are the database's own clock: a worker with a wrong clock cannot steal a claim.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{
    command::{CommandEnd, CommandState, TakenCommand},
    dead_letter::{DeadDelivery, DeadLetter, DeadLetterFilter},
    event::Event,
    ids::{CommandId, EventKey, Revision, TenantId, Ticket},
    outcome::{Fence, Held, Settled},
    reason::Reason,
    record::OPTED_OUT,
    timestamp::Timestamp,
};

pub use crate::store::{
    error::{Result, StoreError},
    llm_contract::LlmStore,
    report::{
        CommandRow, EventHistory, Gauges, LedgerQuery, PricedRow, SimilarItem, SimilarQuery, TableCounts,
        UsageFilter, UsageRow,
    },
};

/// A verified event that we would like to work.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The event; stored with the claim, so that waiting and replay need no sender.
    pub event: Event,
    /// Hash that recognises a redriven copy of the sealed message: see [`Store::seal_known`].
    pub seal: Option<String>,
    /// A free slot is there: also record the start, in the same statement.
    pub start: bool,
}

/// What the inbox says about an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// Ours to work.
    Mine(Work),
    /// Finished before: nothing to do.
    Done,
    /// Waits for its wake: nothing to do.
    Parked,
    /// Kept as a dead letter: nothing to do.
    Buried,
    /// Somebody works on it: come back after this long.
    Busy(Duration),
    /// Its backoff has not passed: come back after this long.
    RetryAt(Duration),
}

/// A claim that is ours, with the event's past.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The claim.
    pub held: Held,
    /// Counted failures so far in this revision.
    pub failures: i32,
    /// Deferrals so far in this revision.
    pub deferrals: i32,
    /// Panics so far in this revision.
    pub panics: i32,
    /// A start without an end was found: the process may have died of it. It must run alone.
    pub suspect: bool,
    /// Deaths while it ran alone.
    pub lone_deaths: i32,
}

/// A wake's answer: the stored event with its claim.
#[derive(Clone, Debug, PartialEq)]
pub enum WakeClaim {
    /// Ours to work.
    Mine(Box<Event>, Work),
    /// Done, buried, of an older revision, not due, or never heard of: acknowledge.
    Nothing,
    /// Somebody works on it: come back after this long.
    Busy(Duration),
}

/// A parked event whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Which event.
    pub key: EventKey,
    /// Of which fresh start.
    pub revision: Revision,
}

/// What a replay did with one dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// An event got a fresh start of this number.
    Event(EventKey, Revision),
    /// A message will be put back on the queue.
    Delivery,
    /// A command will be carried out again.
    Command(CommandId),
    /// It was replayed before, or is not there.
    NotOpen,
}

/// What a person decides about a command of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It did arrive.
    Sent,
    /// It did not arrive, and shall be sent again.
    SendAgain,
    /// It did not arrive, and shall not be sent.
    Drop,
}

/// How the schema stands against this release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// As needed.
    Current,
    /// These migrations are missing.
    Behind(Vec<String>),
    /// The database knows migrations that this release does not, or one was changed after it ran.
    Foreign(Vec<String>),
}

/// What the worker, the handlers and the command line ask of a database.
#[async_trait]
pub trait Store: LlmStore {
    // -- state of the database ------------------------------------------------

    /// Answers at all?
    async fn ping(&self) -> Result<()>;
    /// How the schema stands. Never changes anything.
    async fn schema(&self) -> Result<SchemaState>;
    /// Brings the schema up to date; names what it applied. Two processes at once apply it once.
    async fn migrate(&self) -> Result<Vec<String>>;
    /// Small regular work: partitions ahead of time, lapsed `sending` commands, pauses that are over, keys that are
    /// old enough to be forgotten. Short transactions.
    async fn maintain(&self) -> Result<()>;
    /// Gives connections back; later calls fail.
    async fn close(&self);

    // -- inbox ---------------------------------------------------------------

    /// Claims events that arrived, in one statement; answers in the order asked. Keys are distinct. A new
    /// key is stored with its event. A lapsed claim is taken over with a higher ticket. One whose start has
    /// no end is `suspect`; when it had started in the lone lane that death is counted first. A key that was forgotten
    /// as a hash, and what happened before its subject was erased, is `Done`.
    async fn claim(&self, requests: &[ClaimRequest], lease: Duration) -> Result<Vec<Claim>>;
    /// Claims parked events whose time has come, with their stored event; answers in the order asked.
    /// Deletes the parked row. `start` as in [`ClaimRequest`].
    async fn claim_wakes(&self, wakes: &[Wake], lease: Duration, start: bool) -> Result<Vec<WakeClaim>>;
    /// Records a start: `lone` when it runs alone. A lost ticket is answered `Lost`.
    async fn mark_started(&self, held: &[Held], lone: bool) -> Result<Vec<Fence>>;
    /// Extends claims to `lease` from now; a lost ticket is answered `Lost`.
    async fn extend(&self, held: &[Held], lease: Duration) -> Result<Vec<Fence>>;
    /// Commits verdicts, fenced by their tickets, in one transaction: rows, ledger links, commands, parked
    /// rows, dead letters, audit and the inbox state of every member that still holds its ticket, nothing
    /// of the others. Answers in the order asked. Times in verdicts are durations made absolute by the
    /// caller; see [`Store::now`].
    async fn settle(&self, group: &[Settled]) -> Result<Vec<Fence>>;
    /// After [`StoreError::CommitUnknown`]: is this event done or buried, or its claim released, by exactly
    /// this ticket?
    async fn settled_by(&self, held: &Held) -> Result<bool>;
    /// The database's clock.
    async fn now(&self) -> Result<Timestamp>;

    // -- what never became an event --------------------------------------------

    /// Buries deliveries or items; a second burial of an id only raises `seen` and opens it again. Plans
    /// the copy for the DLQ.
    async fn bury(&self, dead: &[DeadDelivery]) -> Result<()>;
    /// Was a message with this seal hash claimed before, or was the dead letter of this content hash
    /// replayed? Then its age does not matter any more.
    async fn seal_known(&self, seal: &str, content_hash: &str) -> Result<bool>;

    // -- outbox ----------------------------------------------------------------

    /// Takes planned commands that are due and first in their lane, as `sending`, at most one a lane, also
    /// when a person or a replay plans an earlier one of that lane again at the same time.
    /// Commands of a lane behind one that is `sending` or planned earlier wait; refused, unknown, dropped
    /// and sent ones do not block.
    async fn outbox_take(&self, limit: i64, lease: Duration) -> Result<Vec<TakenCommand>>;
    /// Records how taken commands ended. A refused one becomes a dead letter; a sent message gets its
    /// delivery row, linked to a status that came earlier. Fenced by `tries`: what a taker says whose command
    /// was taken again meanwhile changes nothing, but for `Sent`, which is believed of every try, so that
    /// what a person has is never sent once more.
    async fn outbox_settle(&self, ends: &[CommandEnd]) -> Result<()>;
    /// Holds back a whole sender or lane prefix: its commands, also those planned while it lasts, are not
    /// due before. A shorter pause does not undo a longer one.
    async fn outbox_pause(&self, lane_prefix: &str, until: Timestamp) -> Result<()>;
    /// How long until the next planned command is due; `None` when there is none.
    async fn outbox_next(&self) -> Result<Option<Duration>>;
    /// Commands for people, newest first.
    async fn outbox_list(&self, state: Option<CommandState>, limit: i64) -> Result<Vec<CommandRow>>;
    /// A person's word on an unknown command; false when it is not unknown.
    async fn outbox_resolve(&self, id: &CommandId, resolution: Resolution, actor: &str) -> Result<bool>;

    // -- parked ------------------------------------------------------------------

    /// Parked events that are due and whose last wake, if any, is older than `resend`; marks them as woken.
    async fn wakes_due(&self, limit: i64, resend: Duration) -> Result<Vec<Wake>>;
    /// How long until the next parked event is due; `None` when there is none.
    async fn wakes_next(&self) -> Result<Option<Duration>>;

    // -- dead letters --------------------------------------------------------------

    /// Dead letters for people, newest first.
    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>>;
    /// Gives dead letters a fresh start: a new revision of an event (parked, due at once), a message back on
    /// its queue, or the refused command alone. Audited.
    async fn replay(&self, ids: &[String], actor: &str) -> Result<Vec<Replayed>>;

    // -- looked up by handlers and senders -------------------------------------------

    /// A contact's property, by system and id there.
    async fn contact_property(
        &self,
        tenant: &TenantId,
        system: &str,
        id: &str,
        name: &str,
    ) -> Result<Option<String>>;
    /// Does this person want no messages?
    async fn opted_out(&self, tenant: &TenantId, system: &str, id: &str) -> Result<bool> {
        Ok(self.contact_property(tenant, system, id, OPTED_OUT).await?.as_deref() == Some("true"))
    }
    /// Are automatic replies of this tenant on? True unless switched off.
    async fn auto_replies(&self, tenant: &TenantId) -> Result<bool>;
    /// Switches a tenant's automatic replies. Audited.
    async fn set_auto_replies(&self, tenant: &TenantId, on: bool, actor: &str) -> Result<()>;

    // -- for people -------------------------------------------------------------------

    /// Everything known about one event.
    async fn event_history(&self, key: &EventKey) -> Result<Option<EventHistory>>;
    /// For metrics: parked, planned, unknown, open dead letters.
    async fn gauges(&self) -> Result<Gauges>;
    /// Rows in every table, for summaries and tests; without pauses, which come and go.
    async fn table_counts(&self) -> Result<TableCounts>;
}

/// The dead letter id of a buried event.
#[must_use]
pub fn event_dead_letter_id(key: &EventKey, revision: Revision) -> String {
    format!("{key}@{revision}")
}

/// A command's id: the n-th of this event's revision.
#[must_use]
pub fn command_id(held: &Held, position: usize) -> CommandId {
    CommandId(format!("{}@{}#{position}", held.key, held.revision))
}

/// Id of the command that copies a dead letter to the DLQ; `seen` makes each burial's own.
#[must_use]
pub fn copy_command_id(dead_letter: &str, seen: i32) -> CommandId {
    CommandId(format!("copy:{dead_letter}:{seen}"))
}

/// Id of the command that puts a dead letter's message back on the queue; `seen` makes each replay's own.
#[must_use]
pub fn requeue_command_id(dead_letter: &str, seen: i32) -> CommandId {
    CommandId(format!("requeue:{dead_letter}:{seen}"))
}

/// Lane of the commands that copy this dead letter to the DLQ: its own, so that a flood of burials drains
/// side by side.
#[must_use]
pub fn copy_lane(dead_letter: &str) -> String {
    format!("dlq/{dead_letter}")
}

/// Lane of the commands that put this dead letter's message back on the queue.
#[must_use]
pub fn requeue_lane(dead_letter: &str) -> String {
    format!("requeue/{dead_letter}")
}

/// First ticket ever given.
pub const FIRST_TICKET: Ticket = Ticket(1);

/// Reasons after which an answer that was paid must not be used again by a later revision.
#[must_use]
pub fn spoils_answer(reason: Reason) -> bool {
    matches!(reason, Reason::InvalidOutput | Reason::LlmRefused)
}
