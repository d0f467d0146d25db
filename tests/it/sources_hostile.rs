//! Bodies that no vendor sends, bent out of shape anywhere: refused with the place, never a panic, never a value told.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    senders::fixture,
    taking_apart::{Taken, items},
};

/// Stands for what must not show in a detail.
const PRIVATE: &str = "ann@private.example";

const JSON_VENDORS: [&str; 7] =
    ["whatsapp", "hubspot", "sendgrid", "generic", "cloudevents", "eventbridge", "s3"];

fn body_of(vendor: &str) -> Value {
    let whole = |name: &str| serde_json::from_slice(&fixture(name)).unwrap();
    match vendor {
        "whatsapp" => whole("whatsapp_batch.json"),
        "hubspot" => whole("hubspot_batch.json"),
        "sendgrid" => {
            json!([{ "email": "e", "timestamp": 1_795_175_000, "event": "bounce", "sg_event_id": "i",
            "sg_message_id": "m.filter1", "smtp-id": "<s@x>", "status": "5.1.1", "tenant": "t" }])
        }
        "generic" => {
            json!({ "id": 1, "kind": "k", "when": 1_795_175_000, "shop": { "id": "s" }, "about": "a" })
        }
        "cloudevents" => json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "t",
            "time": "2026-11-20T12:00:00Z", "data": { "n": 1 } }),
        "eventbridge" => json!({ "id": "1", "detail-type": "d", "source": "s", "account": "a", "region": "r",
            "time": "2026-11-20T12:00:00Z", "resources": ["x"], "detail": {} }),
        _ => {
            json!({ "Records": [{ "eventSource": "aws:s3", "eventTime": "2026-11-20T12:00:00Z", "eventName": "n",
            "s3": { "bucket": { "name": "b" }, "object": { "key": "k", "versionId": "v", "sequencer": "0A" } } }] })
        }
    }
}

fn take(vendor: &str, body: &[u8]) -> Vec<Taken> {
    items(vendor, body, |fields| {
        if vendor == "generic" {
            fields.id = vec!["/id".to_owned(), "/kind".to_owned()];
            fields.time = Some("/when".to_owned());
            fields.account = Some("/shop/id".to_owned());
            fields.subject = Some("/about".to_owned());
        }
    })
}

/// Every place of a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| pointers(item, &format!("{at}/{i}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, item)| pointers(item, &format!("{at}/{name}"), found));
        }
        _ => {}
    }
}

/// What must hold for every refusal.
fn told_nothing(vendor: &str, taken: &[Taken]) {
    for refused in taken.iter().filter_map(|item| item.as_ref().err()) {
        assert!(
            !refused.detail.contains("private") && refused.detail.len() <= 500,
            "{vendor}: {}",
            refused.detail
        );
        assert!(!refused.detail.is_empty(), "{vendor}");
    }
}

#[test]
fn df_17_another_type_anywhere_is_refused_with_the_place_or_ignored() {
    for vendor in JSON_VENDORS {
        let body = body_of(vendor);
        let (mut places, mut refusals) = (Vec::new(), 0);
        pointers(&body, "", &mut places);
        for place in places {
            for wrong in [
                json!(null),
                json!(true),
                json!(-1),
                json!(1.5),
                json!(""),
                json!(PRIVATE),
                json!([PRIVATE]),
                json!({ PRIVATE: 1 }),
            ] {
                let mut bent = body.clone();
                *bent.pointer_mut(&place).unwrap() = wrong;
                let taken = take(vendor, bent.to_string().as_bytes());
                told_nothing(vendor, &taken);
                refusals += taken.iter().filter(|item| item.is_err()).count();
            }
        }
        assert!(refusals > 0, "{vendor}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_on_bytes_that_only_look_right(
        vendor in prop::sample::select(JSON_VENDORS.iter().copied().chain(["twilio"]).collect::<Vec<_>>()),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut body = match vendor {
            "twilio" => b"SmsStatus=received&MessageSid=SM1&AccountSid=AC1&From=1&To=2&Body=a%20b".to_vec(),
            _ => body_of(vendor).to_string().into_bytes(),
        };
        for (at, byte) in cuts {
            let at = at.index(body.len());
            body[at] = byte;
        }
        told_nothing(vendor, &take(vendor, &body));
        body.truncate(end.index(body.len() + 1));
        told_nothing(vendor, &take(vendor, &body));
    }

    #[test]
    fn nothing_panics_on_any_form(body in "(SmsStatus|MessageStatus|MessageSid|AccountSid|From|To|Body|[=&%+;a-f0-9]){0,30}") {
        told_nothing("twilio", &take("twilio", body.as_bytes()));
    }
}
