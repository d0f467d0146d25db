//! The part of a store's contract that is about models: what was bought, what it may cost, how fast it may be asked.
//! As in [`Store`](crate::store::contract::Store), every verb is one transaction, by the database's own clock.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    domain::{
        budget::{Budget, BudgetStatus, Period},
        call::{Begun, CallEnd, CallId, CallStart, JournalEntry, LapsedCall, RecentAnswer, StepKey},
        ids::TenantId,
        rate::{RateAsk, RateGrant},
        record::LedgerRow,
    },
    store::{
        error::Result,
        report::{LedgerQuery, PricedRow, SimilarItem, SimilarQuery, UsageFilter, UsageRow},
    },
};

/// Journal, budgets, limits, vectors and ledger.
#[async_trait]
pub trait LlmStore: Send + Sync + 'static {
    // -- journal -----------------------------------------------------------------

    /// Every call of a step, over all revisions, oldest first.
    async fn journal_find(&self, step: &StepKey) -> Result<Vec<JournalEntry>>;
    /// Makes calls durable as `sent` or `reserved`, each with its money set aside in every budget of its tenant, in
    /// one transaction; answers in the order asked. A call that does not fit into a strict budget, and one whose
    /// attempt is there already, leaves no trace. Within the batch the earlier call is served first.
    async fn journal_begin(&self, calls: &[CallStart]) -> Result<Vec<Begun>>;
    /// Reserved calls go on the wire now; false for one that is not `reserved` any more, and for one whose time has
    /// passed: somebody else may be about to make it.
    async fn journal_send(&self, calls: &[CallId]) -> Result<Vec<bool>>;
    /// Records how calls ended, with their ledger rows; what was set aside makes room for what is charged, in the
    /// window in which it was set aside. Repeating it changes nothing.
    async fn journal_finish(&self, ends: &[CallEnd]) -> Result<()>;
    /// Marks an answer as unusable, so that a later revision buys a new one.
    async fn journal_reject(&self, step: &StepKey, attempt: i32) -> Result<()>;
    /// Gives up `reserved` calls whose time has passed, with their money given back ([`Store::maintain`] does so, too),
    /// and answers the overdue `sent` ones, oldest first: their owner is gone, and they are to be ended as ambiguous.
    ///
    /// [`Store::maintain`]: crate::store::contract::Store::maintain
    async fn journal_lapsed(&self, limit: i64) -> Result<Vec<LapsedCall>>;
    /// The newest good answer that this tenant bought for the same step and input, whatever the event, not older than
    /// `within`. What was not bought but copied ([`COPIED`](crate::domain::call::COPIED)) does not count: an answer would
    /// live for ever.
    async fn journal_recent(
        &self,
        tenant: &TenantId,
        step: &str,
        input_hash: &str,
        within: Duration,
    ) -> Result<Option<RecentAnswer>>;

    // -- budgets, limits ---------------------------------------------------------

    /// Sets a limit, or changes it; what was spent and set aside in its window stays. Where its window begins elsewhere
    /// from now on (another time zone), what was spent and set aside in the one that it leaves counts in the new one,
    /// too. A limit below what is spent alerts at once. Events of the tenant that are parked for want
    /// of a budget are due now. Audited.
    async fn budget_set(&self, budget: &Budget, actor: &str) -> Result<()>;
    /// Removes a limit; false when there is none. What is parked for want of a budget is due now. Audited.
    async fn budget_remove(&self, tenant: &TenantId, period: Period, actor: &str) -> Result<bool>;
    /// Limits with what is left of them now, by tenant and period.
    async fn budgets(&self, tenant: Option<&TenantId>) -> Result<Vec<BudgetStatus>>;
    /// Takes from common buckets, in one transaction; answers in the order asked. A bucket is filled evenly, at its
    /// limit by the minute and the database's clock, up to a fiftieth of the limit (a whole request, and a tenth of the
    /// limit of tokens, at least), so that no minute, wherever it begins, holds more than the limit and that burst.
    async fn rate_take(&self, asks: &[RateAsk]) -> Result<Vec<RateGrant>>;

    // -- texts by their meaning ----------------------------------------------------

    /// The items nearest to a vector by cosine, nearest first, among the ten thousand newest of the same tenant, kind,
    /// model and dimension.
    async fn similar(&self, query: &SimilarQuery) -> Result<Vec<SimilarItem>>;

    // -- ledger --------------------------------------------------------------------

    /// Ledger sums.
    async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>>;
    /// Ledger rows, oldest first, after this place; a page at a time.
    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerRow>>;
    /// Gives rows without a cost theirs; rows that have one stay as they are. Answers how many changed. Audited.
    async fn ledger_price(&self, rows: &[PricedRow], actor: &str) -> Result<i64>;
}
