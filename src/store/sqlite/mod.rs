//! The store on SQLite: one file, one writer, a few readers. For one machine.

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

use std::{path::Path, time::Duration};

use async_trait::async_trait;

use crate::{
    domain::{
        command::{CommandEnd, CommandState, TakenCommand},
        dead_letter::{DeadDelivery, DeadLetter, DeadLetterFilter},
        ids::{CommandId, EventKey, TenantId},
        outcome::{Fence, Held, Settled},
        timestamp::Timestamp,
    },
    store::contract::{
        Claim, ClaimRequest, CommandRow, EventHistory, Gauges, Replayed, Resolution, Result, SchemaState,
        Store, TableCounts, Wake, WakeClaim,
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
        outbox::end_pauses(&self.db).await?;
        outbox::lapse(&self.db).await?;
        calls::give_up_lapsed(&self.db).await?;
        forget::forget_money(&self.db).await?;
        forget::forget(&self.db).await
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

    async fn gauges(&self) -> Result<Gauges> {
        reports::gauges(&self.db).await
    }

    async fn table_counts(&self) -> Result<TableCounts> {
        reports::table_counts(&self.db).await
    }
}

/// Smoke tests of what only this wing has; the contract has a suite of its own.
#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path, time::Duration};

    use tempfile::TempDir;

    use super::SqliteStore;
    use crate::{
        domain::{
            event::{Channel, DeliveryState, Drill, Event, Fact},
            ids::{CorrelationId, EventKey, SourceName, TenantId},
            outcome::{Failure, Fence, Held, Outcome, Settled, Verdict},
            reason::Reason,
            record::{ContactWrite, ConversationWrite, MessageWrite, PropertyWrite, StatusWrite, Write},
            timestamp::Timestamp,
        },
        store::contract::{Claim, ClaimRequest, SchemaState, Store as _},
    };

    const LEASE: Duration = Duration::from_secs(60);

    async fn store() -> (SqliteStore, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/store.db");
        let store = SqliteStore::open(format!("sqlite:{}", file.display()), 2).await.unwrap();
        store.migrate().await.unwrap();
        (store, folder)
    }

    fn request(id: &str) -> ClaimRequest {
        let source = SourceName::from("test");
        let event = Event {
            vendor_type: String::new(),
            key: EventKey::new(&source, "account", id),
            source,
            account: "account".to_owned(),
            tenant: TenantId::from("tenant"),
            occurred_at: None,
            received_at: Timestamp::from_seconds(1_790_000_000),
            due_at: None,
            expires_at: None,
            order_key: None,
            correlation_id: CorrelationId::from("c"),
            fact: Fact::Drill(Drill::Work { millis: 0 }),
        };
        ClaimRequest { event, seal: None, start: true }
    }

    async fn held(store: &SqliteStore, id: &str) -> Held {
        match store.claim(&[request(id)], LEASE).await.unwrap().remove(0) {
            Claim::Mine(work) => work.held,
            other => panic!("{other:?}"),
        }
    }

    fn every_write() -> Vec<Write> {
        let tenant = TenantId::from("tenant");
        let at = Timestamp::from_seconds(1_790_000_000);
        vec![
            Write::Contact(ContactWrite {
                tenant: tenant.clone(),
                system: "whatsapp".to_owned(),
                external_id: "491".to_owned(),
                properties: vec![PropertyWrite {
                    name: "name".to_owned(),
                    value: Some("Ana \"\0\" 😀".to_owned()),
                    at,
                    tie: "1".to_owned(),
                }],
            }),
            Write::Conversation(ConversationWrite {
                id: "c".to_owned(),
                tenant: tenant.clone(),
                channel: Channel::Whatsapp,
                business_id: "b".to_owned(),
                contact: "491".to_owned(),
                last_inbound_at: at,
                reading: None,
            }),
            Write::Message(MessageWrite {
                tenant,
                channel: Channel::Whatsapp,
                vendor_id: "wamid.1".to_owned(),
                conversation: "c".to_owned(),
                message_type: "text".to_owned(),
                text: None,
                raw: serde_json::json!({ "text": "a\0b" }),
                sent_at: at,
            }),
            Write::DeliveryStatus(StatusWrite {
                channel: Channel::Whatsapp,
                vendor_id: "wamid.2".to_owned(),
                state: DeliveryState::Read,
                at,
                error_code: None,
                command_id: None,
            }),
        ]
    }

    #[tokio::test]
    async fn migrates_once_and_keeps_what_was_committed() {
        let (store, folder) = store().await;
        assert_eq!(store.schema().await.unwrap(), SchemaState::Current);
        assert!(store.migrate().await.unwrap().is_empty());
        let held = held(&store, "1").await;
        let verdict = Verdict::Done(Outcome { writes: every_write(), commands: Vec::new() });
        let group = [Settled { held: held.clone(), verdict }];
        assert_eq!(store.settle(&group).await.unwrap(), [Fence::Committed]);
        assert_eq!(store.settle(&group).await.unwrap(), [Fence::Lost]);
        store.close().await;

        let again = SqliteStore::open(folder.path().join("deep/er/store.db"), 1).await.unwrap();
        assert!(again.settled_by(&held).await.unwrap());
        let counts = again.table_counts().await.unwrap();
        let ones: BTreeMap<_, _> =
            counts.iter().filter(|(_, rows)| **rows > 0).map(|(t, n)| (&**t, *n)).collect();
        let expected = ["audit_log", "contact_properties", "contacts", "conversations"]
            .into_iter()
            .chain(["deliveries", "events", "inbox", "messages"])
            .map(|table| (table, 1))
            .collect();
        assert_eq!(ones, expected);
        let name =
            again.contact_property(&TenantId::from("tenant"), "whatsapp", "491", "name").await.unwrap();
        assert_eq!(name.as_deref(), Some("Ana \"\u{FFFD}\" 😀"));
    }

    #[tokio::test]
    async fn two_processes_migrate_a_new_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db").display().to_string();
        let (one, two) =
            (SqliteStore::open(&file, 1).await.unwrap(), SqliteStore::open(&file, 1).await.unwrap());
        assert!(matches!(one.schema().await.unwrap(), SchemaState::Behind(_)));
        let (first, second) = tokio::join!(one.migrate(), two.migrate());
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(first.is_empty() != second.is_empty(), "{first:?} {second:?}");
        assert!(Path::new(&file).exists());
    }

    #[tokio::test]
    async fn buries_with_the_stored_event_and_the_raw_answer() {
        let (store, _folder) = store().await;
        let held = held(&store, "1").await;
        let failure = Failure { raw: Some("{".to_owned()), ..Failure::new(Reason::InvalidOutput, "broken") };
        store.settle(&[Settled { held, verdict: Verdict::Bury(failure) }]).await.unwrap();
        let found = store
            .dead_letters(&crate::domain::dead_letter::DeadLetterFilter { limit: 10, ..Default::default() })
            .await
            .unwrap();
        assert_eq!(serde_json::from_str::<Event>(&found[0].body).unwrap(), request("1").event);
        assert_eq!(found[0].extra, Some("{".into()));
        assert_eq!(store.gauges().await.unwrap().planned, 1);
        assert!(matches!(store.claim(&[request("1")], LEASE).await.unwrap()[0], Claim::Buried));
    }
}
