//! The store on PostgreSQL 15 or later: any number of workers, no coordinator but the database.
//!
//! Every verb is one transaction at "read committed" in a handful of set-based statements. Locks are taken in
//! key order; serialisation failures, deadlocks and connections that broke before COMMIT are tried again here.

mod audit;
mod budgets;
mod calls;
mod db;
mod dead_letters;
mod embeddings;
mod erase;
mod forget;
mod history;
mod inbox;
mod journal;
mod ledger;
mod llm;
mod lookups;
mod outbox;
mod outbox_end;
mod parked;
mod plan;
mod rates;
mod records;
mod replay;
mod reports;
mod schema;
mod settle;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgPool;

use crate::{
    domain::{
        command::{CommandEnd, CommandState, TakenCommand},
        dead_letter::{DeadDelivery, DeadLetter, DeadLetterFilter},
        ids::{CommandId, EventKey, TenantId},
        outcome::{Fence, Held, Settled},
        timestamp::Timestamp,
    },
    store::{
        budget_rows::count_alerts,
        common_sql::FORGET_AT_ONCE,
        contract::{
            Claim, ClaimRequest, CommandRow, EventHistory, Gauges, Replayed, Resolution, Result, SchemaState,
            Store, TableCounts, Wake, WakeClaim,
        },
        postgres::db::{read, transact},
    },
};

/// A store in one schema of a PostgreSQL database: the first of the connection's `search_path`.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Opens a pool of so many connections, at least one, to a `postgres://` URL. Never migrates by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::contract::StoreError::Unavailable) when the server does not
    /// answer, `Refused` when it refuses or the URL cannot be read; the URL is part of neither text.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        Ok(Self { pool: db::connect(url, connections).await? })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn ping(&self) -> Result<()> {
        self.now().await.map(|_| ())
    }

    async fn schema(&self) -> Result<SchemaState> {
        schema::state(&self.pool).await
    }

    async fn migrate(&self) -> Result<Vec<String>> {
        schema::migrate(&self.pool).await
    }

    async fn maintain(&self) -> Result<()> {
        for table in ["events", "llm_ledger", "audit_log"] {
            transact!(&self.pool, tx => schema::make_partitions(tx, table))?;
        }
        transact!(&self.pool, tx => outbox::end_pauses(tx))?;
        transact!(&self.pool, tx => outbox::lapse(tx))?;
        let alerts = transact!(&self.pool, tx => calls::give_up(tx, FORGET_AT_ONCE))?;
        count_alerts(&alerts);
        transact!(&self.pool, tx => forget::forget_money(tx))?;
        transact!(&self.pool, tx => forget::forget(tx))
    }

    async fn close(&self) {
        self.pool.close().await;
    }

    async fn claim(&self, requests: &[ClaimRequest], lease: Duration) -> Result<Vec<Claim>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => inbox::claim(tx, requests, lease))
    }

    async fn claim_wakes(&self, wakes: &[Wake], lease: Duration, start: bool) -> Result<Vec<WakeClaim>> {
        if wakes.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => inbox::claim_wakes(tx, wakes, lease, start))
    }

    async fn mark_started(&self, held: &[Held], lone: bool) -> Result<Vec<Fence>> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => inbox::mark_started(tx, held, lone))
    }

    async fn extend(&self, held: &[Held], lease: Duration) -> Result<Vec<Fence>> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => inbox::extend(tx, held, lease))
    }

    async fn settle(&self, group: &[Settled]) -> Result<Vec<Fence>> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let (fences, alerts) = transact!(&self.pool, tx => settle::settle(tx, group))?;
        count_alerts(&alerts);
        Ok(fences)
    }

    async fn settled_by(&self, held: &Held) -> Result<bool> {
        read!(lookups::settled_by(&self.pool, held))
    }

    async fn now(&self) -> Result<Timestamp> {
        read!(lookups::now(&self.pool))
    }

    async fn bury(&self, dead: &[DeadDelivery]) -> Result<()> {
        if dead.is_empty() {
            return Ok(());
        }
        transact!(&self.pool, tx => dead_letters::bury(tx, dead))
    }

    async fn seal_known(&self, seal: &str, content_hash: &str) -> Result<bool> {
        read!(lookups::seal_known(&self.pool, seal, content_hash))
    }

    async fn outbox_take(&self, limit: i64, lease: Duration) -> Result<Vec<TakenCommand>> {
        transact!(&self.pool, tx => outbox::take(tx, limit, lease))
    }

    async fn outbox_settle(&self, ends: &[CommandEnd]) -> Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        transact!(&self.pool, tx => outbox_end::settle(tx, ends))
    }

    async fn outbox_pause(&self, lane_prefix: &str, until: Timestamp) -> Result<()> {
        transact!(&self.pool, tx => outbox::pause(tx, lane_prefix, until))
    }

    async fn outbox_next(&self) -> Result<Option<Duration>> {
        read!(outbox::next(&self.pool))
    }

    async fn outbox_list(&self, state: Option<CommandState>, limit: i64) -> Result<Vec<CommandRow>> {
        read!(reports::outbox(&self.pool, state, limit))
    }

    async fn outbox_resolve(&self, id: &CommandId, resolution: Resolution, actor: &str) -> Result<bool> {
        transact!(&self.pool, tx => outbox_end::resolve(tx, id, resolution, actor))
    }

    async fn wakes_due(&self, limit: i64, resend: Duration) -> Result<Vec<Wake>> {
        transact!(&self.pool, tx => parked::wakes_due(tx, limit, resend))
    }

    async fn wakes_next(&self) -> Result<Option<Duration>> {
        read!(parked::wakes_next(&self.pool))
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>> {
        read!(dead_letters::list(&self.pool, filter))
    }

    async fn replay(&self, ids: &[String], actor: &str) -> Result<Vec<Replayed>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        transact!(&self.pool, tx => replay::replay(tx, ids, actor))
    }

    async fn contact_property(
        &self,
        tenant: &TenantId,
        system: &str,
        id: &str,
        name: &str,
    ) -> Result<Option<String>> {
        read!(lookups::contact_property(&self.pool, tenant, system, id, name))
    }

    async fn auto_replies(&self, tenant: &TenantId) -> Result<bool> {
        read!(lookups::auto_replies(&self.pool, tenant))
    }

    async fn set_auto_replies(&self, tenant: &TenantId, on: bool, actor: &str) -> Result<()> {
        transact!(&self.pool, tx => lookups::set_auto_replies(tx, tenant, on, actor))
    }

    async fn event_history(&self, key: &EventKey) -> Result<Option<EventHistory>> {
        read!(history::event_history(&self.pool, key))
    }

    async fn gauges(&self) -> Result<Gauges> {
        read!(reports::gauges(&self.pool))
    }

    async fn table_counts(&self) -> Result<TableCounts> {
        read!(reports::table_counts(&self.pool))
    }
}
