//! What a message body holds: every form, and every way in which it is not one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    domain::{
        delivery::{Attribute, Delivery},
        envelope::Form,
    },
    sources::{decode::Defaults, sign::SignedMessage},
};
use serde_json::{Value, json};

use crate::senders::{NOW, decoded, delivery, set};

fn plain(form: Option<&str>, body: &str) -> Delivery {
    let attributes = form.map(|form| ("longshore-form".to_owned(), form.to_owned()));
    delivery(&SignedMessage { body: body.to_owned(), attributes: attributes.into_iter().collect() }, NOW)
}

fn reason(delivery: &Delivery) -> &'static str {
    decoded(delivery, &Defaults::default()).unwrap_err().reason.code()
}

fn envelope() -> Value {
    json!({
        "v": 1, "id": "ing_1", "source": "shop", "received_at_ms": 1_795_176_000_000_i64,
        "request": {
            "method": "POST", "url": "https://a.test/x", "headers": [["a", "1"], ["a", "2"]],
            "body_base64": STANDARD.encode([0, 159, 255])
        },
        "peer": { "ip": "203.0.113.9" }
    })
}

#[test]
fn an_envelope_keeps_every_byte() {
    let envelope =
        decoded(&plain(Some("envelope.v1"), &envelope().to_string()), &Defaults::default()).unwrap();
    let Form::Request { id, source, received_at, request, .. } = envelope.form else {
        panic!("another form")
    };
    assert_eq!((id.as_str(), source.as_str(), received_at), ("ing_1", "shop", NOW));
    assert_eq!(request.body, [0, 159, 255]);
    assert_eq!(request.header("A").as_deref(), Some("1, 2"));
}

#[test]
fn the_form_is_said_never_guessed() {
    let body = envelope().to_string();
    assert_eq!(reason(&plain(None, &body)), "unknown_form");
    for (form, code) in [
        ("fax.v1", "unknown_form"),
        ("aws.v1", "unknown_form"),
        ("", "unknown_form"),
        ("Envelope.v1", "unknown_form"),
        ("envelope.v2", "unknown_version"),
        ("job.v99", "unknown_version"),
        ("wake.v0", "unknown_version"),
        ("webhook.v2", "unknown_version"),
    ] {
        assert_eq!(reason(&plain(Some(form), &body)), code, "{form}");
    }
    let mut binary = plain(None, &body);
    binary.attributes.insert("longshore-form".to_owned(), Attribute::Binary(b"envelope.v1".to_vec()));
    assert_eq!(reason(&binary), "unknown_form");
    let defaults = Defaults { form: Some("envelope.v1".to_owned()), ..Defaults::default() };
    assert!(decoded(&plain(None, &body), &defaults).is_ok());
}

#[test]
fn bv_7_versions_that_are_not_known_are_named_as_such() {
    for (v, code) in [
        (json!(2), "unknown_version"),
        (json!(99), "unknown_version"),
        (json!(1.5), "unknown_version"),
        (json!("1"), "envelope_malformed"),
        (Value::Null, "envelope_malformed"),
    ] {
        let mut body = envelope();
        body["v"] = v.clone();
        assert_eq!(reason(&plain(Some("envelope.v1"), &body.to_string())), code, "{v}");
    }
}

#[test]
fn bv_9_an_envelope_that_is_not_one_is_refused_with_its_place() {
    let broken: [(&str, Value); 12] = [
        ("/id", json!("with space")),
        ("/id", json!("")),
        ("/source", json!("../etc")),
        ("/received_at_ms", json!(-1)),
        ("/received_at_ms", json!(u64::MAX)),
        ("/request/method", json!("post")),
        ("/request/url", json!("/x")),
        ("/request/headers", json!({ "a": "1" })),
        ("/request/headers", json!(vec![["a", "1"]; 101])),
        ("/request/body_base64", json!("not base64!")),
        ("/request/body_base64", json!("QQ")),
        ("/request/body_base64", Value::Null),
    ];
    for (pointer, value) in broken {
        let mut body = envelope();
        *body.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(
            reason(&plain(Some("envelope.v1"), &body.to_string())),
            "envelope_malformed",
            "{pointer} {value}"
        );
    }
    for extra in ["/extra", "/request/extra"] {
        let mut body = envelope();
        let (parent, name) = extra.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = json!(1);
        assert_eq!(reason(&plain(Some("envelope.v1"), &body.to_string())), "envelope_malformed", "{extra}");
    }
}

#[test]
fn a_body_is_here_or_elsewhere_and_never_both() {
    let place = json!({ "bucket": "b", "key": "k", "length": 9, "sha256": "0".repeat(64) });
    let with = |body: Option<&str>, place: Option<Value>| {
        let mut envelope = envelope();
        let request = envelope["request"].as_object_mut().unwrap();
        request.remove("body_base64");
        request.extend(body.map(|body| ("body_base64".to_owned(), json!(body))));
        request.extend(place.map(|place| ("body_ref".to_owned(), place)));
        plain(Some("envelope.v1"), &envelope.to_string())
    };
    let decoded_ref = decoded(&with(None, Some(place.clone())), &Defaults::default()).unwrap();
    let Form::Request { body_ref: Some(found), .. } = decoded_ref.form else { panic!("no reference") };
    assert_eq!((found.bucket.as_deref(), found.key.as_str(), found.length), (Some("b"), "k", 9));
    for (name, value) in [
        ("sha256", json!("00")),
        ("sha256", json!("g".repeat(64))),
        ("length", json!(-1)),
        ("key", json!(1)),
        ("x", json!(1)),
    ] {
        let mut bad = place.clone();
        bad[name] = value.clone();
        assert_eq!(reason(&with(None, Some(bad))), "envelope_malformed", "{name} {value}");
    }
    let both = decoded(&with(Some("QQ=="), Some(place)), &Defaults::default()).unwrap_err();
    assert!(both.detail.contains("both"), "{both}");
    assert_eq!(both.source.unwrap().as_str(), "shop");
    assert_eq!(reason(&with(None, None)), "envelope_malformed");
}

#[test]
fn bv_9_ten_thousand_levels_overflow_nothing() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        for form in ["envelope.v1", "wake.v1"] {
            assert_eq!(reason(&plain(Some(form), &deep)), "envelope_malformed");
        }
        let inside =
            envelope().to_string().replacen("\"peer\":{", &format!("\"peer\":{{\"deep\":{deep},"), 1);
        // Ignored without recursion, or refused: either way the process lives.
        drop(decoded(&plain(Some("envelope.v1"), &inside), &Defaults::default()));
    }
}

#[test]
fn a_message_larger_than_the_queue_allows_is_refused() {
    assert_eq!(reason(&plain(Some("job.v1"), &"x".repeat(1_048_576))), "oversize");
}

#[test]
fn a_job_names_its_source_and_a_wake_its_event() {
    let mut job = plain(Some("job.v1"), "{}");
    assert_eq!(reason(&job), "unknown_source");
    set(&mut job, "longshore-source", "no/slash");
    assert_eq!(reason(&job), "envelope_malformed");
    set(&mut job, "longshore-source", "backend");
    assert!(
        matches!(decoded(&job, &Defaults::default()).unwrap().form, Form::Job { source, .. } if source.as_str() == "backend")
    );

    let wake = plain(Some("wake.v1"), r#"{"event_key":"s:a:1","revision":3}"#);
    assert!(
        matches!(decoded(&wake, &Defaults::default()).unwrap().form, Form::Wake { revision, .. } if revision.0 == 3)
    );
    for bad in [
        r#"{"event_key":"s:a:1"}"#,
        r#"{"event_key":1,"revision":0}"#,
        r#"{"event_key":"k","revision":0,"x":1}"#,
    ] {
        assert_eq!(reason(&plain(Some("wake.v1"), bad)), "envelope_malformed", "{bad}");
    }
}

#[test]
fn df_4_details_hold_nothing_of_the_body() {
    let body = envelope().to_string().replace("\"POST\"", "{\"card\":\"4111111111111111\"}");
    let refused = decoded(&plain(Some("envelope.v1"), &body), &Defaults::default()).unwrap_err();
    assert!(!refused.detail.contains("4111") && refused.detail.contains("line 1"), "{refused}");
}
