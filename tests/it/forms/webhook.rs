//! `webhook.v1`: what a gateway can put on the queue by itself.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    domain::{delivery::Delivery, envelope::HttpRequest},
    sources::verified::Checked,
};

use super::{message, with_binary};
use crate::senders::{NOW, URL, World, at, signed};

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"420001","changes":[{"field":"messages","value":
{"metadata":{"phone_number_id":"710001"},"messages":[{"id":"wamid.G1","from":"34611222333","timestamp":"1795176000",
"type":"text","text":{"body":"¿cuánto? 🚢"}}]}}]}]}"#;

/// The request of a vendor as a gateway maps it: one attribute for each header.
fn mapped(source: &str, request: &HttpRequest, more: &[(&str, &str)]) -> Delivery {
    let mut attributes = vec![("longshore-form", "webhook.v1"), ("longshore-source", source)];
    attributes.extend(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    attributes.extend(more);
    message(String::from_utf8(request.body.clone()).unwrap(), &attributes, NOW)
}

fn whatsapp() -> HttpRequest {
    signed("whatsapp", BODY.into(), NOW)
}

#[test]
fn df_2_a_gateways_request_counts_by_its_vendors_signature() {
    let world = World::new();
    let read = |delivery: &Delivery| longshore::sources::read::read(&world.message(delivery));
    for event in read(&mapped("whatsapp", &whatsapp(), &[])) {
        assert_eq!(event.unwrap().key.as_str(), "whatsapp:420001/710001:msg:wamid.G1");
    }
    // Attribute names come in the spelling of the header.
    let signature = whatsapp().header("x-hub-signature-256").unwrap();
    let form = ("Longshore-Form", "webhook.v1");
    let shouted =
        message(BODY, &[form, ("longshore-source", "whatsapp"), ("X-Hub-Signature-256", &signature)], NOW);
    assert_eq!(world.verdict(&shouted), None);
    // One attribute for all headers, as an object or as pairs.
    for headers in [
        format!(r#"{{"X-Hub-Signature-256":"{signature}"}}"#),
        format!(r#"[["content-type","application/json"],["x-hub-signature-256","{signature}"]]"#),
    ] {
        let form = ("longshore-form", "webhook.v1");
        let one = message(BODY, &[form, ("longshore-source", "whatsapp"), ("headers", &headers)], NOW);
        assert_eq!(world.verdict(&one), None, "{headers}");
    }
}

#[test]
fn a_body_that_is_no_text_travels_as_base64() {
    let world = World::new();
    let request = signed("whatsapp", vec![0, 159, 255, 10], NOW);
    let mut delivery = mapped(
        "whatsapp",
        &HttpRequest { body: Vec::new(), ..request.clone() },
        &[("body-encoding", "base64")],
    );
    delivery.body = STANDARD.encode(&request.body);
    assert_eq!(world.verdict(&delivery), None);
    delivery.body.push('!');
    assert_eq!(world.verdict(&delivery).as_deref(), Some("envelope_malformed"));
}

#[test]
fn a_vendor_that_signs_its_url_needs_the_url() {
    let mut world = World::new();
    let request = signed("hubspot", b"[]".to_vec(), NOW);
    assert_eq!(world.verdict(&mapped("hubspot", &request, &[("url", URL), ("method", "POST")])), None);
    assert_eq!(world.verdict(&mapped("hubspot", &request, &[("url", URL)])), None, "POST is meant");
    for lost in [&[][..], &[("url", URL), ("method", "PUT")], &[("url", "https://hooks.example.test/in")]] {
        assert_eq!(
            world.verdict(&mapped("hubspot", &request, lost)).as_deref(),
            Some("sig_invalid"),
            "{lost:?}"
        );
    }
    world.source("hubspot").public_url = Some("https://elsewhere.example.test/".to_owned());
    assert_eq!(world.verdict(&mapped("hubspot", &request, &[("url", URL)])).as_deref(), Some("sig_invalid"));
}

/// DF-2: judged by the time of the queue; a redriven copy has a new one and counts only if the store knows the first.
#[test]
fn df_2_it_is_fresh_by_the_time_it_was_sent_and_known_by_what_it_holds() {
    let world = World::new();
    let first = mapped("hubspot", &signed("hubspot", b"[]".to_vec(), NOW), &[("url", URL)]);
    let seal = world.message(&first).seal_hash().to_owned();
    let redriven = Delivery { sent_at: at(9 * 86_400), message_id: "m-2".to_owned(), ..first.clone() };
    let doubtful = |delivery: &Delivery| match world.check(delivery) {
        Ok(Checked::IfKnown(doubtful)) => doubtful,
        other => panic!("{other:?}"),
    };
    assert_eq!(doubtful(&redriven).seal_hash(), seal);
    assert_eq!(doubtful(&redriven).resolve(false).unwrap_err().reason.code(), "sig_expired");
    assert!(doubtful(&redriven).resolve(true).is_ok());
    // Anything else is another message.
    let other = mapped("hubspot", &signed("hubspot", b"[ ]".to_vec(), NOW), &[("url", URL)]);
    assert_ne!(world.message(&other).seal_hash(), seal);
    let other = mapped("hubspot", &signed("hubspot", b"[]".to_vec(), NOW), &[("url", URL), ("x", "y")]);
    assert_ne!(world.message(&other).seal_hash(), seal);
}

#[test]
fn bv_9_what_no_gateway_sends_is_refused() {
    let mut world = World::new();
    for (name, value) in [
        ("body-encoding", "gzip"),
        ("body-encoding", "base64"),
        ("method", "post"),
        ("url", "/in"),
        ("headers", "not json"),
        ("headers", "[[\"a\"]]"),
        ("headers", r#"{"a":1}"#),
        ("headers", r#"{"a":"b\r\nx: y"}"#),
        ("headers", r#"{"a b":"c"}"#),
        ("longshore-source", "../etc"),
    ] {
        let verdict = world.verdict(&mapped("whatsapp", &whatsapp(), &[(name, value)]));
        assert_eq!(verdict.as_deref(), Some("envelope_malformed"), "{name} {value}");
    }
    let many = serde_json::json!(vec![["a", "1"]; 101]).to_string();
    let verdict = world.verdict(&mapped("whatsapp", &whatsapp(), &[("headers", &many)]));
    assert_eq!(verdict.as_deref(), Some("envelope_malformed"));
    let nobody = message(BODY, &[("longshore-form", "webhook.v1")], NOW);
    assert_eq!(world.verdict(&nobody).as_deref(), Some("unknown_source"));
    world.defaults.source = Some("whatsapp".to_owned());
    assert_eq!(world.verdict(&nobody).as_deref(), Some("sig_missing"), "the queue says whose it is");
}

/// Two values for one header prove nothing, wherever they stand; a binary attribute is no header.
#[test]
fn attributes_that_contradict_each_other_prove_nothing() {
    let world = World::new();
    let good = whatsapp().header("x-hub-signature-256").unwrap();
    let headers = format!(r#"{{"x-hub-signature-256":"{good}"}}"#);
    let twice = mapped("whatsapp", &whatsapp(), &[("headers", &headers)]);
    assert_eq!(world.verdict(&twice).as_deref(), Some("sig_invalid"));
    let cased = mapped("whatsapp", &whatsapp(), &[("X-HUB-Signature-256", &good)]);
    assert_eq!(world.verdict(&cased).as_deref(), Some("sig_invalid"));
    let bare = message(BODY, &[("longshore-form", "webhook.v1"), ("longshore-source", "whatsapp")], NOW);
    let binary = with_binary(bare, "x-hub-signature-256");
    assert_eq!(world.verdict(&binary).as_deref(), Some("sig_missing"));
    let altered =
        mapped("whatsapp", &HttpRequest { body: BODY.replace('🚢', "\u{fffd}").into(), ..whatsapp() }, &[]);
    assert_eq!(world.verdict(&altered).as_deref(), Some("sig_invalid"), "a replaced character");
}
