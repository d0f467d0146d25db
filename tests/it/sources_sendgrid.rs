//! What SendGrid says of our e-mails.

use longshore::domain::{
    event::{Channel, DeliveryState, Fact},
    reason::Reason,
};
use serde_json::{Value, json};

use crate::{
    senders::at,
    taking_apart::{items, notice, of, only, place, with},
};

fn email(event: &str, more: Value) -> Value {
    let item = json!({ "email": "leo@example.org", "timestamp": 1_795_175_000, "event": event,
        "sg_event_id": format!("id-{event}"), "sg_message_id": "aB_9.recvd-7f9c-1-66.0", "tenant": "north" });
    with(item, more)
}

#[test]
fn rce_4b_every_event_of_a_sendgrid_body() {
    let more = json!({ "status": "5.0.0", "category": ["a", "b"], "url": "https://x.example" });
    let names = [
        "processed",
        "deferred",
        "delivered",
        "open",
        "bounce",
        "dropped",
        "click",
        "spamreport",
        "unsubscribe",
        "group_unsubscribe",
        "group_resubscribe",
    ];
    let list = Value::Array(names.iter().map(|name| email(name, more.clone())).collect());
    // Vendors end their bodies with CRLF.
    let found = items("sendgrid", format!("{list}\r\n").as_bytes(), |_| {});
    let states: Vec<_> = found
        .iter()
        .flatten()
        .map(|seen| match &seen.fact {
            Fact::DeliveryStatus(told) => {
                assert_eq!((told.channel, told.vendor_id.as_str()), (Channel::Email, "aB_9"));
                assert_eq!(told.error_code.is_some(), told.state == DeliveryState::Failed);
                told.state.name()
            }
            _ => {
                assert_eq!(
                    (notice(seen).system.as_str(), notice(seen).subject.as_deref()),
                    ("sendgrid", Some("leo@example.org"))
                );
                "notice"
            }
        })
        .collect();
    assert_eq!(
        states,
        [
            "queued",
            "queued",
            "delivered",
            "read",
            "failed",
            "failed",
            "notice",
            "notice",
            "notice",
            "notice",
            "notice"
        ]
    );
    for (seen, name) in found.iter().flatten().zip(names) {
        assert_eq!((seen.vendor_type.as_str(), seen.id.as_str()), (name, format!("id-{name}").as_str()));
        assert_eq!((seen.account.as_str(), seen.occurred_at), ("north", Some(at(-1_000))));
    }
}

#[test]
fn sendgrids_ids_accounts_and_reserved_names() {
    let one = |more: Value| only(of("sendgrid", &json!([email("deferred", more)])));
    for (whole, stable) in [
        ("14aa.dfd.64b4.filter0007.1.5515E0B88.0", "14aa.dfd.64b4"),
        ("K_f-x.filterdrecv-p3-1-5", "K_f-x"),
        ("plain.p3-1", "plain"),
        ("alone", "alone"),
    ] {
        let Fact::DeliveryStatus(told) = one(json!({ "sg_message_id": whole })).unwrap().fact else {
            panic!()
        };
        assert_eq!(told.vendor_id, stable);
    }
    assert_eq!(one(json!({ "tenant": null })).unwrap().account, "");
    assert_eq!(one(json!({ "tenant": 17 })).unwrap().account, "17");
    assert_eq!(place(&one(json!({ "tenant": ["north", "south"] }))).1, "/tenant");

    let composite = |more: Value| {
        let mut item = email("deferred", more);
        item.as_object_mut().unwrap().remove("sg_event_id");
        only(of("sendgrid", &json!([item]))).unwrap().id
    };
    let (first, second) = (composite(json!({ "attempt": "1" })), composite(json!({ "attempt": "2" })));
    assert!(first.starts_with("composite-") && first != second && !first.contains("leo"), "{first}");
    assert_eq!(
        first,
        composite(json!({ "attempt": "1", "response": "later" })),
        "the same on every delivery"
    );

    let mut named = items(
        "sendgrid",
        json!([email("open", json!({ "shop": "west" }))]).to_string().as_bytes(),
        |fields| fields.account = Some("/shop".to_owned()),
    );
    assert_eq!(named.remove(0).unwrap().account, "west");

    let shadowed = r#"[{"email":"a@b.c","timestamp":1795175000,"event":"bounce","sg_event_id":"1","sg_message_id":"m.1","event":"delivered"}]"#;
    assert_eq!(
        only(items("sendgrid", shadowed.as_bytes(), |_| {})).unwrap_err().reason,
        Reason::SchemaMismatch
    );
}

#[test]
fn rce_4a_one_bad_event_of_a_sendgrid_body_is_refused_alone() {
    let list = json!([
        email("open", json!({})),
        email("open", json!({ "timestamp": "noon" })),
        7,
        email("open", json!({ "sg_event_id": 5 })),
        email("teleported", json!({})),
        email("open", json!({ "email": "" })),
        email("open", json!({ "sg_message_id": ".x" })),
        email("click", json!({}))
    ]);
    let found = of("sendgrid", &list);
    let refused: Vec<_> = found
        .iter()
        .enumerate()
        .filter_map(|(position, item)| {
            let refused = item.as_ref().err()?;
            assert_eq!(refused.index, Some(position));
            Some((position, refused.reason, refused.detail.split(": ").next().unwrap()))
        })
        .collect();
    let bad = Reason::SchemaMismatch;
    assert_eq!(
        refused,
        [
            (1, bad, "/timestamp"),
            (2, bad, ""),
            (3, bad, "/sg_event_id"),
            (4, Reason::UnknownType, "/event"),
            (5, bad, "/email"),
            (6, bad, "/sg_message_id")
        ]
    );
    for body in ["", "{}", "null", "[1", "[\"\u{0}\"]"] {
        let refused = only(items("sendgrid", body.as_bytes(), |_| {})).unwrap_err();
        assert_eq!(refused.reason, Reason::PayloadMalformed, "{body}");
    }
}
