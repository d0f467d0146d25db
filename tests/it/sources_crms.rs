//! HighLevel, Pipedrive and Clerk: what their bodies say, with keys that survive retries, and nothing that makes us
//! panic. `tests/fixtures/crm_webhooks.json` holds the bodies and what they must come to.

use std::collections::BTreeMap;

use longshore::{
    config::SourceSettings,
    domain::{
        envelope::HttpRequest,
        event::{Channel, CrmChange, CrmChangeKind, Fact, InboundMessage},
        reason::Reason,
    },
    sources::{
        inspect::{Seen, take_apart},
        rejection::ItemRejection,
        vendor,
    },
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::senders::{NOW, fixture};

#[derive(Clone, Debug, Deserialize)]
struct Case {
    name: String,
    vendor: String,
    headers: BTreeMap<String, String>,
    body: Value,
    kind: String,
    account: String,
    /// Absent: made of the whole body.
    id: Option<String>,
    at: Option<i64>,
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&fixture("crm_webhooks.json")).unwrap()
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

impl Case {
    fn take_apart(&self, body: &[u8]) -> Vec<Result<Seen, ItemRejection>> {
        let headers = self.headers.clone().into_iter().collect();
        let url = "https://hooks.example.test/in".to_owned();
        let request = HttpRequest { method: "POST".to_owned(), url, headers, body: body.to_vec() };
        let settings = SourceSettings::of_vendor(&self.vendor).unwrap();
        take_apart(vendor(&self.vendor).unwrap(), &settings, &request, NOW)
    }

    fn seen(&self) -> Seen {
        let mut seen = self.take_apart(self.body.to_string().as_bytes());
        assert_eq!(seen.len(), 1, "{}", self.name);
        seen.remove(0).unwrap_or_else(|refused| panic!("{}: {refused:?}", self.name))
    }

    fn change(&self) -> CrmChange {
        match self.seen().fact {
            Fact::CrmChange(change) => change,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    fn message(&self) -> InboundMessage {
        match self.seen().fact {
            Fact::InboundMessage(message) => message,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// With something else at this place.
    fn with(&self, pointer: &str, value: Value) -> Self {
        let mut other = self.clone();
        *other.body.pointer_mut(pointer).unwrap() = value;
        other
    }
}

#[test]
fn rce_4b_every_body_has_its_kind_account_key_and_time() {
    for case in cases() {
        let seen = case.seen();
        assert_eq!((&seen.vendor_type, &seen.account), (&case.kind, &case.account), "{}", case.name);
        assert_eq!(seen.occurred_at.map(|at| at.millis()), case.at, "{}", case.name);
        match &case.id {
            Some(id) => assert_eq!(&seen.id, id, "{}", case.name),
            None => assert!(seen.id.starts_with(&format!("{}:", case.kind)), "{}: {}", case.name, seen.id),
        }
    }
}

/// The bytes may differ, the meaning may not: `\u` escapes, `\/`, white space, the order of members.
#[test]
fn rce_4b_the_key_does_not_depend_on_how_the_json_is_written() {
    for case in cases() {
        let pretty = serde_json::to_string_pretty(&case.body).unwrap().replace('/', "\\/");
        let mut escaped = String::new();
        for c in pretty.chars() {
            match c {
                ' '..='~' | '\n' => escaped.push(c),
                _ => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            }
        }
        let members: Vec<_> = case.body.as_object().unwrap().iter().rev().collect();
        let shuffled: Vec<_> = members.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
        for other in [escaped, format!("{{{}}}", shuffled.join(","))] {
            let seen = case.take_apart(other.as_bytes()).remove(0).unwrap();
            assert_eq!((&seen.id, &seen.fact), (&case.seen().id, &case.seen().fact), "{}", case.name);
        }
    }
}

#[test]
fn rce_4b_pipedrive_v1_and_v2_say_the_same() {
    let (v1, v2) = (case("v1, deal changed").change(), case("v2, deal changed").change());
    let expected = [
        ("aabbccddeeff00112233445566778899aabbccdd", Some("large")),
        ("owner_id", None),
        ("stage_id", Some("7")),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    assert_eq!(v2.change, CrmChangeKind::Changed(expected.into()));
    let at = v2.at;
    assert_eq!(CrmChange { at, tie: v2.tie.clone(), ..v1 }, v2);

    let deleted = case("v1, deal deleted, seconds only").change();
    assert_eq!((deleted.change, deleted.object_id.as_str()), (CrmChangeKind::Deleted, "905"));
    let away = case("v2, merged away").change();
    assert_eq!((away.object.as_str(), away.object_id.as_str()), ("contact", "34"));
    assert_eq!(away.change, CrmChangeKind::Deleted);
    let lead = case("v2, a lead, ids as numbers above 2^53").change();
    assert_eq!(lead.change, CrmChangeKind::Stale, "changed, but not told how");
    assert_eq!(lead.object_id, "abcd0000-1111-4222-8333-444455556666");
    assert_eq!(case("v1, deals merged").change().change, CrmChangeKind::Other("merged.deal".to_owned()));
}

#[test]
fn a_retry_is_the_same_event_and_another_change_is_another() {
    for (name, counter, other, value) in [
        ("v2, deal changed", "/meta/attempt", "/meta/id", json!("0b1c2d3e-0000-4222-8333-444455556666")),
        ("v1, deal changed", "/retry", "/meta/timestamp_micro", json!(1_795_175_971_005_000_i64)),
        ("v1, deal changed", "/retry", "/meta/id", json!(906)),
        ("v1, deal changed", "/retry", "/meta/webhook_id", json!(62)),
        ("v1, deal changed", "/retry", "/meta/action", json!("merged")),
        ("earlier shape, opportunity moved: no time at all", "", "/pipelineStageId", json!("s3")),
        ("earlier shape, contact made", "", "/id", json!("CtX")),
        ("time without an id", "", "/timestamp", json!("2026-11-20T11:59:30.251Z")),
        ("without the header", "/data/updated_at", "/data/id", json!("user_3")),
        ("nothing to tell it by", "", "/data/object", json!("sms")),
    ] {
        let case = case(name);
        if !counter.is_empty() {
            assert_eq!(case.with(counter, json!(4)).seen().id, case.seen().id, "{name} {counter}");
        }
        assert_ne!(case.with(other, value).seen().id, case.seen().id, "{name} {other}");
    }
}

#[test]
fn nx_5_a_contact_that_was_made_comes_with_its_properties() {
    let made = case("contact made").change();
    let CrmChangeKind::Changed(properties) = &made.change else { panic!("{made:?}") };
    let has = |name: &str| properties.get(name).and_then(Option::as_deref);
    assert_eq!(
        (made.object.as_str(), has("firstName"), has("$deleted")),
        ("contact", Some("Inés"), Some("false"))
    );
    assert_eq!((has("dnd"), has("tags")), (Some("false"), Some(r#"["vip","north"]"#)));
    assert_eq!((has("customFields.cfA"), has("customFields.cfB")), (Some("blue"), Some("[1,2]")));
    assert!(
        !properties.contains_key("webhookId") && !properties.contains_key("customFields"),
        "{properties:?}"
    );
    let person = case("v2, person made").change();
    let CrmChangeKind::Changed(properties) = &person.change else { panic!("{person:?}") };
    assert_eq!(properties["name"].as_deref(), Some("Inés Ibáñez"));
    assert_eq!((person.object.as_str(), &properties["org_id"]), ("contact", &None));
    assert_eq!(case("contact deleted").change().change, CrmChangeKind::Deleted);

    // A vendor cannot name a property that is ours, and not more of them than we keep.
    let ours = case("v2, deal changed").with("/data/title", json!("x"));
    let ours = ours.with("/data", json!({"$deleted": true, "title": "x"})).with("/previous", json!(null));
    assert_eq!(
        ours.change().change,
        CrmChangeKind::Changed([("title".to_owned(), Some("x".to_owned()))].into())
    );
    let many: Vec<_> = (0..2_001).map(|n| json!({"id": n.to_string(), "value": n})).collect();
    let many = case("contact made").with("/customFields", json!(many));
    let refused = many.take_apart(many.body.to_string().as_bytes()).remove(0).unwrap_err();
    assert_eq!(refused.detail, "/customFields: more properties than we keep");
}

#[test]
fn a_highlevel_text_can_be_read_and_an_email_is_stored() {
    let sms = case("text message").message();
    assert_eq!((sms.channel, sms.message_type.as_str()), (Channel::Gohighlevel, "text"));
    assert_eq!(sms.text.as_deref(), Some("¿Sigue libre?"));
    assert_eq!((sms.from.as_str(), sms.vendor_id.as_str()), ("CtAbCdEfGhIjKlMnOpQ2", "MsAbCdEfGhIjKlMnOpQ4"));
    assert_eq!(sms.sent_at.millis(), 1_795_175_968_125);
    let email = case("e-mail").message();
    assert_eq!((email.message_type.as_str(), email.vendor_id.as_str()), ("email", "EmAbCdEfGhIjKlMnOpQ6"));
    assert!(matches!(case("a call of ours, labelled inbound").seen().fact, Fact::Notice(_)));
    let timeless = case("earlier shape, text message").with("/dateAdded", json!(null));
    assert_eq!((timeless.message().sent_at, timeless.seen().occurred_at), (NOW, None));
}

/// Something of another type, where the pointer must hold text, an id, a time, an object.
#[test]
fn wa_25_a_wrong_type_is_refused_by_the_name_of_its_place() {
    let places = [
        (
            "contact made",
            "/type /locationId /id /timestamp /webhookId /dateAdded /customFields /customFields/1/id",
        ),
        ("contact changed: the time of its making is not the event's", "/timestamp /customFields/0"),
        ("text message", "/contactId /messageId /messageType /body /dateAdded"),
        ("e-mail", "/emailMessageId"),
        ("installed for a company", "/companyId"),
        (
            "v2, deal changed",
            "/meta/action /meta/entity /meta/entity_id /meta/company_id /meta/id /meta/timestamp",
        ),
        ("v2, deal changed", "/data /previous /data/custom_fields /previous/custom_fields"),
        ("v1, deal changed", "/meta/action /meta/object /meta/id /meta/company_id /meta/webhook_id"),
        ("v1, deal changed", "/meta/timestamp_micro /current /previous"),
        ("v1, deal deleted, seconds only", "/meta/timestamp"),
        ("made", "/type /data /data/id /instance_id /timestamp"),
    ];
    for (name, pointers) in places {
        for pointer in pointers.split(' ') {
            for wrong in [json!(true), json!(-1.5), json!([[]])] {
                let case = case(name).with(pointer, wrong.clone());
                let refused = case.take_apart(case.body.to_string().as_bytes()).remove(0);
                let refused = refused.err().unwrap_or_else(|| panic!("{name} {pointer} {wrong}"));
                assert_eq!(refused.reason, Reason::SchemaMismatch, "{name} {pointer} {wrong}");
                assert!(refused.detail.starts_with(pointer), "{name} {pointer} {wrong}: {}", refused.detail);
            }
        }
    }
    for (vendor, body) in [("gohighlevel", "[]"), ("pipedrive", "null"), ("clerk", "7"), ("clerk", "{}")] {
        let case = Case { vendor: vendor.to_owned(), ..case("made") };
        let refused = case.take_apart(body.as_bytes()).remove(0).unwrap_err();
        assert_eq!((refused.index, refused.reason), (None, Reason::SchemaMismatch), "{vendor} {body}");
        let refused = case.take_apart(b"{\"type\":\xff}").remove(0).unwrap_err();
        assert_eq!(refused.reason, Reason::PayloadMalformed, "{vendor}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
        Just(json!("9999-12-31T23:59:60Z")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_$]{0,8}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

/// All places of a value.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, &format!("{here}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| pointers(value, &format!("{here}/{at}"), found));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_body_is_read_or_refused_with_a_place_and_never_a_panic(
        which in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), value in any_json(),
    ) {
        let cases = cases();
        let mut case = which.get(&cases).clone();
        let mut places = Vec::new();
        pointers(&case.body, "", &mut places);
        *case.body.pointer_mut(&places[place.index(places.len())]).unwrap() = value;
        for item in case.take_apart(case.body.to_string().as_bytes()) {
            if let Err(refused) = item {
                prop_assert_eq!(refused.reason, Reason::SchemaMismatch);
                prop_assert!(refused.detail.starts_with('/') || refused.detail.starts_with(':'));
            }
        }
    }

    #[test]
    fn altered_bytes_are_read_or_refused_and_never_a_panic(
        which in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let cases = cases();
        let case = which.get(&cases);
        let mut bytes = case.body.to_string().into_bytes();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        prop_assert_eq!(case.take_apart(&bytes).len(), 1);
        bytes.truncate(at);
        prop_assert!(case.take_apart(&bytes).remove(0).is_err());
    }
}
