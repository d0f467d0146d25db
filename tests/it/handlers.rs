//! What is done about events: handlers on a real store, with the provider that needs no model.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use longshore::{
    clock::SystemClock,
    config::from_toml,
    domain::{
        command::{Action, Command},
        event::{Channel, CrmChange, CrmChangeKind, Erase, Event, Fact, InboundMessage, Notice},
        ids::TenantId,
        outcome::{Failure, Fence, Outcome, Settled, Verdict},
        reason::Reason,
        record::{DELETED, LedgerStatus, STALE, Write},
    },
    handlers::{handle, tools::Tools},
    http::Http,
    llm::{gateway::Gateway, money::pricing::PriceTable, prompts::catalogue::Catalogue},
    messaging::callback::Callbacks,
    store::{
        contract::{Claim, ClaimRequest, Store, UsageFilter, Work},
        group::GroupCommit,
        sqlite::SqliteStore,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::senders::{NOW, World, at, fixture};

const LEASE: Duration = Duration::from_secs(60);

pub(crate) struct Workshop {
    pub(crate) tools: Tools,
    pub(crate) store: Arc<dyn Store>,
    world: World,
    _folder: TempDir,
}

impl Workshop {
    pub(crate) async fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(folder.path().join("store.db"), 2).await.unwrap());
        store.migrate().await.unwrap();
        let settings = from_toml("", &[]).unwrap().settings;
        let writer = Arc::new(GroupCommit::start(&store, LEASE));
        let clock = Arc::new(SystemClock);
        let prices = Arc::new(PriceTable::load(None).unwrap());
        let http = Http::new().unwrap();
        let gateway =
            Gateway::new(&settings, Arc::clone(&prices), Arc::clone(&store), writer, &http, clock.clone())
                .unwrap();
        let tools = Tools {
            store: Arc::clone(&store),
            gateway: Arc::new(gateway),
            clock,
            prices,
            channels: [Channel::Whatsapp].into(),
            prompts: Arc::new(Catalogue::load(None).unwrap()),
            callbacks: Callbacks::default(),
            pieces: None,
        };
        let mut world = World::new();
        world.drills = true;
        Self { tools, store, world, _folder: folder }
    }

    /// Events of one WhatsApp body with a single message.
    fn message(&self, id: &str, seconds: i64, message: &Value) -> Event {
        let mut item = message.clone();
        item["id"] = json!(id);
        item["from"] = json!("34611222333");
        item["timestamp"] = json!(at(seconds).seconds().to_string());
        let value = json!({ "metadata": { "phone_number_id": "710001" }, "messages": [item] });
        let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "420001",
            "changes": [{ "field": "messages", "value": value }] }] });
        self.world.read("whatsapp", body.to_string().into_bytes(), NOW).remove(0).unwrap()
    }

    fn text(&self, id: &str, seconds: i64, text: &str) -> Event {
        self.message(id, seconds, &json!({ "type": "text", "text": { "body": text } }))
    }

    async fn claim(&self, event: &Event) -> Work {
        let request = ClaimRequest { event: event.clone(), seal: None, start: true };
        match self.store.claim(&[request], LEASE).await.unwrap().remove(0) {
            Claim::Mine(work) => work,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn handle(&self, event: &Event) -> (Work, Result<Outcome, Failure>) {
        let work = self.claim(event).await;
        let outcome = handle(&self.tools, &work, event).await;
        (work, outcome)
    }

    /// Handles and commits.
    pub(crate) async fn done(&self, event: &Event) -> Outcome {
        let (work, outcome) = self.handle(event).await;
        let outcome = outcome.unwrap();
        let settled = Settled { held: work.held, verdict: Verdict::Done(outcome.clone()) };
        assert_eq!(self.store.settle(&[settled]).await.unwrap(), [Fence::Committed]);
        outcome
    }

    async fn property(&self, system: &str, id: &str, name: &str) -> Option<String> {
        self.store.contact_property(&TenantId::from("acme"), system, id, name).await.unwrap()
    }

    async fn opted_out(&self) -> bool {
        self.store.opted_out(&TenantId::from("acme"), "whatsapp", "34611222333").await.unwrap()
    }
}

fn kinds(outcome: &Outcome) -> Vec<&'static str> {
    let kind = |write: &Write| match write {
        Write::Contact(_) => "contact",
        Write::Conversation(_) => "conversation",
        Write::Message(_) => "message",
        Write::Result(_) => "result",
        Write::DeliveryStatus(_) => "delivery_status",
        Write::Ledger(_) => "ledger",
        Write::Embedding(_) => "embedding",
        Write::Erase(_) => "erase",
    };
    outcome.writes.iter().map(kind).collect()
}

#[tokio::test]
async fn wa_26_a_message_is_read_once_stored_and_answered() {
    let shop = Workshop::open().await;
    let event = shop.text("wamid.A", -5, "How much does the pro plan cost?");
    let outcome = shop.done(&event).await;
    assert_eq!(kinds(&outcome), ["contact", "conversation", "message", "result"]);
    let Write::Conversation(conversation) = &outcome.writes[1] else { panic!() };
    assert_eq!(conversation.id, "acme/whatsapp/710001/34611222333");
    let reading = conversation.reading.clone().unwrap();
    assert_eq!((reading.intent.as_str(), reading.language.as_str()), ("pricing", "en"));

    let [Command { lane, expires_at, action, .. }] = outcome.commands.as_slice() else { panic!() };
    assert_eq!((lane.as_str(), *expires_at), ("whatsapp:710001:34611222333", Some(at(86_400 - 5))));
    let Action::Message { to, text, reply_to, automatic, .. } = action else { panic!() };
    assert_eq!((to.as_str(), reply_to.as_deref(), *automatic), ("34611222333", Some("wamid.A"), true));
    assert_eq!(*text, reading.reply);

    // WA-4: one call, one row, named by the result.
    let history = shop.store.event_history(&event.key).await.unwrap().unwrap();
    assert_eq!((history.calls.len(), history.commands.len(), history.results.len()), (1, 1, 1));
    let Write::Result(result) = &outcome.writes[3] else { panic!() };
    assert_eq!((result.calls.len(), result.prompt.as_str()), (1, "message_reading@2"));
    assert_eq!(shop.property("whatsapp", "34611222333", "lead_stage").await, Some(reading.lead_stage));
}

#[tokio::test]
async fn wa_26_buttons_and_choices_are_read_too_and_other_types_only_stored() {
    let shop = Workshop::open().await;
    let button = json!({ "type": "interactive", "interactive": { "type": "button_reply",
        "button_reply": { "id": "buy", "title": "I want to buy" } } });
    let outcome = shop.done(&shop.message("wamid.B", -4, &button)).await;
    assert_eq!((kinds(&outcome).len(), outcome.commands.len()), (4, 1));

    for (id, other) in [
        ("wamid.C", json!({ "type": "image", "image": { "id": "1", "caption": "the price?" } })),
        ("wamid.D", json!({ "type": "hologram", "hologram": {} })),
        ("wamid.E", json!({ "type": "text", "text": { "body": "  " } })),
    ] {
        let event = shop.message(id, -3, &other);
        let outcome = shop.done(&event).await;
        assert_eq!(
            (kinds(&outcome), outcome.commands.len()),
            (vec!["contact", "conversation", "message"], 0),
            "{id}"
        );
        assert!(shop.store.event_history(&event.key).await.unwrap().unwrap().calls.is_empty(), "{id}");
    }
}

#[tokio::test]
async fn stop_is_honoured_without_a_call_and_without_an_answer() {
    let shop = Workshop::open().await;
    for (id, seconds, message) in [
        ("wamid.S1", -60, json!({ "type": "text", "text": { "body": " Stop! " } })),
        (
            "wamid.S2",
            -40,
            json!({ "type": "button", "button": { "payload": "STOP", "text": "No more offers" } }),
        ),
    ] {
        let event = shop.message(id, seconds, &message);
        let outcome = shop.done(&event).await;
        assert!(outcome.commands.is_empty(), "{id}");
        assert!(shop.opted_out().await, "{id}");
        assert!(shop.store.event_history(&event.key).await.unwrap().unwrap().calls.is_empty(), "{id}");
        let asks = shop.done(&shop.text(&format!("{id}.ask"), seconds + 1, "What is the price?")).await;
        assert_eq!((kinds(&asks).len(), asks.commands.len()), (4, 0), "read, but not answered");
        shop.done(&shop.text(&format!("{id}.start"), seconds + 2, "START")).await;
        assert!(!shop.opted_out().await, "{id}");
    }
    // A stop that arrives late does not undo the start that came after it.
    shop.done(&shop.text("wamid.S3", -50, "unsubscribe")).await;
    assert!(!shop.opted_out().await);
    // The word within a sentence is for the model, which reads the wish.
    let outcome = shop.done(&shop.text("wamid.S4", -2, "Please stop")).await;
    assert!(outcome.commands.is_empty() && shop.opted_out().await);
}

#[tokio::test]
async fn automatic_replies_can_be_switched_off() {
    let shop = Workshop::open().await;
    shop.store.set_auto_replies(&TenantId::from("acme"), false, "test").await.unwrap();
    let outcome = shop.done(&shop.text("wamid.F", -5, "What is the price?")).await;
    assert_eq!((kinds(&outcome).len(), outcome.commands.len()), (4, 0));
}

#[tokio::test]
async fn nx_5_contacts_are_kept_by_property_and_older_never_overwrites_newer() {
    let shop = Workshop::open().await;
    let mut events: Vec<Event> =
        shop.world.read("hubspot", fixture("hubspot_batch.json"), NOW).into_iter().flatten().collect();
    // In the worst order: the newest first.
    events.reverse();
    for event in &events {
        shop.done(event).await;
    }
    let id = "8800/18446744073709551615";
    assert_eq!(shop.property("hubspot", id, "lifecyclestage").await.as_deref(), Some("customer"));
    assert_eq!(shop.property("hubspot", id, "phone").await, None, "cleared");
    assert_eq!(shop.property("hubspot", id, "amount").await, None, "a deal is no contact");
    assert_eq!(
        shop.property("hubspot", id, DELETED).await.as_deref(),
        Some("false"),
        "restored after its deletion"
    );
}

#[tokio::test]
async fn a_status_moves_the_delivery_row() {
    let shop = Workshop::open().await;
    let items = shop.world.read("whatsapp", fixture("whatsapp_batch.json"), NOW);
    let failed = items.into_iter().flatten().last().unwrap();
    let outcome = shop.done(&failed).await;
    let [Write::DeliveryStatus(status)] = outcome.writes.as_slice() else { panic!() };
    assert_eq!((status.vendor_id.as_str(), status.error_code.as_deref()), ("wamid.LSOUT002", Some("131047")));
}

/// An event made from another by its fact.
fn with_fact(event: &Event, id: &str, fact: Fact) -> Event {
    let key = longshore::domain::ids::EventKey::new(&event.source, &event.account, id);
    Event { key, fact, ..event.clone() }
}

#[tokio::test]
async fn on_channels_without_a_sender_people_are_heard_and_not_answered() {
    let shop = Workshop::open().await;
    let event = shop.text("wamid.A", -5, "How much does the pro plan cost?");
    let Fact::InboundMessage(message) = &event.fact else { panic!() };
    for channel in Channel::ALL {
        let message = InboundMessage { channel, vendor_id: channel.name().to_owned(), ..message.clone() };
        let asks = with_fact(&event, channel.name(), Fact::InboundMessage(message.clone()));
        let outcome = shop.done(&asks).await;
        assert_eq!(kinds(&outcome), ["contact", "conversation", "message", "result"], "{channel:?}");
        assert_eq!(outcome.commands.len(), usize::from(channel == Channel::Whatsapp), "{channel:?}");
    }
    // What Twilio calls the wish comes as the choice, whatever words the person used.
    for (id, choice, out) in [("1", "STOP", true), ("2", "HELP", true), ("3", "START", false)] {
        let message = InboundMessage {
            channel: Channel::Sms,
            vendor_id: id.to_owned(),
            choice: Some(choice.to_owned()),
            text: Some("as agreed".to_owned()),
            sent_at: at(id.parse().unwrap()),
            ..message.clone()
        };
        let outcome = shop.done(&with_fact(&event, id, Fact::InboundMessage(message))).await;
        assert!(outcome.commands.is_empty(), "{choice}");
        let opted_out = shop.store.opted_out(&event.tenant, "sms", "34611222333").await.unwrap();
        assert_eq!(opted_out, out, "{choice}");
    }
}

#[tokio::test]
async fn nx_59_a_person_is_erased_a_stale_contact_is_marked_and_a_notice_leaves_nothing() {
    let shop = Workshop::open().await;
    let event = shop.text("wamid.A", -5, "hello");
    let change = |id: &str, seconds, change| {
        let (system, object, object_id) = ("hubspot".to_owned(), "contact".to_owned(), "5".to_owned());
        let fact = CrmChange { system, object, object_id, change, at: at(seconds), tie: id.to_owned() };
        Event { occurred_at: Some(at(seconds)), ..with_fact(&event, id, Fact::CrmChange(fact)) }
    };
    let contact = format!("{}/5", event.account);
    let named = BTreeMap::from([("name".to_owned(), Some("Ines".to_owned()))]);
    shop.done(&change("1", 1, CrmChangeKind::Changed(named))).await;
    shop.done(&change("2", 2, CrmChangeKind::Stale)).await;
    assert_eq!(shop.property("hubspot", &contact, "name").await.as_deref(), Some("Ines"));
    assert_eq!(shop.property("hubspot", &contact, STALE).await.as_deref(), Some("true"));

    let order =
        Erase { system: "hubspot".to_owned(), object: "contact".to_owned(), object_id: "5".to_owned() };
    let order = Event { occurred_at: Some(at(3)), ..with_fact(&event, "3", Fact::Erase(order)) };
    assert_eq!(kinds(&shop.done(&order).await), ["contact", "erase"]);
    for (name, value) in [("name", None), (STALE, None), (DELETED, Some("true"))] {
        assert_eq!(shop.property("hubspot", &contact, name).await.as_deref(), value, "{name}");
    }
    assert_eq!(shop.store.table_counts().await.unwrap()["events"], 1, "the order itself");

    let notice =
        Notice { system: "clerk".to_owned(), subject: Some("u1".to_owned()), data: json!({ "a": 1 }) };
    assert!(shop.done(&with_fact(&event, "4", Fact::Notice(notice))).await.writes.is_empty());
}

fn chat(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut job: Value = serde_json::from_slice(&fixture("chat_usage_job.json")).unwrap();
    job["id"] = json!(id);
    change(&mut job["data"]);
    job
}

#[tokio::test]
async fn bv_2_one_ledger_row_for_each_chat_priced_by_model_and_day() {
    let shop = Workshop::open().await;
    let event = shop.world.read_job(&chat("c_1", |_| {})).remove(0).unwrap();
    let outcome = shop.done(&event).await;
    let [Write::Ledger(row)] = outcome.writes.as_slice() else { panic!() };
    // 1200 x 0.15 + 300 x 0.075 + 250 x 0.60 dollars a million
    assert_eq!(row.cost.unwrap().to_string(), "0.0003525");
    assert_eq!((row.status, row.user.as_deref()), (LedgerStatus::Reported, Some("u_9f2c")));

    let aborted = chat("c_2", |data| data["aborted"] = json!(true));
    let outcome = shop.done(&shop.world.read_job(&aborted).remove(0).unwrap()).await;
    let [Write::Ledger(row)] = outcome.writes.as_slice() else { panic!() };
    assert_eq!(row.status, LedgerStatus::Partial);

    let unpriced = chat("c_3", |data| data["model"] = json!("our-own-model"));
    let outcome = shop.done(&shop.world.read_job(&unpriced).remove(0).unwrap()).await;
    let [Write::Ledger(row)] = outcome.writes.as_slice() else { panic!() };
    assert_eq!(row.cost, None, "not known is not free");

    let rows = shop.store.usage(&UsageFilter::default()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.calls).sum::<i64>(), 3);
    let again = ClaimRequest { event, seal: None, start: true };
    assert_eq!(shop.store.claim(&[again], LEASE).await.unwrap(), [Claim::Done], "the same record twice");
}

#[tokio::test]
async fn drills_fail_defer_and_panic_on_purpose() {
    let shop = Workshop::open().await;
    let drill = |id: &str, data: Value| {
        let mut job = chat(id, |_| {});
        job["type"] = json!("longshore.drill.v1");
        job["data"] = data;
        shop.world.read_job(&job).remove(0).unwrap()
    };
    assert!(shop.done(&drill("d_1", json!({ "do": "work" }))).await.writes.is_empty());

    let event = drill("d_2", json!({ "do": "fail_times", "times": 2 }));
    let work = shop.claim(&event).await;
    for (failures, reason) in [(0, Some(Reason::HandlerFailed)), (1, Some(Reason::HandlerFailed)), (2, None)]
    {
        let work = Work { failures, ..work.clone() };
        assert_eq!(handle(&shop.tools, &work, &event).await.err().map(|failure| failure.reason), reason);
    }
    let event = drill("d_3", json!({ "do": "defer_times", "times": 1, "millis": 250 }));
    let failure = shop.handle(&event).await.1.unwrap_err();
    assert_eq!((failure.reason, failure.wait), (Reason::NotDue, Some(Duration::from_millis(250))));

    let event = drill("d_4", json!({ "do": "panic" }));
    assert!(matches!(event.fact, Fact::Drill(_)));
    let work = shop.claim(&event).await;
    let tools = shop.tools.clone();
    let panicked = tokio::spawn(async move { handle(&tools, &work, &event).await }).await;
    assert!(panicked.unwrap_err().is_panic());
}
