//! For all inputs: nothing panics, what is signed verifies, and what was altered after signing never does.

use longshore::{
    domain::{
        delivery::{Attribute, Delivery, Receipt},
        ids::SourceName,
    },
    sources::{
        read::read,
        sign::{SealKey, sign_job},
    },
};
use proptest::prelude::*;

use crate::senders::{NOW, World, at, delivery, enveloped, header, secret_of, signed};

fn vendor() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["whatsapp", "hubspot", "standard-webhooks", "jobs"])
}

/// Text that looks a little like what belongs there.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "envelope.v1",
            "job.v1",
            "wake.v1",
            "jobs",
            "whatsapp",
            "1795176000",
            "v1,AAAA"
        ])
        .prop_map(str::to_owned),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<(String, Attribute)>> {
    let names =
        ["longshore-form", "longshore-source", "webhook-id", "webhook-timestamp", "webhook-signature"];
    let name = prop_oneof![any::<String>(), prop::sample::select(names.to_vec()).prop_map(str::to_owned)];
    let value = prop_oneof![text().prop_map(Attribute::Text), any::<Vec<u8>>().prop_map(Attribute::Binary)];
    prop::collection::vec((name, value), 0..10)
}

/// JSON of the shapes that vendors send, with anything in it.
fn almost_json() -> impl Strategy<Value = Vec<u8>> {
    let templates = [
        r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[@],"statuses":[@]}}]}]}"#,
        r#"[{"eventId":@,"subscriptionId":1,"portalId":@,"appId":1,"occurredAt":@,"subscriptionType":"contact.propertyChange","objectId":1,"propertyName":@}]"#,
        r#"{"specversion":"1.0","id":"msg_1","source":"s","type":"longshore.chat.usage.v1","time":@,"data":@}"#,
        r#"{"type":"longshore.chat.usage.v1","timestamp":"2026-11-20T12:00:00Z","data":@}"#,
        "@",
    ];
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        any::<String>().prop_map(|s| serde_json::Value::from(s).to_string()),
        Just(
            r#"{"id":"w","from":"1","timestamp":"1795176000","type":"text","text":{"body":"x"}}"#.to_owned()
        ),
        Just("null".to_owned()),
        any::<String>(),
    ];
    (prop::sample::select(templates.to_vec()), value)
        .prop_map(|(text, value)| text.replace('@', &value).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_delivery_makes_us_panic(body in prop_oneof![any::<String>(), almost_json().prop_map(|b| String::from_utf8_lossy(&b).into_owned())], attributes in attributes()) {
        let delivery = Delivery {
            message_id: "m".to_owned(), receipt: Receipt("r".to_owned()), body,
            attributes: attributes.into_iter().collect(), sent_at: NOW, receive_count: 1, group: None,
        };
        prop_assert!(World::new().check(&delivery).is_err(), "nobody signed it");
    }

    #[test]
    fn no_signed_body_makes_us_panic(vendor in vendor(), body in prop_oneof![any::<Vec<u8>>(), almost_json()]) {
        let world = World::new();
        let message = world.message(&enveloped(vendor, &signed(vendor, body, NOW), NOW));
        for item in read(&message) {
            match item {
                Ok(event) => prop_assert!(event.key.as_str().starts_with(vendor)),
                Err(bad) => prop_assert!(!bad.detail.is_empty() && bad.detail.len() <= 500),
            }
        }
    }

    #[test]
    fn df_2_whatever_is_altered_after_signing_never_verifies(
        vendor in vendor(), body in prop::collection::vec(any::<u8>(), 1..200), place in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let world = World::new();
        let mut request = signed(vendor, body, NOW);
        let at = place.index(request.body.len());
        request.body[at] ^= 1 << bit;
        let verdict = world.verdict(&enveloped(vendor, &request, NOW));
        prop_assert_eq!(verdict.as_deref(), Some("sig_invalid"));
    }

    #[test]
    fn df_2_no_other_header_value_verifies(vendor in vendor(), value in "[ -~]{1,120}") {
        let name = match vendor {
            "whatsapp" => "x-hub-signature-256",
            "hubspot" => "x-hubspot-signature-v3",
            _ => "webhook-signature",
        };
        let mut request = signed(vendor, b"{}".to_vec(), NOW);
        prop_assume!(request.header(name).as_deref() != Some(&value));
        header(&mut request, name, Some(&value));
        let verdict = World::new().verdict(&enveloped(vendor, &request, NOW));
        prop_assert_eq!(verdict.as_deref(), Some("sig_invalid"));
    }

    #[test]
    fn df_2_a_sealed_message_verifies_as_it_is_and_no_other(
        id in "[A-Za-z0-9_-]{1,128}", note in any::<String>(), off in -300_i64..=300, place in any::<prop::sample::Index>(),
    ) {
        let world = World::new();
        let job = serde_json::json!({ "id": id, "note": note });
        let key = SealKey { id: Some("jobs-1"), secret: secret_of("jobs") };
        let message = sign_job(&SourceName::from("jobs"), key, &job, at(off)).unwrap();
        let mut good = delivery(&message, NOW);
        prop_assert_eq!(world.verdict(&good), None);
        let mut letters: Vec<char> = good.body.chars().collect();
        let at = place.index(letters.len());
        letters[at] = if letters[at] == 'x' { 'y' } else { 'x' };
        good.body = letters.into_iter().collect();
        let verdict = world.verdict(&good);
        prop_assert_eq!(verdict.as_deref(), Some("sig_invalid"));
    }
}
