//! The prompts against a real, if tiny, model: through gateway and store, with the model's own counts. Run by
//! `make test-live-model`, which starts the model beside it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what a real model says is to be looked at")]

use std::{sync::Arc, time::Duration};

use longshore::{
    clock::{Clock as _, SystemClock},
    config::{environment_variable, from_toml},
    domain::{
        event::{Channel, Event, Fact, InboundMessage},
        ids::{CorrelationId, EventKey, TenantId},
        outcome::{Fence, Settled, Verdict},
        record::{ResultWrite, Write},
    },
    handlers::{handle, tools::Tools},
    http::Http,
    llm::{gateway::Gateway, money::pricing::PriceTable, prompts::catalogue::Catalogue},
    messaging::callback::Callbacks,
    store::{
        contract::{Claim, ClaimRequest, Store, UsageFilter},
        group::GroupCommit,
        sqlite::SqliteStore,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(600);

struct World {
    tools: Tools,
    store: Arc<dyn Store>,
    _folder: TempDir,
}

impl World {
    async fn open() -> Self {
        let url = environment_variable("LONGSHORE_TINY_MODEL").expect("run it by `make test-live-model`");
        let folder = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(folder.path().join("store.db"), 2).await.unwrap());
        store.migrate().await.unwrap();
        let text = format!(
            "[llm]\ndefault = \"tiny\"\n[llm.providers.tiny]\nkind = \"openai\"\nbase_url = \"{url}\"\n\
             model = \"gemma-3-270m\"\ntimeout = \"280s\"\nattempts = 2\ntemperature = 0.0\n"
        );
        let settings = from_toml(&text, &[]).unwrap().settings;
        let writer = Arc::new(GroupCommit::start(&store, LEASE));
        let clock = Arc::new(SystemClock);
        let prices = Arc::new(PriceTable::load(None).unwrap());
        let http = Http::new().unwrap();
        let gateway =
            Gateway::new(&settings, Arc::clone(&prices), Arc::clone(&store), writer, &http, clock.clone());
        let tools = Tools {
            store: Arc::clone(&store),
            gateway: Arc::new(gateway.unwrap()),
            clock,
            prices,
            channels: [Channel::Whatsapp].into(),
            prompts: Arc::new(Catalogue::load(None).unwrap()),
            callbacks: Callbacks::default(),
            pieces: None,
        };
        Self { tools, store, _folder: folder }
    }

    /// Works one event to its end; answers the model's result.
    async fn done(&self, id: &str, fact: Fact) -> ResultWrite {
        let event = Event {
            key: EventKey::new(&"live".into(), "", id),
            source: "live".into(),
            vendor_type: String::new(),
            account: String::new(),
            tenant: TenantId::from("acme"),
            occurred_at: None,
            received_at: SystemClock.now(),
            due_at: None,
            expires_at: None,
            order_key: None,
            correlation_id: CorrelationId::from(id),
            fact,
        };
        let request = ClaimRequest { event: event.clone(), seal: None, start: true };
        let Claim::Mine(work) = self.store.claim(&[request], LEASE).await.unwrap().remove(0) else {
            panic!()
        };
        let outcome = handle(&self.tools, &work, &event).await;
        let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}: {:?}", failure.raw));
        let settled = Settled { held: work.held, verdict: Verdict::Done(outcome.clone()) };
        assert_eq!(self.store.settle(&[settled]).await.unwrap(), [Fence::Committed]);
        let calls = self.store.event_history(&event.key).await.unwrap().unwrap().calls;
        for call in &calls {
            println!(
                "{id}: {} of {}: {} tokens in, {} out, {} ms",
                call.state, call.model, call.input, call.output, call.latency_ms
            );
            assert!(call.input > 100 && call.output > 5, "the model's own counts are in the ledger");
        }
        let found = outcome.writes.into_iter().find_map(|write| match write {
            Write::Result(result) => Some(result),
            _ => None,
        });
        let result = found.expect("a result");
        println!("{id}: {}", serde_json::to_string_pretty(&result.body).unwrap());
        assert!(!result.calls.is_empty() && result.calls.len() <= calls.len());
        result
    }
}

fn message(text: &str) -> Fact {
    Fact::InboundMessage(InboundMessage {
        channel: Channel::Whatsapp,
        business_id: "710001".into(),
        from: "15555550100".into(),
        profile_name: None,
        vendor_id: "wamid.live".into(),
        message_type: "text".into(),
        text: Some(text.into()),
        choice: None,
        sent_at: SystemClock.now(),
        raw: Value::Null,
    })
}

#[tokio::test]
async fn a_real_model_keeps_the_schemas_and_its_tokens_are_counted() {
    let world = World::open().await;
    let reading = world.done("message", message("Hello, how much is a berth for a boat of 11 metres?")).await;
    assert_eq!((reading.kind.as_str(), reading.prompt.as_str()), ("message_reading", "message_reading@2"));

    let order = json!({
        "purpose": "Tell Dana that the contract ends soon.",
        "recipient": { "name": "Dana" },
        "sender": { "name": "Harbour Office" },
        "language": "en",
        "facts": [{ "id": "f1", "text": "The contract ends on 31 December." }],
    });
    let draft = world.done("draft", Fact::EmailDraft(serde_json::from_value(order).unwrap())).await;
    assert_eq!(draft.kind, "email_draft");
    assert!(draft.quality.is_some_and(|quality| (0.0..=1.0).contains(&quality)));

    let usage = world.store.usage(&UsageFilter::default()).await.unwrap();
    let input: i64 = usage.iter().map(|row| row.input).sum();
    let output: i64 = usage.iter().map(|row| row.output).sum();
    println!("ledger: {input} tokens in, {output} out");
    assert!(input > 500 && output > 50);
}
