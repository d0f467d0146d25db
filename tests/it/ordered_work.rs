//! Work that our own systems order of models: drafts, chats, texts by their meaning; with the provider that needs no model.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longshore::{
    domain::{
        command::{Action, WebhookTarget},
        event::{Event, Fact},
        ids::{CorrelationId, EventKey, TenantId},
        reason::Reason,
        record::{ResultWrite, Write},
    },
    handlers::tools::PiecePost,
    messaging::callback::Callbacks,
};
use serde_json::{Value, json};

use crate::{handlers::Workshop, senders::NOW};

fn ordered(id: &str, fact: Fact) -> Event {
    Event {
        key: EventKey::new(&"backend".into(), "/part", id),
        source: "backend".into(),
        vendor_type: String::new(),
        account: "/part".into(),
        tenant: TenantId::from("acme"),
        occurred_at: None,
        received_at: NOW,
        due_at: None,
        expires_at: None,
        order_key: None,
        correlation_id: CorrelationId::from("trace"),
        fact,
    }
}

fn draft(id: &str, regenerate: &Value) -> Event {
    let order = json!({
        "purpose": "Offer to renew.",
        "recipient": { "name": "Dana" },
        "sender": { "name": "Harbour Office" },
        "language": "en",
        "facts": [{ "id": "f1", "text": "The contract ends on 31 December." }],
        "similar": true,
        "regenerate": regenerate,
    });
    ordered(id, Fact::EmailDraft(serde_json::from_value(order).unwrap()))
}

fn chat(id: &str, callback: Option<&str>) -> Event {
    let order = json!({
        "chat_id": "c-1", "user": "u_1", "specialist": "harbour", "callback_url": callback,
        "messages": [{ "role": "user", "content": "What is the price?" }],
    });
    ordered(id, Fact::ChatComplete(serde_json::from_value(order).unwrap()))
}

fn result(writes: &[Write]) -> &ResultWrite {
    let found = writes.iter().find_map(|write| match write {
        Write::Result(result) => Some(result),
        _ => None,
    });
    found.unwrap()
}

/// Keeps what is posted.
#[derive(Default)]
struct Reader(Mutex<Vec<Value>>);

#[async_trait]
impl PiecePost for Reader {
    async fn post(&self, url: &str, _: &str, _: &str, data: &Value) -> Result<(), String> {
        assert_eq!(url, "http://127.0.0.1:9/in/c-1");
        self.0.lock().unwrap().push(data.clone());
        Ok(())
    }
}

#[tokio::test]
async fn rce_a_draft_is_stored_with_the_facts_it_used_and_its_prompt() {
    let shop = Workshop::open().await;
    let event = draft("d1", &Value::Null);
    let outcome = shop.done(&event).await;
    let draft = result(&outcome.writes);
    assert_eq!(
        (draft.kind.as_str(), draft.prompt.as_str(), draft.prompt_hash.len()),
        ("email_draft", "email_draft@1", 64)
    );
    assert_eq!((&draft.body["facts_used"], &draft.body["flaws"]), (&json!(["f1"]), &json!([])));
    assert!(draft.body["body"].as_str().unwrap().contains("31 December"));
    assert_eq!((draft.confidence, draft.quality, draft.identical), (Some(0.5), Some(1.0), None));
    assert!(outcome.commands.is_empty());
    let history = shop.store.event_history(&event.key).await.unwrap().unwrap();
    assert_eq!((history.calls.len(), history.results.len()), (1, 1));
}

#[tokio::test]
async fn nx_41_a_draft_made_once_more_is_asked_for_anew_and_says_when_it_is_the_same() {
    let shop = Workshop::open().await;
    shop.done(&draft("d1", &Value::Null)).await;
    for (id, nonce) in [("d2", "n1"), ("d3", "n2")] {
        let event = draft(id, &json!({ "of": "d1", "nonce": nonce }));
        let outcome = shop.done(&event).await;
        let again = result(&outcome.writes);
        assert_eq!((again.identical, &again.body["regenerated_from"]), (Some(true), &json!("d1")));
        assert_eq!(shop.store.event_history(&event.key).await.unwrap().unwrap().calls.len(), 1, "{id}");
    }
    let lost = draft("d4", &json!({ "of": "nobody", "nonce": "n1" }));
    let failure = shop.handle(&lost).await.1.unwrap_err();
    assert_eq!(failure.reason, Reason::SchemaMismatch);
    assert!(failure.detail.contains("/data/regenerate/of"), "{}", failure.detail);
}

#[tokio::test]
async fn bv_2_a_chat_is_streamed_to_its_reader_and_follows_whole() {
    let mut shop = Workshop::open().await;
    let reader = Arc::new(Reader::default());
    shop.tools.callbacks = Callbacks::new(&["http://127.0.0.1:9/in/".into()]).unwrap();
    shop.tools.pieces = Some(reader.clone());
    let outcome = shop.done(&chat("j1", Some("http://127.0.0.1:9/in/c-1"))).await;
    let answer = result(&outcome.writes).body["text"].as_str().unwrap().to_owned();
    assert!(answer.starts_with("Thank you for your interest!"), "{answer}");
    let pieces = reader.0.lock().unwrap().clone();
    let streamed: String = pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
    assert_eq!(streamed, answer);

    let [command] = outcome.commands.as_slice() else { panic!() };
    let Action::Webhook { to, event_type, data } = &command.action else { panic!() };
    assert_eq!(*to, WebhookTarget::Callback("http://127.0.0.1:9/in/c-1".into()));
    assert_eq!((event_type.as_str(), &data["text"]), ("longshore.chat.completed.v1", &json!(answer)));
    assert_eq!((&data["truncated"], &data["usage"]["calls"]), (&json!(false), &json!(1)));
    assert_eq!((&data["user"], &data["specialist"]), (&json!("u_1"), &json!("harbour")));
}

#[tokio::test]
async fn a_callback_that_is_not_configured_is_refused_before_anything_is_bought() {
    let shop = Workshop::open().await;
    let event = chat("j1", Some("http://127.0.0.1:9/in/c-1"));
    let failure = shop.handle(&event).await.1.unwrap_err();
    assert_eq!(failure.reason, Reason::SchemaMismatch);
    assert!(failure.detail.starts_with("/data/callback_url: "), "{}", failure.detail);
    assert!(shop.store.event_history(&event.key).await.unwrap().unwrap().calls.is_empty());
    let kept = shop.done(&chat("j2", None)).await;
    assert!(kept.commands.is_empty() && result(&kept.writes).kind == "chat_answer");
}

#[tokio::test]
async fn nx_7_a_text_needs_a_provider_of_vectors() {
    let shop = Workshop::open().await;
    let item = json!({ "kind": "email_draft", "item": "i", "text": "t" });
    let event = ordered("e1", Fact::EmbeddingStore(serde_json::from_value(item).unwrap()));
    let failure = shop.handle(&event).await.1.unwrap_err();
    assert_eq!(failure.reason, Reason::VendorRefused);
    assert!(failure.detail.contains("llm.embeddings"), "{}", failure.detail);
}
