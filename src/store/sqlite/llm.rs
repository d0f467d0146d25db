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
            LedgerQuery, LlmStore, PricedRow, Result, SimilarItem, SimilarQuery, UsageFilter, UsageRow,
        },
        sqlite::{SqliteStore, budgets, calls, embeddings, journal, ledger, rates},
    },
};

#[async_trait]
impl LlmStore for SqliteStore {
    async fn journal_find(&self, step: &StepKey) -> Result<Vec<JournalEntry>> {
        journal::find(&self.db, step).await
    }

    async fn journal_begin(&self, calls: &[CallStart]) -> Result<Vec<Begun>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        calls::begin(&self.db, calls).await
    }

    async fn journal_finish(&self, ends: &[CallEnd]) -> Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        calls::finish(&self.db, ends).await
    }

    async fn journal_reject(&self, step: &StepKey, attempt: i32) -> Result<()> {
        journal::reject(&self.db, step, attempt).await
    }

    async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>> {
        ledger::usage(&self.db, filter).await
    }

    async fn journal_send(&self, calls: &[CallId]) -> Result<Vec<bool>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        calls::send(&self.db, calls).await
    }

    async fn journal_lapsed(&self, limit: i64) -> Result<Vec<LapsedCall>> {
        calls::lapsed(&self.db, limit).await
    }

    async fn journal_recent(
        &self,
        tenant: &TenantId,
        step: &str,
        input_hash: &str,
        within: Duration,
    ) -> Result<Option<RecentAnswer>> {
        journal::recent(&self.db, tenant, step, input_hash, within).await
    }

    async fn budget_set(&self, budget: &Budget, actor: &str) -> Result<()> {
        budgets::set(&self.db, budget, actor).await
    }

    async fn budget_remove(&self, tenant: &TenantId, period: Period, actor: &str) -> Result<bool> {
        budgets::remove(&self.db, tenant, period, actor).await
    }

    async fn budgets(&self, tenant: Option<&TenantId>) -> Result<Vec<BudgetStatus>> {
        budgets::list(&self.db, tenant).await
    }

    async fn rate_take(&self, asks: &[RateAsk]) -> Result<Vec<RateGrant>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        rates::take(&self.db, asks).await
    }

    async fn similar(&self, query: &SimilarQuery) -> Result<Vec<SimilarItem>> {
        embeddings::similar(&self.db, query).await
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerRow>> {
        ledger::page(&self.db, query).await
    }

    async fn ledger_price(&self, rows: &[PricedRow], actor: &str) -> Result<i64> {
        ledger::price(&self.db, rows, actor).await
    }
}
