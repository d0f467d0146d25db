//! `aws.v1`: envelopes of AWS services, which count only on a queue whose policy vouches for its senders.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    config::KeySettings,
    domain::{delivery::Delivery, envelope::Form},
    sources::{
        contract::Order,
        decode::Defaults,
        scheme,
        sign::sign_request,
        verified::{Checked, Verified},
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::message;
use crate::senders::{NOW, World, decoded, signed};

const TOPIC: &str = "arn:aws:sns:eu-central-1:444455556666:crm";

fn trusted() -> Defaults {
    Defaults { trusted: true, ..Defaults::default() }
}

/// Senders that the queue's policy vouches for, and one that signs.
fn world() -> World {
    let mut world = World::new();
    world.defaults = trusted();
    for (name, origins) in [
        ("relay", &["aws.partner/salesforce.com/*"][..]),
        ("relay-one", &["aws.partner/salesforce.com/00Dx1/*"]),
        ("topic", &[TOPIC]),
        ("files", &["s3:acme-imports"]),
        ("events", &["/shop/orders", "shop"]),
    ] {
        let mut settings = world.sources["hubspot"].clone();
        settings.scheme = Some("queue".to_owned());
        settings.keys.clear();
        settings.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        settings.topic_arns = vec![TOPIC.to_owned()];
        world.sources.insert(name.to_owned(), settings);
    }
    world
}

fn sns(message: impl Into<String>) -> Value {
    json!({
        "Type": "Notification", "MessageId": "6f0c", "TopicArn": TOPIC, "Message": message.into(),
        "Timestamp": "2026-11-20T12:00:00.000Z", "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?x",
    })
}

fn event(source: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": "b2-77", "detail-type": "AccountChangeEvent", "source": source, "account": "444455556666",
        "time": "2026-11-20T12:00:00Z", "region": "eu-central-1", "resources": [], "detail": detail,
    })
}

fn records(bucket: &str) -> Value {
    json!({ "Records": [{ "eventSource": "aws:s3", "s3": { "bucket": { "name": bucket }, "object": { "key": "a+b" } } }] })
}

fn cloud(source: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "id": "1", "source": source, "type": "order.made", "data": data })
}

fn plain(body: impl Into<String>) -> Delivery {
    message(body, &[], NOW)
}

/// Whose it is and what is left of it; or why it is refused.
fn verdict(world: &World, delivery: &Delivery) -> Result<(String, Vec<u8>), String> {
    let Form::Aws(sent) = decoded(delivery, &world.defaults).map_err(|r| r.reason.to_string())?.form else {
        return Err("another form".to_owned());
    };
    match world.check(delivery) {
        Ok(Checked::Trusted(Verified::Message(proved))) => {
            Ok((proved.source().to_string(), sent.request.body))
        }
        Ok(other) => Err(format!("{other:?}")),
        Err(rejection) => Err(rejection.reason.to_string()),
    }
}

#[test]
fn each_envelope_is_known_and_its_origin_says_whose_it_is() {
    let world = world();
    let partner = "aws.partner/salesforce.com/00Dx1/0YLx";
    let transformed = json!({ "id": "1", "source": "shop", "type": "t", "time": "2026-11-20T12:00:00Z", "account": "4", "detail": { "a": 1 } });
    let base64 = json!({ "specversion": "1.0", "id": "1", "source": "/shop/orders", "type": "t", "data_base64": STANDARD.encode(b"\xff\x00") });
    // What comes, whose it is, what is left; `None`: all of it.
    let cases: [(Value, &str, Option<Value>); 11] = [
        (event(partner, &json!({ "payload": {} })), "relay-one", None),
        (event("aws.partner/salesforce.com/00Dy2/1", &json!({})), "relay", None),
        (transformed, "events", None),
        (sns(r#"[{"x":1}]"#), "topic", Some(json!([{ "x": 1 }]))),
        (sns(event(partner, &json!({})).to_string()), "relay-one", Some(event(partner, &json!({})))),
        (sns(event("unclaimed", &json!({})).to_string()), "topic", Some(event("unclaimed", &json!({})))),
        (records("acme-imports"), "files", None),
        (sns(records("acme-imports").to_string()), "files", Some(records("acme-imports"))),
        (cloud("/shop/orders", &json!({ "n": 1 })), "events", None),
        (base64, "events", None),
        (event("bus", &cloud("shop", &json!(1))), "events", Some(cloud("shop", &json!(1)))),
    ];
    for (body, source, left) in cases {
        let (found, rest) =
            verdict(&world, &plain(body.to_string())).unwrap_or_else(|why| panic!("{why}: {body}"));
        assert_eq!(found, source, "{body}");
        assert_eq!(serde_json::from_slice::<Value>(&rest).unwrap(), left.unwrap_or(body.clone()), "{body}");
    }
}

#[test]
fn the_name_in_the_message_comes_first_and_the_queues_default_last() {
    let mut world = world();
    let stranger = event("unclaimed", &json!({}));
    assert_eq!(verdict(&world, &plain(stranger.to_string())), Err("unknown_source".to_owned()));
    world.defaults.source = Some("events".to_owned());
    assert_eq!(verdict(&world, &plain(stranger.to_string())).unwrap().0, "events");
    let claimed = sns("x").to_string();
    let named = |form: &[(&str, &str)]| {
        message(claimed.clone(), &[&[("longshore-source", "files")], form].concat(), NOW)
    };
    assert_eq!(
        verdict(&world, &named(&[("longshore-form", "aws.v1")])),
        Ok(("files".to_owned(), b"x".to_vec()))
    );
    // Without a form, who names the sender is that sender: the body is theirs as it is.
    let message = world.message(&named(&[]));
    assert_eq!(message.source().as_str(), "files");
    assert!(
        matches!(decoded(&named(&[]), &trusted()).unwrap().form, Form::Webhook { request, .. } if request.body == claimed.as_bytes())
    );
    // What no service sends is raw: the default source's.
    assert_eq!(verdict(&world, &plain("[1]")), Ok(("events".to_owned(), b"[1]".to_vec())));
    // The form that the queue's settings name comes before the shape.
    world.defaults.form = Some("envelope.v1".to_owned());
    assert_eq!(world.verdict(&plain(claimed)).as_deref(), Some("envelope_malformed"));
}

#[test]
fn nothing_of_it_counts_on_a_queue_that_nobody_vouches_for() {
    let mut world = world();
    world.defaults.trusted = false;
    assert_eq!(world.verdict(&plain(event("shop", &json!({})).to_string())).as_deref(), Some("unknown_form"));
    let said = message(sns("x").to_string(), &[("longshore-form", "aws.v1")], NOW);
    assert_eq!(world.verdict(&said).as_deref(), Some("unknown_form"));
    for form in ["webhook.v1", "aws.v1"] {
        let own = message("[]", &[("longshore-form", form), ("longshore-source", "events")], NOW);
        let expected = if form == "aws.v1" { "unknown_form" } else { "sig_missing" };
        assert_eq!(world.verdict(&own).as_deref(), Some(expected));
    }
    // And where the queue is trusted, a sender that signs must still sign.
    world.defaults.trusted = true;
    let unsigned = message("[]", &[("longshore-source", "whatsapp")], NOW);
    assert_eq!(world.verdict(&unsigned).as_deref(), Some("sig_missing"));
    let forged_seal = message("{}", &[("longshore-form", "wake.v1")], NOW);
    assert_eq!(world.verdict(&forged_seal).as_deref(), Some("envelope_malformed"));
}

#[test]
fn a_topic_must_be_listed_and_what_it_carries_still_be_signed() {
    let mut world = world();
    world.source("topic").topic_arns.clear();
    assert_eq!(verdict(&world, &plain(sns("x").to_string())), Err("unknown_source".to_owned()));
    // Every topic on the way, also where the innermost envelope says whose it is.
    world.source("files").topic_arns = vec!["arn:aws:sns:eu-central-1:1:other".to_owned()];
    let through = sns(records("acme-imports").to_string()).to_string();
    assert_eq!(verdict(&world, &plain(through)), Err("unknown_source".to_owned()));

    let request = signed("whatsapp", b"{}".to_vec(), NOW);
    let whatsapp = world.source("whatsapp");
    (whatsapp.topic_arns, whatsapp.origins) = (vec![TOPIC.to_owned()], vec![format!("{TOPIC}*")]);
    let mut notification = sns("{}");
    let bare = plain(notification.to_string());
    assert_eq!(verdict(&world, &bare), Err("sig_missing".to_owned()));
    let signature = request.header("x-hub-signature-256").unwrap();
    notification["MessageAttributes"] = json!({
        "X-Hub-Signature-256": { "Type": "String", "Value": signature }, "n": { "Type": "Binary", "Value": "AAEC" },
    });
    assert_eq!(verdict(&world, &plain(notification.to_string())).unwrap().0, "whatsapp");
    notification["Message"] = json!("{ }");
    assert_eq!(verdict(&world, &plain(notification.to_string())), Err("sig_invalid".to_owned()));
}

#[test]
fn bv_9_envelopes_in_envelopes_end_at_the_third() {
    let world = world();
    let nested = |levels: usize| (0..levels).fold("[1]".to_owned(), |inner, _| sns(inner).to_string());
    assert_eq!(verdict(&world, &plain(nested(3))), Ok(("topic".to_owned(), b"[1]".to_vec())));
    assert_eq!(verdict(&world, &plain(nested(4))), Err("envelope_malformed".to_owned()));
    let fourth = sns(sns(sns(records("acme-imports").to_string()).to_string()).to_string());
    assert_eq!(verdict(&world, &plain(fourth.to_string())), Err("envelope_malformed".to_owned()));
    let mut deep = json!(1);
    for _ in 0..20 {
        deep = event("shop", &deep);
    }
    assert_eq!(verdict(&world, &plain(deep.to_string())), Err("envelope_malformed".to_owned()));
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let bomb = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
        let wrapped = format!(r#"{{"version":"0","detail-type":"t","source":"shop","detail":{bomb}}}"#);
        assert_eq!(verdict(&world, &plain(wrapped)).unwrap().0, "events", "the reader bounds what it parses");
        assert_eq!(verdict(&world, &plain(bomb)), Err("unknown_source".to_owned()));
    }
}

/// Fields of another type make a body something else, not an error; the first envelope of the order wins.
#[test]
fn bv_9_wrong_types_are_not_the_envelope_and_the_first_of_two_wins() {
    let world = world();
    for (pointer, value) in [
        ("/Type", json!(1)),
        ("/Type", json!("SubscriptionConfirmation")),
        ("/TopicArn", json!(["x"])),
        ("/Message", json!({ "x": 1 })),
        ("/Message", Value::Null),
    ] {
        let mut body = sns("x");
        *body.pointer_mut(pointer).unwrap() = value;
        assert_eq!(verdict(&world, &plain(body.to_string())), Err("unknown_source".to_owned()), "{pointer}");
    }
    for body in [
        json!({ "version": 0, "detail-type": "t", "source": "shop", "detail": {} }),
        json!({ "specversion": 1, "source": "shop" }),
        json!({ "specversion": "1.0", "source": 5 }),
        json!({ "Records": {} }),
        json!({ "Records": [] }),
        json!({ "Records": [{ "eventSource": "aws:s3", "s3": { "bucket": "acme-imports" } }] }),
        json!({ "Records": [records("acme-imports")["Records"][0], records("other")["Records"][0]] }),
        json!({ "Records": [{ "eventSource": "aws:dynamodb", "s3": { "bucket": { "name": "acme-imports" } } }] }),
    ] {
        assert_eq!(verdict(&world, &plain(body.to_string())), Err("unknown_source".to_owned()), "{body}");
    }
    let mut both = sns("inner");
    both.as_object_mut().unwrap().extend(event("shop", &json!({})).as_object().unwrap().clone());
    assert_eq!(verdict(&world, &plain(both.to_string())), Ok(("topic".to_owned(), b"inner".to_vec())));
}

#[test]
fn what_amazon_s3_sends_to_try_the_queue_is_dropped() {
    let world = world();
    let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "acme-imports" });
    for body in [test.to_string(), sns(test.to_string()).to_string()] {
        assert!(matches!(world.check(&plain(body)), Ok(Checked::Trusted(Verified::Nothing))));
    }
    let other = json!({ "Event": "s3:TestEvent" }).to_string();
    assert_eq!(verdict(&world, &plain(other)), Err("unknown_source".to_owned()));
}

/// What EventBridge could not deliver lies in its rule's own dead-letter queue, with attributes of its own.
#[test]
fn what_comes_back_from_a_rules_dead_letter_queue_is_taken() {
    let attributes = [
        ("RULE_ARN", "arn:aws:events:eu-central-1:4:rule/r"),
        ("TARGET_ARN", "arn:aws:sqs:eu-central-1:4:q"),
        ("ERROR_CODE", "NO_PERMISSIONS"),
        ("ERROR_MESSAGE", "not\nallowed"),
        ("EXHAUSTED_RETRY_CONDITION", "MaximumRetryAttempts"),
        ("RETRY_ATTEMPTS", "185"),
    ];
    let back = message(event("shop", &json!({})).to_string(), &attributes, NOW);
    assert_eq!(verdict(&world(), &back).unwrap().0, "events");
}

/// Bodies and attributes that look a little like what is known.
fn almost() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|s| json!(s)),
        any::<i64>().prop_map(|n| json!(n)),
        Just(Value::Null),
        prop::sample::select(vec![
            "Notification",
            "0",
            "1.0",
            "shop",
            TOPIC,
            "aws:s3",
            "s3:TestEvent",
            "Amazon S3"
        ])
        .prop_map(|s| json!(s)),
    ];
    let keys = vec![
        "Type",
        "TopicArn",
        "Message",
        "MessageAttributes",
        "version",
        "detail-type",
        "source",
        "detail",
        "specversion",
        "data",
        "data_base64",
        "Records",
        "eventSource",
        "s3",
        "bucket",
        "name",
        "Event",
        "Service",
        "id",
        "Value",
    ];
    let tree = leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::hash_map(prop::sample::select(keys.clone()), inner.clone(), 0..8)
                .prop_map(|map| map.into_iter().collect::<Value>()),
            inner.prop_map(|value| sns(value.to_string())),
        ]
    });
    prop_oneof![4 => tree.prop_map(|value| value.to_string()), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_delivery_to_a_trusted_queue_makes_us_panic(
        body in almost(),
        form in prop::sample::select(vec!["", "aws.v1", "webhook.v1", "envelope.v1", "job.v1"]),
        attributes in prop::collection::vec((prop::sample::select(vec![
            "headers", "method", "url", "body-encoding", "content-encoding", "ExtendedPayloadSize", "longshore-source", "a",
        ]), prop_oneof![any::<String>(), Just("gzip".to_owned()), Just("events".to_owned()), Just("base64".to_owned())]), 0..6),
    ) {
        let mut delivery = plain(body);
        crate::senders::set(&mut delivery, "longshore-form", form);
        for (name, value) in attributes {
            crate::senders::set(&mut delivery, name, &value);
        }
        // Whatever it is: an answer, and no word of the body in it.
        if let Err(rejection) = world().check(&delivery) {
            prop_assert!(!rejection.detail.is_empty() && rejection.detail.len() <= 500);
        }
    }
}

/// A topic whose certificate is configured must sign, too, whatever the queue's policy says.
#[test]
fn df_2_a_notification_is_held_against_the_topics_certificate_where_there_is_one() {
    let mut world = world();
    let certificate = include_str!("../../fixtures/signatures/harbour-rsa.cert.pem");
    world.source("topic").keys = vec![KeySettings::of_text("2026", certificate)];
    let settings = world.sources["topic"].clone();
    let order = Order {
        secret: include_str!("../../fixtures/signatures/harbour-rsa.key.pem"),
        key_id: None,
        method: "POST",
        url: "https://queue.test/",
        body: sns(r#"[{"x":1}]"#).to_string().into_bytes(),
        id: "6f0c",
        at: NOW,
        settings: &settings,
    };
    let request = sign_request(scheme("sns").unwrap(), &order).unwrap();
    let good: Value = serde_json::from_slice(&request.body).unwrap();
    let judged = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        verdict(&world, &plain(body.to_string())).map(|(source, _)| source)
    };
    assert_eq!(judged(&|_| {}), Ok("topic".to_owned()));
    let refused = |code: &str| Err(code.to_owned());
    assert_eq!(judged(&|body| body["Message"] = json!(r#"[{"x":2}]"#)), refused("sig_invalid"));
    assert_eq!(
        judged(&|body| body["TopicArn"] = json!("arn:aws:sns:eu-central-1:1:crm")),
        refused("unknown_source")
    );
    assert_eq!(
        judged(&|body| {
            body.as_object_mut().unwrap().remove("Signature");
        }),
        refused("sig_missing")
    );
}
