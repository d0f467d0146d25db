//! The LLM journal's words: one paid call, from before it is sent until it is accounted for.

use std::time::Duration;

use crate::domain::{
    budget::BudgetStatus,
    ids::{EventKey, Revision, TenantId},
    money::Money,
    record::LedgerRow,
    timestamp::Timestamp,
};

/// One step of one event: what must not be bought twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepKey {
    /// The event.
    pub event: EventKey,
    /// `reply` ...
    pub step: String,
    /// SHA-256 of everything that shapes the answer: model, prompt version, input, schema.
    pub input_hash: String,
}

/// The journal's word for the provider of an answer that was not bought, but copied from one to an equal question.
pub const COPIED: &str = "cache";

/// A call about to be made: durable, with its money set aside, before the socket is written.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// For which step.
    pub step: StepKey,
    /// In which fresh start of the event.
    pub revision: Revision,
    /// 1, 2, 3 ... within step and input, over all revisions.
    pub attempt: i32,
    /// Who pays.
    pub tenant: TenantId,
    /// `openai` ...
    pub provider: String,
    /// The model asked.
    pub model: String,
    /// Worst case, in the ledger when its fate stays unknown. `None`: the price is not known.
    pub worst_cost: Option<Money>,
    /// What budgets set aside for it: the worst case, or what stands in for a price that is not known. `None`: strict
    /// budgets refuse it.
    pub hold: Option<Money>,
    /// Sent at once, or only reserved, because something has to be waited for first.
    pub opens: Opens,
    /// After this long without an answer its fate is unknown.
    pub timeout: Duration,
}

/// As what a call enters the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// It may be on the wire from now on.
    Sent,
    /// Not before [`CallState::Sent`] is recorded; unless that happens within this time it is given up.
    Reserved(Duration),
}

/// What the journal says to a call that wants to begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// Durable, its money set aside.
    Written,
    /// This attempt is there already: nothing was written.
    Taken,
    /// A strict budget does not allow it: nothing was written.
    OverBudget(BudgetStatus),
}

/// One attempt of a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// Of which step.
    pub step: StepKey,
    /// 1, 2, 3 ...
    pub attempt: i32,
}

/// A call that nobody ended in time: sent, and never heard of again.
#[derive(Clone, Debug)]
pub struct LapsedCall {
    /// Of which step.
    pub step: StepKey,
    /// Who pays.
    pub tenant: TenantId,
    /// What the journal knows.
    pub entry: JournalEntry,
}

/// An answer of a short while ago to an equal question of the same tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentAnswer {
    /// The model's text.
    pub text: String,
    /// Its ledger row.
    pub ledger_id: String,
}

/// How a call ended. Never fenced: what was paid is recorded whoever owns the event now.
#[derive(Clone, Debug)]
pub struct CallEnd {
    /// For which step.
    pub step: StepKey,
    /// In which fresh start.
    pub revision: Revision,
    /// Which attempt.
    pub attempt: i32,
    /// What budgets are charged instead of what was set aside: the cost, what stands in for one that is not known,
    /// the worst case where the fate is unknown, nothing where nothing was billed.
    pub charge: Money,
    /// What came of it.
    pub end: CallResult,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// A complete answer: kept, never bought again.
    Answered {
        /// The model's text.
        text: String,
        /// Its ledger row.
        ledger: LedgerRow,
    },
    /// No usable answer.
    Failed {
        /// For operators.
        detail: String,
        /// The ledger row, where the call was billed all the same.
        ledger: Option<LedgerRow>,
    },
    /// Written, fate unknown: its ledger row is charged at the worst case.
    Ambiguous {
        /// For operators.
        detail: String,
        /// The ledger row.
        ledger: LedgerRow,
    },
}

/// A call as the journal remembers it.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// Which attempt.
    pub attempt: i32,
    /// In which fresh start.
    pub revision: Revision,
    /// Where it stands.
    pub state: CallState,
    /// Who was asked.
    pub provider: String,
    /// The model asked.
    pub model: String,
    /// When it was sent, or reserved, by the store's clock.
    pub sent_at: Timestamp,
    /// Its time to be answered, or to be sent, has passed by the store's clock.
    pub overdue: bool,
    /// How long until it is overdue, by the store's clock.
    pub overdue_in: Duration,
    /// Its worst case.
    pub worst_cost: Option<Money>,
    /// What budgets have set aside for it.
    pub hold: Option<Money>,
    /// The answer's text.
    pub text: Option<String>,
    /// The answer was judged unusable: not to be used again by a later revision.
    pub rejected: bool,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Money is set aside; certainly not on the wire.
    Reserved,
    /// Durable, maybe on the wire.
    Sent,
    /// Answered.
    Answered,
    /// Failed, certainly over.
    Failed,
    /// Fate unknown.
    Ambiguous,
}

impl CallState {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Sent => "sent",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Reserved, Self::Sent, Self::Answered, Self::Failed, Self::Ambiguous]
            .into_iter()
            .find(|state| state.name() == name)
    }
}
