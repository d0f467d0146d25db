//! Erasing a person: nothing is left but keys and a tombstone (NX-59).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    domain::{
        budget::{Budget, BudgetMode, Period},
        call::{CallEnd, CallStart, Opens},
        data_subject::DataSubject,
        dead_letter::{DeadDelivery, DeadLetterFilter, DeadLetterState, ERASED},
        event::{Channel, CrmChange, CrmChangeKind, Event, Fact, InboundMessage},
        money::Money,
        outcome::{Fence, Held, Outcome, Verdict},
        reason::Reason,
        record::{ContactWrite, DELETED, EmbeddingWrite, EraseWrite, Write},
    },
    store::contract::{Claim, ClaimRequest, Replayed},
};
use serde_json::json;

use super::{fixtures::*, harness::Harness};

/// Stands in everything that is personal.
const MARKER: &str = "Zoe-Marker";
const PERSON: &str = "4711";

fn change(id: &str, person: &str, seconds: i64) -> Event {
    let change = CrmChange {
        system: "gohighlevel".to_owned(),
        object: "contact".to_owned(),
        object_id: person.to_owned(),
        change: CrmChangeKind::Changed(BTreeMap::from([("name".to_owned(), Some(MARKER.to_owned()))])),
        at: at(seconds),
        tie: id.to_owned(),
    };
    Event { occurred_at: Some(at(seconds)), fact: Fact::CrmChange(change), ..event(id) }
}

fn message(id: &str, person: &str, seconds: i64) -> Event {
    let message = InboundMessage {
        channel: Channel::Gohighlevel,
        business_id: "1555".to_owned(),
        from: person.to_owned(),
        profile_name: Some(MARKER.to_owned()),
        vendor_id: id.to_owned(),
        message_type: "text".to_owned(),
        text: Some(MARKER.to_owned()),
        choice: None,
        sent_at: at(seconds),
        raw: json!({ "text": MARKER }),
    };
    Event { occurred_at: Some(at(seconds)), fact: Fact::InboundMessage(message), ..event(id) }
}

async fn take(h: &Harness, event: &Event) -> Held {
    let request = ClaimRequest { event: event.clone(), seal: None, start: true };
    mine(h.store.claim(&[request], LEASE).await.unwrap().remove(0)).held
}

async fn work(h: &Harness, event: &Event, verdict: Verdict) -> Held {
    let held = take(h, event).await;
    assert_eq!(settle_one(h, &held, verdict).await, Fence::Committed);
    held
}

/// The rows that a contact's change and a message leave.
fn personal(person: &str, vendor_id: &str, seconds: i64) -> Vec<Write> {
    let mut rows = vec![
        properties(&format!("account/{person}"), "name", MARKER, seconds),
        properties(person, "name", MARKER, seconds),
        inbound(vendor_id, MARKER),
        conversation(&format!("acme/ghl/1555/{person}"), seconds, Some(MARKER)),
        result(json!({ "reply": MARKER })),
        Write::Embedding(EmbeddingWrite {
            tenant: tenant(),
            kind: "email_draft".to_owned(),
            item: vendor_id.to_owned(),
            text: MARKER.to_owned(),
            model: "m".to_owned(),
            vector: vec![1.0, 0.0],
        }),
    ];
    for row in &mut rows {
        match row {
            Write::Conversation(row) => {
                (row.channel, row.contact) = (Channel::Gohighlevel, person.to_owned());
            }
            Write::Message(row) => {
                row.channel = Channel::Gohighlevel;
                row.conversation = format!("acme/ghl/1555/{person}");
                row.sent_at = at(seconds);
            }
            _ => {}
        }
    }
    rows
}

fn properties(id: &str, name: &str, value: &str, seconds: i64) -> Write {
    Write::Contact(ContactWrite {
        tenant: tenant(),
        system: "gohighlevel".to_owned(),
        external_id: id.to_owned(),
        properties: vec![property(name, Some(value), seconds, "t")],
    })
}

/// What the handler asks for.
fn order(seconds: i64) -> Verdict {
    done(vec![
        properties(&format!("account/{PERSON}"), DELETED, "true", seconds),
        Write::Erase(EraseWrite {
            tenant: tenant(),
            source: "jobs".into(),
            system: "gohighlevel".to_owned(),
            object_id: PERSON.to_owned(),
            subjects: vec![
                DataSubject::record("gohighlevel", "account", "contact", PERSON),
                DataSubject::person(Channel::Gohighlevel, PERSON),
            ],
            contacts: vec![format!("account/{PERSON}"), PERSON.to_owned()],
            channel: Some(Channel::Gohighlevel),
            at: at(seconds),
        }),
    ])
}

/// A message of the same source that nobody could read.
fn unread(id: &str, person: &str) -> DeadDelivery {
    let body = STANDARD.encode(format!(r#"[{{"objectId":{person},"email":"{MARKER}"}}]"#));
    DeadDelivery {
        id: id.to_owned(),
        source: Some("jobs".to_owned()),
        reason: Reason::SchemaMismatch,
        detail: "/email: text is expected".to_owned(),
        body: json!({ "v": 1, "body_base64": body, "marker": MARKER }).to_string(),
        attributes: json!({ "a": { "text": MARKER } }),
        item: Some(json!({ "objectId": person, "email": MARKER })),
    }
}

async fn letters(h: &Harness) -> BTreeMap<String, (DeadLetterState, String)> {
    let filter = DeadLetterFilter { closed: true, limit: 100, ..DeadLetterFilter::default() };
    let letters = h.store.dead_letters(&filter).await.unwrap();
    letters.into_iter().map(|letter| (letter.id, (letter.state, letter.body))).collect()
}

pub(super) async fn nx_59_nothing_of_an_erased_person_is_left(h: &Harness) {
    work(h, &change("c1", PERSON, 1), done(personal(PERSON, "m1", 1))).await;
    let mut reply = super::fixtures::message("lane", PERSON);
    reply.lane = MARKER.to_owned();
    let outcome = Outcome { writes: personal(PERSON, "m2", 2), commands: vec![reply] };
    h.store.journal_begin(&[call_start("m2", 1)]).await.unwrap();
    h.store.journal_finish(&[answered("m2", 1, MARKER)]).await.unwrap();
    work(h, &message("m2", PERSON, 2), Verdict::Done(outcome)).await;
    let mut broken = failure(Reason::InvalidOutput);
    broken.raw = Some(MARKER.to_owned());
    work(h, &change("c3", PERSON, 3), Verdict::Bury(broken)).await;
    work(h, &change("c4", PERSON, 4), defer_in(h, MINUTE, true).await).await;
    take(h, &change("c5", PERSON, 5)).await;
    h.store.bury(&[unread("d1", PERSON), unread("d1#0", PERSON)]).await.unwrap();
    let places: Vec<String> = h.hits(MARKER).await.into_iter().map(|(table, _)| table).collect();
    for table in [
        "contact_properties",
        "messages",
        "conversations",
        "results",
        "embeddings",
        "outbox",
        "llm_journal",
        "dead_letters",
    ] {
        assert!(places.iter().any(|place| place == table), "{table} holds nothing to erase: {places:?}");
    }

    let erase = work(h, &event("erase"), order(10)).await;
    assert_eq!(h.hits(MARKER).await, []);
    let tables = h.store.table_counts().await.unwrap();
    assert_eq!((tables["events"], tables["parked"], tables["inbox"]), (1, 0, 6), "keys stay");
    let property = h.store.contact_property(&tenant(), "gohighlevel", "account/4711", DELETED).await.unwrap();
    assert_eq!((property.as_deref(), tables["contacts"], tables["contact_properties"]), (Some("true"), 1, 1));
    let history = h.store.event_history(&erase.key).await.unwrap().unwrap();
    let said: Vec<_> = history.audit.iter().map(|row| (row.action.as_str(), row.detail.as_str())).collect();
    assert!(said.contains(&("erase", "5 events, 3 dead letters")), "{said:?}");

    for id in ["c1", "c3", "c4", "c5"] {
        let again = ClaimRequest { event: change(id, PERSON, 1), seal: None, start: true };
        assert_eq!(h.store.claim(&[again], LEASE).await.unwrap(), [Claim::Done], "{id} is still known");
    }
    // The order once more, as a replay would have it: nothing is left to do.
    work(h, &event("erase again"), order(10)).await;
    assert_eq!(h.hits(MARKER).await, []);
}

pub(super) async fn nx_59_others_and_what_is_newer_stay(h: &Harness) {
    work(h, &change("c1", "4712", 1), done(personal("4712", "m1", 1))).await;
    work(h, &change("c2", PERSON, 20), done(personal(PERSON, "m2", 20))).await;
    let mut elsewhere = change("c3", PERSON, 1);
    elsewhere.tenant = "other".into();
    work(h, &elsewhere, done(vec![])).await;
    h.store.bury(&[unread("d1", "47112"), unread("d2", "5")]).await.unwrap();
    let before = h.hits(MARKER).await;
    work(h, &event("erase"), order(10)).await;
    assert_eq!(h.hits(MARKER).await, before);
    assert!(letters(h).await.values().all(|(state, _)| *state == DeadLetterState::Open));
}

pub(super) async fn nx_59_whoever_works_on_it_loses_its_ticket(h: &Harness) {
    let held = take(h, &change("c1", PERSON, 1)).await;
    h.store.journal_begin(&[call_start("c1", 1)]).await.unwrap();
    work(h, &event("erase"), order(10)).await;
    assert_eq!(settle_one(h, &held, done(personal(PERSON, "m1", 1))).await, Fence::Lost);
    h.store.journal_finish(&[answered("c1", 1, MARKER)]).await.unwrap();
    assert_eq!(h.hits(MARKER).await, []);
    assert!(!h.store.settled_by(&held).await.unwrap());
}

pub(super) async fn nx_59_an_erased_dead_letter_is_not_replayed(h: &Harness) {
    let held = work(h, &change("c1", PERSON, 1), bury(Reason::InvalidOutput)).await;
    let id = format!("{}@0", held.key);
    h.store.bury(&[unread("d1", PERSON)]).await.unwrap();
    work(h, &event("erase"), order(10)).await;
    let erased = (DeadLetterState::Erased, ERASED.to_owned());
    let expected = BTreeMap::from([(id.clone(), erased.clone()), ("d1".to_owned(), erased)]);
    assert_eq!(letters(h).await, expected);
    let ids = [id, "d1".to_owned()];
    assert_eq!(h.store.replay(&ids, "anna").await.unwrap(), [Replayed::NotOpen, Replayed::NotOpen]);
    h.store.bury(&[unread("d1", PERSON)]).await.unwrap();
    assert_eq!((letters(h).await, h.hits(MARKER).await), (expected, vec![]), "buried again, it stays erased");
    assert!(h.store.gauges().await.unwrap().dead_letters.is_empty());
}

pub(super) async fn nx_59_what_comes_late_is_not_taken_in(h: &Harness) {
    work(h, &event("erase"), order(10)).await;
    for late in [change("c1", PERSON, 9), message("m1", PERSON, 10)] {
        let request = ClaimRequest { event: late, seal: None, start: true };
        assert_eq!(h.store.claim(&[request], LEASE).await.unwrap(), [Claim::Done]);
    }
    assert_eq!(h.hits(MARKER).await, []);
    let newer = [change("c2", PERSON, 11), message("m2", PERSON, 11), change("c3", "4712", 1)];
    for event in newer {
        take(h, &event).await;
    }
}

pub(super) async fn an_erased_call_gives_its_money_back_or_is_charged(h: &Harness) {
    let limit = Budget {
        tenant: tenant(),
        period: Period::Day,
        limit: Money(100),
        mode: BudgetMode::Strict,
        time_zone: "UTC".to_owned(),
    };
    h.store.budget_set(&limit, "anna").await.unwrap();
    take(h, &change("c1", PERSON, 1)).await;
    let calls = [
        CallStart { hold: Some(Money(30)), ..call_start("c1", 1) },
        CallStart { hold: Some(Money(20)), opens: Opens::Reserved(MINUTE), ..call_start("c1", 2) },
        CallStart { hold: Some(Money(5)), ..call_start("c1", 3) },
    ];
    h.store.journal_begin(&calls).await.unwrap();
    h.store.journal_finish(&[CallEnd { charge: Money(4), ..answered("c1", 3, MARKER) }]).await.unwrap();
    work(h, &event("erase"), order(10)).await;
    assert!(h.store.journal_find(&step("c1")).await.unwrap().is_empty());
    h.store.journal_finish(&[CallEnd { charge: Money(1), ..answered("c1", 1, MARKER) }]).await.unwrap();
    let stands = h.store.budgets(None).await.unwrap().remove(0);
    assert_eq!((stands.spent, stands.held), (Money(34), Money::ZERO), "what was sent may be billed");
}
