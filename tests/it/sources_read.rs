//! What verified bodies say: one result for each item, with keys that never repeat and numbers that stay whole.

use longshore::domain::{
    event::{CrmChange, CrmChangeKind, DeliveryState, Drill, Event, Fact},
    reason::Reason,
};
use serde_json::{Value, json};

use crate::senders::{NOW, World, at, fixture, refused};

fn keys<E: std::fmt::Debug>(items: &[Result<Event, E>]) -> Vec<&str> {
    items.iter().flatten().map(|event| event.key.as_str()).collect()
}

#[test]
fn wa_25_every_message_and_status_of_a_whatsapp_body() {
    let items = World::new().read("whatsapp", fixture("whatsapp_batch.json"), NOW);
    let account = "whatsapp:420001/710001";
    assert_eq!(
        keys(&items),
        [
            format!("{account}:msg:wamid.LSFIXTURE010"),
            format!("{account}:msg:wamid.LSFIXTURE011"),
            format!("{account}:msg:wamid.LSFIXTURE012"),
            format!("{account}:msg:wamid.LSFIXTURE013"),
            format!("{account}:msg:wamid.LSFIXTURE014"),
            // The vendor repeats itself within one body: the same key, so that it is worked once.
            format!("{account}:msg:wamid.LSFIXTURE010"),
            format!("{account}:status:wamid.LSOUT001:delivered"),
            format!("{account}:status:wamid.LSOUT001:read"),
            format!("{account}:status:wamid.LSOUT002:failed"),
        ]
    );
    assert_eq!(
        refused(&items),
        [(Some(6), Reason::SchemaMismatch), (Some(10), Reason::UnknownType)],
        "a bad item is refused alone"
    );
    let bad = items[6].as_ref().unwrap_err();
    assert_eq!(bad.detail, "/id: text is required");
    assert_eq!(bad.item.as_ref().unwrap()["text"]["body"], "no id");
}

#[test]
fn wa_25_what_a_person_said_and_chose() {
    let items = World::new().read("whatsapp", fixture("whatsapp_batch.json"), NOW);
    let said: Vec<_> = items
        .iter()
        .flatten()
        .filter_map(|event| match &event.fact {
            Fact::InboundMessage(m) => {
                Some((m.message_type.as_str(), m.text.as_deref(), m.choice.as_deref()))
            }
            _ => None,
        })
        .take(5)
        .collect();
    assert_eq!(
        said,
        [
            ("text", Some("hello"), None),
            ("button", Some("No more offers"), Some("STOP")),
            ("interactive", Some("07:00"), Some("slot_7")),
            ("image", Some("the door"), None),
            ("hologram", None, None),
        ]
    );
    let event = items[4].as_ref().unwrap();
    let Fact::InboundMessage(unknown) = &event.fact else { panic!("{event:?}") };
    assert_eq!(unknown.raw["hologram"]["depth"], 3, "types that we do not know are kept whole");
    assert_eq!((unknown.profile_name.as_deref(), unknown.from.as_str()), (Some("Inés"), "34611222333"));
    assert_eq!(event.order_key.as_deref(), Some("whatsapp:710001:34611222333"));
    assert_eq!((event.tenant.as_str(), event.correlation_id.as_str()), ("acme", "ing_1"));
    assert_eq!(event.occurred_at, Some(at(-6)));
}

#[test]
fn wa_25_how_far_a_message_of_ours_got() {
    let items = World::new().read("whatsapp", fixture("whatsapp_batch.json"), NOW);
    let Fact::DeliveryStatus(delivered) = &items[7].as_ref().unwrap().fact else { panic!() };
    assert_eq!((delivered.state, delivered.command_id.as_deref()), (DeliveryState::Delivered, Some("cmd-7")));
    let Fact::DeliveryStatus(failed) = &items[9].as_ref().unwrap().fact else { panic!() };
    assert_eq!((failed.state, failed.error_code.as_deref()), (DeliveryState::Failed, Some("131047")));
}

#[test]
fn wa_25_escaped_text_is_read_and_other_fields_hold_nothing() {
    let items = World::new().read("whatsapp", fixture("whatsapp_text.json"), NOW);
    let Fact::InboundMessage(message) = &items[0].as_ref().unwrap().fact else { panic!() };
    assert_eq!(message.text.as_deref(), Some("¿Cuánto cuesta el plan / mes?"));
    assert!(World::new().read("whatsapp", fixture("whatsapp_other_field.json"), NOW).is_empty());
}

fn change(event: &Event) -> &CrmChange {
    match &event.fact {
        Fact::CrmChange(change) => change,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rce_4b_every_event_of_a_hubspot_batch_with_its_ids_whole() {
    let items = World::new().read("hubspot", fixture("hubspot_batch.json"), NOW);
    assert_eq!(items.len(), 10);
    let first = items[0].as_ref().unwrap();
    // 2^53 + 1 and 2^64 - 1 would both change in a float.
    assert_eq!(
        first.key.as_str(),
        "hubspot:8800:77:501:9007199254740993:18446744073709551615:1795175940000:"
    );
    assert_eq!(change(first).object_id, "18446744073709551615");
    assert_eq!(change(first).tie, "00009007199254740993");
    let kinds: Vec<_> = items.iter().flatten().map(|event| change(event).change.clone()).collect();
    let changed = |name: &str, value: Option<&str>| {
        CrmChangeKind::Changed([(name.to_owned(), value.map(str::to_owned))].into())
    };
    assert_eq!(
        kinds,
        [
            CrmChangeKind::Created,
            changed("lifecyclestage", Some("customer")),
            changed("phone", None),
            CrmChangeKind::Deleted,
            CrmChangeKind::Restored,
            changed("amount", Some("10")),
            CrmChangeKind::Other("contact.merge".to_owned()),
        ]
    );
    assert_eq!(
        refused(&items),
        [
            (Some(7), Reason::UnknownType),
            (Some(8), Reason::SchemaMismatch),
            (Some(9), Reason::SchemaMismatch)
        ]
    );
    assert_eq!(items[7].as_ref().unwrap_err().item.as_ref().unwrap()["subscriptionType"], "spaceship.launch");
    assert!(keys(&items)[1].ends_with(":lifecyclestage"));
}

#[test]
fn a_body_that_cannot_be_read_is_one_refusal() {
    let world = World::new();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in ["", "{", "\u{0}", deep.as_str()] {
        for source in ["whatsapp", "hubspot", "standard-webhooks"] {
            let items = world.read(source, body.as_bytes().to_vec(), NOW);
            assert_eq!(refused(&items), [(None, Reason::PayloadMalformed)], "{source} {:.20}", body);
        }
    }
    assert_eq!(refused(&world.read("hubspot", b"[\xff]".to_vec(), NOW)), [(None, Reason::PayloadMalformed)]);
    assert_eq!(refused(&world.read("hubspot", b"{}".to_vec(), NOW)), [(None, Reason::PayloadMalformed)]);
    assert_eq!(refused(&world.read("whatsapp", b"[]".to_vec(), NOW)), [(None, Reason::SchemaMismatch)]);
    assert!(world.read("hubspot", b"[]".to_vec(), NOW).is_empty());
}

#[test]
fn what_is_older_than_44_days_is_too_old_and_the_future_is_clamped() {
    let world = World::new();
    let item = |seconds: i64| {
        let at = at(seconds).millis();
        let event = json!([{ "eventId": 1, "subscriptionId": 1, "portalId": 1, "appId": 1, "occurredAt": at,
            "subscriptionType": "contact.creation", "objectId": 1 }]);
        world.read("hubspot", event.to_string().into_bytes(), NOW).remove(0)
    };
    let days = 86_400;
    assert_eq!(item(-44 * days - 1).unwrap_err().reason, Reason::TooOld);
    assert!(item(-44 * days).is_ok());
    let ahead = item(3_600).unwrap();
    assert_eq!(
        change(&ahead).at,
        at(300),
        "a clock that is ahead must not win against everything that comes later"
    );
    assert_eq!(ahead.occurred_at, Some(at(300)));
    assert!(
        ahead.key.as_str().contains(&at(3_600).millis().to_string()),
        "the key keeps the sender's own time"
    );
}

#[test]
fn nx_23_the_tenant_comes_from_the_account_then_from_the_source() {
    let mut world = World::new();
    let tenant = |world: &World| {
        let mut items = world.read("whatsapp", fixture("whatsapp_text.json"), NOW);
        items.remove(0).map(|event| (event.tenant.to_string(), event.key.to_string()))
    };
    let key = tenant(&world).unwrap().1;
    for (account, name) in [("420001", "by-waba"), ("710001", "by-phone"), ("420001/710001", "by-both")] {
        world.source("whatsapp").accounts.insert(account.to_owned(), name.to_owned());
        assert_eq!(
            tenant(&world).unwrap(),
            (name.to_owned(), key.clone()),
            "a remapped tenant keeps its keys"
        );
    }
    world.source("whatsapp").accounts = [("999".to_owned(), "other".to_owned())].into();
    world.source("whatsapp").tenant = None;
    assert_eq!(tenant(&world).unwrap_err().reason, Reason::TenantUnknown);

    let mut world = World::new();
    world.source("jobs").accounts.insert("chat-api".to_owned(), "intruder".to_owned());
    let items = world.read_job(&job());
    assert_eq!(items[0].as_ref().unwrap().tenant.as_str(), "acme", "the key set fixes the tenant of a job");
}

fn job() -> Value {
    serde_json::from_slice(&fixture("chat_usage_job.json")).unwrap()
}

#[test]
fn bv_2_a_chat_usage_job() {
    let items = World::new().read_job(&job());
    let event = items[0].as_ref().unwrap();
    assert_eq!(event.key.as_str(), "jobs:chat-api:chat_7f3a");
    assert_eq!((event.correlation_id.as_str(), event.occurred_at), ("req-81", Some(at(-2))));
    let Fact::ChatUsage(usage) = &event.fact else { panic!("{event:?}") };
    assert_eq!((usage.user.as_str(), usage.usage.cache_read, usage.aborted), ("u_9f2c", 300, false));
}

#[test]
fn nx_25_a_job_may_wait_for_its_time_and_lose_its_worth() {
    let mut timed = job();
    timed["dueat"] = json!("2026-11-21T14:00:00+02:00");
    timed["expiresat"] = json!("2026-11-22T12:00:00Z");
    let event = World::new().read_job(&timed).remove(0).unwrap();
    assert_eq!((event.due_at, event.expires_at), (Some(at(86_400)), Some(at(2 * 86_400))));
}

#[test]
fn df_17_rce_4a_a_job_that_breaks_its_schema_is_refused_with_the_place() {
    let world = World::new();
    let cases: [(&str, Value, Reason, &str); 10] = [
        ("/specversion", json!("0.3"), Reason::SchemaMismatch, "/specversion: "),
        ("/source", json!(""), Reason::SchemaMismatch, "/source: "),
        ("/data", json!([]), Reason::SchemaMismatch, "/data: "),
        ("/data/latency_ms", json!(-1), Reason::SchemaMismatch, "/data/latency_ms: "),
        ("/data/usage/output", json!(1.5), Reason::SchemaMismatch, "/data/usage/output: "),
        ("/data/usage/reasoning", json!(251), Reason::SchemaMismatch, "/data/usage/reasoning: "),
        ("/data/user", json!("ann@example.com"), Reason::SchemaMismatch, "/data/user: "),
        ("/data/ended_at", json!("yesterday"), Reason::SchemaMismatch, "/data/ended_at: "),
        ("/time", json!("noon"), Reason::SchemaMismatch, "/time: "),
        ("/type", json!("longshore.chat.usage.v9"), Reason::UnknownVersion, "longshore.chat.usage "),
    ];
    for (pointer, value, reason, detail) in cases {
        let mut bad = job();
        *bad.pointer_mut(pointer).unwrap() = value;
        let refused = world.read_job(&bad).remove(0).unwrap_err();
        assert_eq!(refused.reason, reason, "{pointer}");
        assert!(refused.detail.starts_with(detail), "{pointer}: {}", refused.detail);
        assert!(!refused.detail.contains("ann@"), "no value in the detail");
    }
    let mut unknown = job();
    unknown["type"] = json!("longshore.chat.gossip.v1");
    assert_eq!(world.read_job(&unknown).remove(0).unwrap_err().reason, Reason::UnknownType);
}

#[test]
fn a_job_over_http_must_have_the_id_that_was_signed() {
    // Signed as `msg_1`: a second id in the body would make a second event of one signature.
    let items = World::new().read("jobs", fixture("chat_usage_job.json"), NOW);
    assert_eq!(refused(&items), [(None, Reason::SchemaMismatch)]);
    assert_eq!(items[0].as_ref().unwrap_err().detail, "/id: differs from webhook-id");
}

#[test]
fn drills_are_for_those_who_allow_them() {
    let mut drill = job();
    drill["type"] = json!("longshore.drill.v1");
    drill["data"] = json!({ "do": "defer_times", "times": 1, "millis": 50 });
    let mut world = World::new();
    assert_eq!(world.read_job(&drill).remove(0).unwrap_err().reason, Reason::UnknownType);
    world.drills = true;
    let event = world.read_job(&drill).remove(0).unwrap();
    assert_eq!(event.fact, Fact::Drill(Drill::DeferTimes { times: 1, millis: 50 }));
}

#[test]
fn standard_webhooks_carry_the_same_types_under_the_id_of_the_header() {
    let items = World::new().read("standard-webhooks", fixture("standard_webhook.json"), NOW);
    let event = items[0].as_ref().unwrap();
    assert_eq!((event.key.as_str(), event.fact.kind()), ("standard-webhooks::msg_1", "chat_usage"));
}
