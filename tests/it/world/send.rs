//! What arrives: signed and sealed as the real senders and edges do it. Everything is written down in
//! `expected` as done; a test that expects otherwise says so.

use std::{collections::BTreeMap, time::Duration};

use longshore::{
    clock::{Clock as _, SystemClock},
    domain::{delivery::Attribute, envelope::Peer, ids::SourceName, reason::Reason, timestamp::Timestamp},
    queue::contract::{BATCH, EntryResult, OutgoingMessage, Queue as _},
    sources::sign::{SealKey, SignedMessage, seal_envelope, sign_job},
};
use serde_json::{Value, json};

use crate::{
    senders::{EDGE, secret_of, signed},
    world::World,
};

const WABA: &str = "420001";
const PHONE: &str = "710001";
const PORTAL: u64 = 8800;

/// A streamed chat that reports its usage.
#[derive(Default)]
pub(crate) struct Chat {
    pub(crate) aborted: bool,
}

impl World {
    /// A person writes; answers the event's key.
    pub(crate) fn whatsapp(&mut self, person: &str, text: &str) -> String {
        let number = self.number();
        let id = format!("wamid.IN{number}");
        let text = format!("{text} ({number})");
        let now = SystemClock.now();
        let message = json!({
            "from": person, "id": id, "timestamp": now.seconds().to_string(), "type": "text",
            "text": { "body": text },
        });
        let contact = json!({ "profile": { "name": "Ines" }, "wa_id": person });
        self.whatsapp_change(&json!({ "messages": [message], "contacts": [contact] }));
        let key = format!("whatsapp:{WABA}/{PHONE}:msg:{id}");
        self.expected.events.insert(key.clone(), None);
        self.expected.read.insert(key.clone(), text);
        self.expected.messages.insert(id);
        self.expected.contacts.insert(("whatsapp".to_owned(), person.to_owned()));
        key
    }

    /// A person writes something that ends as a dead letter; answers the event's key.
    pub(crate) fn whatsapp_buried(&mut self, person: &str, text: &str, reason: Reason) -> String {
        let key = self.whatsapp(person, text);
        self.expected.buried(&key, reason);
        self.expected.contacts.remove(&("whatsapp".to_owned(), person.to_owned()));
        key
    }

    /// A status of a message of ours; answers the event's key.
    pub(crate) fn status(&mut self, message: &str, status: &str, command: Option<&str>) -> String {
        let mut item = json!({
            "id": message, "status": status, "timestamp": SystemClock.now().seconds().to_string(),
            "recipient_id": "34600000000",
        });
        if let Some(command) = command {
            item["biz_opaque_callback_data"] = json!(command);
        }
        self.whatsapp_change(&json!({ "statuses": [item] }));
        let key = format!("whatsapp:{WABA}/{PHONE}:status:{message}:{status}");
        self.expected.events.insert(key.clone(), None);
        self.expected.statuses.insert(message.to_owned());
        key
    }

    fn whatsapp_change(&mut self, value: &Value) {
        let mut value = value.clone();
        value["messaging_product"] = json!("whatsapp");
        value["metadata"] = json!({ "display_phone_number": "34600111222", "phone_number_id": PHONE });
        let change = json!({ "field": "messages", "value": value });
        let body = json!({
            "object": "whatsapp_business_account", "entry": [{ "id": WABA, "changes": [change] }],
        });
        self.enveloped("whatsapp", body.to_string().into_bytes());
    }

    /// A batch of new contacts, and items that are no good among them.
    pub(crate) fn hubspot(&mut self, good: usize, bad: usize) {
        let mut items = Vec::new();
        for _ in 0..good {
            let (number, at) = (self.number(), SystemClock.now().millis());
            items.push(json!({
                "eventId": number, "subscriptionId": 501, "portalId": PORTAL, "appId": 77, "occurredAt": at,
                "subscriptionType": "contact.propertyChange", "objectId": number, "changeSource": "CRM",
                "propertyName": "phone", "propertyValue": number.to_string(),
            }));
            self.expected
                .events
                .insert(format!("hubspot:{PORTAL}:77:501:{number}:{number}:{at}:phone"), None);
            self.expected.contacts.insert(("hubspot".to_owned(), format!("{PORTAL}/{number}")));
        }
        for _ in 0..bad {
            let number = self.number();
            items.insert(
                items.len() / 2,
                json!({ "eventId": number, "subscriptionType": "contact.creation" }),
            );
            self.expected.rejected.push(Reason::SchemaMismatch);
        }
        self.enveloped("hubspot", Value::Array(items).to_string().into_bytes());
    }

    /// A streamed chat ended; answers the event's key.
    pub(crate) fn chat_usage(&mut self, chat: &Chat) -> String {
        let data = json!({
            "chat_id": format!("c-{}", self.next), "user": "u_1", "provider": "openai", "model": "gpt-4o-mini",
            "usage": { "uncached_input": 1200, "cache_read": 300, "output": 250 },
            "latency_ms": 5200, "aborted": chat.aborted, "ended_at": rfc3339(SystemClock.now()),
        });
        let key = self.job("longshore.chat.usage.v1", &data, None);
        self.expected.chats.insert(key.clone());
        key
    }

    /// A rehearsal; answers the event's key.
    pub(crate) fn drill(&mut self, data: &Value) -> String {
        self.job("longshore.drill.v1", data, None)
    }

    /// A rehearsal that is due later.
    pub(crate) fn drill_due_in(&mut self, data: &Value, wait: Duration) -> String {
        self.job("longshore.drill.v1", data, Some(wait))
    }

    fn job(&mut self, name: &str, data: &Value, due_in: Option<Duration>) -> String {
        let number = self.number();
        let now = SystemClock.now();
        let mut job = json!({
            "specversion": "1.0", "id": format!("job-{number}"), "source": "tests", "type": name,
            "time": rfc3339(now), "data": data,
        });
        if self.padding > 0 {
            job["padding"] = json!("x".repeat(self.padding));
        }
        if let Some(wait) = due_in {
            job["dueat"] = json!(rfc3339(now.plus(wait)));
        }
        let key = SealKey { id: None, secret: secret_of("jobs") };
        let message = sign_job(&SourceName::from("jobs"), key, &job, now).unwrap();
        self.outgoing.push(outgoing(message));
        let key = format!("jobs:tests:job-{number}");
        self.expected.events.insert(key.clone(), None);
        key
    }

    /// A message of no form that anybody knows.
    pub(crate) fn formless(&mut self) {
        let body = format!("nothing that we know ({})", self.number());
        self.outgoing.push(OutgoingMessage { body, ..OutgoingMessage::default() });
        self.expected.rejected.push(Reason::UnknownForm);
    }

    /// A message whose sealed body was changed on the way.
    pub(crate) fn forged(&mut self) {
        let key = self.chat_usage(&Chat::default());
        self.expected.events.remove(&key);
        self.expected.chats.remove(&key);
        self.outgoing.last_mut().unwrap().body.push(' ');
        self.expected.rejected.push(Reason::SigInvalid);
    }

    /// The last message, to change the way in which it comes.
    pub(crate) fn last(&mut self) -> &mut OutgoingMessage {
        self.outgoing.last_mut().unwrap()
    }

    /// A person's message that is changed so that no event comes of it.
    pub(crate) fn whatsapp_forgotten(&mut self, change: impl FnOnce(&mut OutgoingMessage)) {
        let before = std::mem::take(&mut self.expected);
        self.whatsapp("34611999999", "never read");
        self.expected = before;
        self.last().attributes.remove("longshore-source");
        change(self.last());
    }

    /// The last message once more.
    pub(crate) fn again(&mut self) {
        let last = self.outgoing.last().unwrap().clone();
        self.outgoing.push(last);
    }

    /// Puts everything on the queue, in an order that a seed gives.
    pub(crate) async fn send_shuffled(&mut self, seed: u64) {
        let mut random = Random(seed);
        for at in (1..self.outgoing.len()).rev() {
            self.outgoing.swap(at, random.below(at + 1));
        }
        self.send().await;
    }

    /// Puts everything on the queue.
    pub(crate) async fn send(&mut self) {
        for batch in std::mem::take(&mut self.outgoing).chunks(BATCH) {
            let results = self.queue.send(batch).await.unwrap();
            assert!(results.iter().all(|result| *result == EntryResult::Done), "{results:?}");
        }
    }

    pub(super) fn enveloped(&mut self, source: &str, body: Vec<u8>) {
        let now = SystemClock.now();
        let request = signed(source, body, now);
        let id = format!("ing_{}", self.number());
        let key = SealKey { id: Some("edge"), secret: EDGE };
        let message =
            seal_envelope(&SourceName::from(source), key, &id, (&request, &Peer::default()), now, now)
                .unwrap();
        self.outgoing.push(outgoing(message));
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

pub(super) fn outgoing(message: SignedMessage) -> OutgoingMessage {
    let attributes: BTreeMap<String, Attribute> =
        message.attributes.into_iter().map(|(name, value)| (name, Attribute::Text(value))).collect();
    OutgoingMessage { body: message.body, attributes, ..OutgoingMessage::default() }
}

fn rfc3339(at: Timestamp) -> String {
    at.to_string()
}

/// Numbers from a seed (SplitMix64): the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}
