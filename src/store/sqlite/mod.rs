//! The store on SQLite: one file, one writer, a few readers. For one machine.

mod audit;
mod db;
mod dead_letters;
mod history;
mod inbox;
mod journal;
mod lookups;
mod outbox;
mod outbox_end;
mod parked;
mod plan;
mod records;
mod replay;
mod reports;
mod schema;
mod settle;
#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use async_trait::async_trait;

use crate::{
    domain::{
        call::{CallEnd, CallStart, JournalEntry, StepKey},
        command::{CommandEnd, CommandState, TakenCommand},
        dead_letter::{DeadDelivery, DeadLetter, DeadLetterFilter},
        ids::{CommandId, EventKey, TenantId},
        outcome::{Fence, Held, Settled},
        timestamp::Timestamp,
    },
    store::contract::{
        Claim, ClaimRequest, CommandRow, EventHistory, Gauges, Replayed, Resolution, Result, SchemaState,
        Store, TableCounts, UsageFilter, UsageRow, Wake, WakeClaim,
    },
};

/// A store in one SQLite file (WAL, `synchronous=FULL`: what is committed survives a power cut).
#[derive(Debug)]
pub struct SqliteStore {
    db: db::Db,
}

impl SqliteStore {
    /// Opens the file with so many readers, at least one; makes it and its folders where they are missing.
    /// Takes a path, also as `sqlite:PATH` or `sqlite://PATH`. Never migrates by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::contract::StoreError::Unavailable) when the file cannot be
    /// made or opened, `Refused` when it is not a database.
    pub async fn open(path: impl AsRef<Path>, readers: u32) -> Result<Self> {
        let path = path.as_ref();
        let of_url = path.to_str().and_then(|text| text.strip_prefix("sqlite:"));
        let path = of_url.map_or(path, |path| Path::new(path.strip_prefix("//").unwrap_or(path)));
        Ok(Self { db: db::Db::open(path.to_owned(), readers).await? })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<()> {
        self.db.now().await.map(|_| ())
    }

    async fn schema(&self) -> Result<SchemaState> {
        schema::state(&self.db).await
    }

    async fn migrate(&self) -> Result<Vec<String>> {
        schema::migrate(&self.db).await
    }

    async fn maintain(&self) -> Result<()> {
        outbox::lapse(&self.db).await
    }

    async fn close(&self) {
        self.db.close().await;
    }

    async fn claim(&self, requests: &[ClaimRequest], lease: Duration) -> Result<Vec<Claim>> {
        inbox::claim(&self.db, requests, lease).await
    }

    async fn claim_wakes(&self, wakes: &[Wake], lease: Duration, start: bool) -> Result<Vec<WakeClaim>> {
        parked::claim(&self.db, wakes, lease, start).await
    }

    async fn mark_started(&self, held: &[Held], lone: bool) -> Result<Vec<Fence>> {
        inbox::mark_started(&self.db, held, lone).await
    }

    async fn extend(&self, held: &[Held], lease: Duration) -> Result<Vec<Fence>> {
        inbox::extend(&self.db, held, lease).await
    }

    async fn settle(&self, group: &[Settled]) -> Result<Vec<Fence>> {
        settle::settle(&self.db, group).await
    }

    async fn settled_by(&self, held: &Held) -> Result<bool> {
        inbox::settled_by(&self.db, held).await
    }

    async fn now(&self) -> Result<Timestamp> {
        self.db.now().await.map(Timestamp)
    }

    async fn bury(&self, dead: &[DeadDelivery]) -> Result<()> {
        dead_letters::bury(&self.db, dead).await
    }

    async fn seal_known(&self, seal: &str, content_hash: &str) -> Result<bool> {
        inbox::seal_known(&self.db, seal, content_hash).await
    }

    async fn journal_find(&self, step: &StepKey) -> Result<Vec<JournalEntry>> {
        journal::find(&self.db, step).await
    }

    async fn journal_begin(&self, calls: &[CallStart]) -> Result<()> {
        journal::begin(&self.db, calls).await
    }

    async fn journal_finish(&self, ends: &[CallEnd]) -> Result<()> {
        journal::finish(&self.db, ends).await
    }

    async fn journal_reject(&self, step: &StepKey, attempt: i32) -> Result<()> {
        journal::reject(&self.db, step, attempt).await
    }

    async fn outbox_take(&self, limit: i64, lease: Duration) -> Result<Vec<TakenCommand>> {
        outbox::take(&self.db, limit, lease).await
    }

    async fn outbox_settle(&self, ends: &[CommandEnd]) -> Result<()> {
        outbox_end::settle(&self.db, ends).await
    }

    async fn outbox_pause(&self, lane_prefix: &str, until: Timestamp) -> Result<()> {
        outbox::pause(&self.db, lane_prefix, until).await
    }

    async fn outbox_next(&self) -> Result<Option<Duration>> {
        outbox::next(&self.db).await
    }

    async fn outbox_list(&self, state: Option<CommandState>, limit: i64) -> Result<Vec<CommandRow>> {
        reports::outbox(&self.db, state, limit).await
    }

    async fn outbox_resolve(&self, id: &CommandId, resolution: Resolution, actor: &str) -> Result<bool> {
        outbox_end::resolve(&self.db, id, resolution, actor).await
    }

    async fn wakes_due(&self, limit: i64, resend: Duration) -> Result<Vec<Wake>> {
        parked::wakes_due(&self.db, limit, resend).await
    }

    async fn wakes_next(&self) -> Result<Option<Duration>> {
        parked::wakes_next(&self.db).await
    }

    async fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>> {
        dead_letters::list(&self.db, filter).await
    }

    async fn replay(&self, ids: &[String], actor: &str) -> Result<Vec<Replayed>> {
        replay::replay(&self.db, ids, actor).await
    }

    async fn contact_property(
        &self,
        tenant: &TenantId,
        system: &str,
        id: &str,
        name: &str,
    ) -> Result<Option<String>> {
        lookups::contact_property(&self.db, tenant, system, id, name).await
    }

    async fn auto_replies(&self, tenant: &TenantId) -> Result<bool> {
        lookups::auto_replies(&self.db, tenant).await
    }

    async fn set_auto_replies(&self, tenant: &TenantId, on: bool, actor: &str) -> Result<()> {
        lookups::set_auto_replies(&self.db, tenant, on, actor).await
    }

    async fn event_history(&self, key: &EventKey) -> Result<Option<EventHistory>> {
        history::event_history(&self.db, key).await
    }

    async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRow>> {
        reports::usage(&self.db, filter).await
    }

    async fn gauges(&self) -> Result<Gauges> {
        reports::gauges(&self.db).await
    }

    async fn table_counts(&self) -> Result<TableCounts> {
        reports::table_counts(&self.db).await
    }
}
