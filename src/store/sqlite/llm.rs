//! The part of the contract that is about models.

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
        contract::{
            LedgerQuery, LlmStore, PricedRow, Result, SimilarItem, SimilarQuery, StoreError, UsageFilter,
            UsageRow,
        },
        sqlite::{SqliteStore, journal, reports},
    },
};

#[async_trait]
impl LlmStore for SqliteStore {
    async fn journal_find(&self, step: &StepKey) -> Result<Vec<JournalEntry>> {
        journal::find(&self.db, step).await
    }

    async fn journal_begin(&self, calls: &[CallStart]) -> Result<Vec<Begun>> {
        journal::begin(&self.db, calls).await
    }

    async fn journal_finish(&self, ends: &[CallEnd]) -> Result<()> {
        journal::finish(&self.db, ends).await
    }

    async fn journal_reject(&self, step: &StepKey, attempt: i32) -> Result<()> {
        journal::reject(&self.db, step, attempt).await
    }

    async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>> {
        reports::usage(&self.db, filter).await
    }

    async fn journal_send(&self, _: &[CallId]) -> Result<Vec<bool>> {
        unbuilt()
    }

    async fn journal_lapsed(&self, _: i64) -> Result<Vec<LapsedCall>> {
        unbuilt()
    }

    async fn journal_recent(
        &self,
        _: &TenantId,
        _: &str,
        _: &str,
        _: Duration,
    ) -> Result<Option<RecentAnswer>> {
        unbuilt()
    }

    async fn budget_set(&self, _: &Budget, _: &str) -> Result<()> {
        unbuilt()
    }

    async fn budget_remove(&self, _: &TenantId, _: Period, _: &str) -> Result<bool> {
        unbuilt()
    }

    async fn budgets(&self, _: Option<&TenantId>) -> Result<Vec<BudgetStatus>> {
        unbuilt()
    }

    async fn rate_take(&self, _: &[RateAsk]) -> Result<Vec<RateGrant>> {
        unbuilt()
    }

    async fn similar(&self, _: &SimilarQuery) -> Result<Vec<SimilarItem>> {
        unbuilt()
    }

    async fn ledger(&self, _: &LedgerQuery) -> Result<Vec<LedgerRow>> {
        unbuilt()
    }

    async fn ledger_price(&self, _: &[PricedRow], _: &str) -> Result<i64> {
        unbuilt()
    }
}

fn unbuilt<T>() -> Result<T> {
    Err(StoreError::Refused("not in this build".to_owned()))
}
