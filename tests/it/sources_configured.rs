//! What senders without code of their own say: read by configuration, as CloudEvents, or through AWS.

use longshore::{config::FieldSettings, domain::reason::Reason};
use serde_json::{Value, json};

use crate::{
    senders::NOW,
    taking_apart::{items, notice, of, only, place, with},
};

fn desk(fields: &mut FieldSettings) {
    fields.system = Some("desk".to_owned());
    fields.id = vec!["/id".to_owned()];
    fields.event_type = Some("/kind".to_owned());
    fields.time = Some("/when".to_owned());
    fields.account = Some("/shop/id".to_owned());
    fields.subject = Some("/about".to_owned());
}

fn ticket(more: Value) -> Value {
    let item = json!({ "id": "t-1", "kind": "ticket.closed", "when": "2026-11-20T12:00:00Z", "shop": { "id": 44 }, "about": 9 });
    with(item, more)
}

#[test]
fn rce_4a_a_sender_without_code_is_read_by_configuration() {
    let one = |more: Value| only(items("generic", ticket(more).to_string().as_bytes(), desk));
    let seen = one(json!({})).unwrap();
    assert_eq!(
        (seen.vendor_type.as_str(), seen.account.as_str(), seen.id.as_str()),
        ("ticket.closed", "44", "t-1")
    );
    assert_eq!((notice(&seen).system.as_str(), notice(&seen).subject.as_deref()), ("desk", Some("9")));
    assert_eq!(notice(&seen).data, ticket(json!({})));
    for when in [
        json!("2026-11-20T13:00:00+01:00"),
        json!(1_795_176_000),
        json!("1795176000"),
        json!(1_795_176_000_000_i64),
        json!("1795176000000"),
    ] {
        assert_eq!(one(json!({ "when": when })).unwrap().occurred_at, Some(NOW));
    }
    assert_eq!(one(json!({ "when": null, "about": null })).unwrap().occurred_at, None);
    assert_eq!(one(json!({ "id": u64::MAX })).unwrap().id, "18446744073709551615");
    for (more, expected) in [
        (json!({ "id": null }), "/id"),
        (json!({ "id": "" }), "/id"),
        (json!({ "id": 1.5 }), "/id"),
        (json!({ "id": 1e30 }), "/id"),
        (json!({ "id": { "a": 1 } }), "/id"),
        (json!({ "kind": true }), "/kind"),
        (json!({ "shop": {} }), "/shop/id"),
        (json!({ "when": "noon" }), "/when"),
        (json!({ "when": -1 }), "/when"),
        (json!({ "when": i64::MAX }), "/when"),
        (json!({ "when": [] }), "/when"),
        (json!({ "about": [] }), "/about"),
    ] {
        assert_eq!(place(&one(more)), (Reason::SchemaMismatch, expected));
    }
    // 2^64 has one digit too many: refused, and never rounded to a neighbour's id.
    let huge = ticket(json!({})).to_string().replace("\"t-1\"", "18446744073709551616");
    assert_eq!(place(&only(items("generic", huge.as_bytes(), desk))).1, "/id");
}

#[test]
fn rce_4a_lists_and_joined_ids_of_a_configured_sender() {
    let body = json!({ "batch": [{ "a": "x:y", "b": "z" }, { "a": "x" }, { "a": "x", "b": "y:z" }] });
    let found = items("generic", body.to_string().as_bytes(), |fields| {
        fields.items = Some("/batch".to_owned());
        fields.id = vec!["/a".to_owned(), "/b".to_owned()];
    });
    assert_eq!(found[0].as_ref().unwrap().id, "x%3Ay:z");
    assert_eq!(found[2].as_ref().unwrap().id, "x:y%3Az", "no two lists of parts meet");
    assert_eq!(
        (found[1].as_ref().unwrap_err().index, found[1].as_ref().unwrap_err().detail.starts_with("/b: ")),
        (Some(1), true)
    );
    let whole = items("generic", b"[{\"n\":1},{\"n\":2}]", |fields| {
        fields.items = Some(String::new());
        fields.id = vec!["/n".to_owned()];
    });
    assert_eq!(whole.iter().flatten().map(|seen| seen.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert!(only(items("generic", b"{\"id\":1}", |_| {})).unwrap_err().detail.contains("fields.id"));
    let no_list = only(items("generic", b"{\"batch\":{}}", |fields| {
        fields.items = Some("/batch".to_owned());
        fields.id = vec!["/n".to_owned()];
    }));
    assert_eq!(place(&no_list), (Reason::SchemaMismatch, "/batch"));
}

#[test]
fn cloudevents_are_told_apart_by_source_and_id() {
    let event = |more: Value| {
        let event = json!({ "specversion": "1.0", "id": "A 1", "source": "/ships/9", "type": "ship.left", "subject": "port", "data": { "n": 1 } });
        with(event, more)
    };
    let one = |more: Value| only(of("cloudevents", &event(more)));
    let seen = one(json!({ "time": "2026-11-20T12:00:00Z", "traceparent": "00-1" })).unwrap();
    assert_eq!(
        (seen.id.as_str(), seen.account.as_str(), seen.vendor_type.as_str()),
        ("/ships/9 A 1", "/ships/9", "ship.left")
    );
    assert_eq!((seen.occurred_at, notice(&seen).subject.as_deref()), (Some(NOW), Some("port")));
    assert_eq!(notice(&seen).data, json!({ "n": 1 }));
    let mut bytes = event(json!({ "data_base64": "AAH/", "datacontenttype": "image/png" }));
    bytes.as_object_mut().unwrap().remove("data");
    let batch = of("cloudevents", &json!([event(json!({})), bytes, 5]));
    assert_eq!(notice(batch[1].as_ref().unwrap()).data["data_base64"], "AAH/");
    assert_eq!(batch[2].as_ref().unwrap_err().index, Some(2));
    for (more, expected) in [
        (json!({ "specversion": "0.3" }), "/specversion"),
        (json!({ "id": 5 }), "/id"),
        (json!({ "source": "" }), "/source"),
        (json!({ "source": "a b" }), "/source"),
        (json!({ "type": null }), "/type"),
        (json!({ "time": "noon" }), "/time"),
        (json!({ "data_base64": "AAH/" }), "/data_base64"),
    ] {
        assert_eq!(place(&one(more)), (Reason::SchemaMismatch, expected));
    }
}

#[test]
fn eventbridge_events_keep_their_id_in_a_replay() {
    let event = json!({ "version": "0", "id": "e-1", "detail-type": "Order Paid", "source": "com.shop", "account": "111122223333",
        "time": "2026-11-20T12:00:00Z", "region": "eu-west-1", "resources": ["arn:x"], "detail": { "sum": 3 } });
    let seen = only(of("eventbridge", &event)).unwrap();
    assert_eq!((seen.id.as_str(), seen.account.as_str()), ("111122223333:eu-west-1:e-1", "111122223333"));
    assert_eq!((seen.vendor_type.as_str(), seen.occurred_at), ("Order Paid", Some(NOW)));
    assert_eq!((notice(&seen).system.as_str(), &notice(&seen).data), ("com.shop", &json!({ "sum": 3 })));
    let mut replayed = event.clone();
    replayed["replay-name"] = json!("again");
    assert_eq!(only(of("eventbridge", &replayed)).unwrap().id, seen.id);
    for name in ["id", "detail-type", "source", "account", "time", "detail"] {
        let mut bad = event.clone();
        bad.as_object_mut().unwrap().remove(name);
        assert_eq!(
            place(&only(of("eventbridge", &bad))),
            (Reason::SchemaMismatch, format!("/{name}").as_str())
        );
    }
}

#[test]
fn s3_records_name_objects_as_people_do() {
    let record = json!({ "eventSource": "aws:s3", "eventTime": "2026-11-20T12:00:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": { "bucket": { "name": "shelf" }, "object": { "key": "in/a+b%3Ac%26d%3De.csv", "versionId": "v2", "sequencer": "0055AED6" } } });
    let found = of("s3", &json!({ "Records": [record, { "eventSource": "aws:sns" }, record] }));
    let seen = found[0].as_ref().unwrap();
    assert_eq!(seen.id, "shelf:in/a+b%3Ac%26d%3De.csv:v2:0055AED6:ObjectCreated:Put");
    assert_eq!(
        (seen.account.as_str(), notice(seen).subject.as_deref()),
        ("shelf", Some("shelf/in/a b:c&d=e.csv"))
    );
    assert_eq!((seen.vendor_type.as_str(), seen.occurred_at), ("ObjectCreated:Put", Some(NOW)));
    assert_eq!(found[1].as_ref().unwrap_err().index, Some(1));
    assert!(
        of("s3", &json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "shelf" })).is_empty()
    );
    for body in [json!({}), json!([]), json!({ "Records": {} }), json!({ "Event": "other" })] {
        assert_eq!(place(&only(of("s3", &body))), (Reason::SchemaMismatch, "/Records"));
    }
}
