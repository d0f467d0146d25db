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
        budget_rows::count_alerts,
        contract::{
            LedgerQuery, LlmStore, PricedRow, Result, SimilarItem, SimilarQuery, UsageFilter, UsageRow,
        },
        postgres::{
            PostgresStore, budgets, calls,
            db::{read, transact},
            embeddings, journal, ledger, rates,
        },
    },
};

#[async_trait]
impl LlmStore for PostgresStore {
    async fn journal_find(&self, step: &StepKey) -> Result<Vec<JournalEntry>> {
        read!(journal::find(&self.pool, step))
    }

    async fn journal_begin(&self, calls: &[CallStart]) -> Result<Vec<Begun>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => calls::begin(tx, calls))
    }

    async fn journal_finish(&self, ends: &[CallEnd]) -> Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        let alerts = transact!(&self.pool, tx => calls::finish(tx, ends))?;
        count_alerts(&alerts);
        Ok(())
    }

    async fn journal_reject(&self, step: &StepKey, attempt: i32) -> Result<()> {
        transact!(&self.pool, tx => journal::reject(tx, step, attempt))
    }

    async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>> {
        read!(ledger::usage(&self.pool, filter))
    }

    async fn journal_send(&self, calls: &[CallId]) -> Result<Vec<bool>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => calls::send(tx, calls))
    }

    async fn journal_lapsed(&self, limit: i64) -> Result<Vec<LapsedCall>> {
        let (lapsed, alerts) = transact!(&self.pool, tx => calls::lapsed(tx, limit))?;
        count_alerts(&alerts);
        Ok(lapsed)
    }

    async fn journal_recent(
        &self,
        tenant: &TenantId,
        step: &str,
        input_hash: &str,
        within: Duration,
    ) -> Result<Option<RecentAnswer>> {
        read!(journal::recent(&self.pool, tenant, step, input_hash, within))
    }

    async fn budget_set(&self, budget: &Budget, actor: &str) -> Result<()> {
        let alerts = transact!(&self.pool, tx => budgets::set(tx, budget, actor))?;
        count_alerts(&alerts);
        Ok(())
    }

    async fn budget_remove(&self, tenant: &TenantId, period: Period, actor: &str) -> Result<bool> {
        transact!(&self.pool, tx => budgets::remove(tx, tenant, period, actor))
    }

    async fn budgets(&self, tenant: Option<&TenantId>) -> Result<Vec<BudgetStatus>> {
        read!(budgets::list(&self.pool, tenant))
    }

    async fn rate_take(&self, asks: &[RateAsk]) -> Result<Vec<RateGrant>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => rates::take(tx, asks))
    }

    async fn similar(&self, query: &SimilarQuery) -> Result<Vec<SimilarItem>> {
        read!(embeddings::similar(&self.pool, query))
    }

    async fn ledger(&self, query: &LedgerQuery) -> Result<Vec<LedgerRow>> {
        read!(ledger::page(&self.pool, query))
    }

    async fn ledger_price(&self, rows: &[PricedRow], actor: &str) -> Result<i64> {
        transact!(&self.pool, tx => ledger::price(tx, rows, actor))
    }
}
