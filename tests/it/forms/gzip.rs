//! Compressed bodies: of vendors, signed as they travelled, and of message bodies, sealed as sent.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use longshore::{
    config::SourceSettings,
    domain::{delivery::Delivery, envelope::HttpRequest, ids::SourceName},
    sources::{
        read::read,
        sign::{SealKey, SignedMessage, seal_envelope, sign_job},
    },
};
use serde_json::json;

use crate::senders::{EDGE, NOW, World, delivery, enveloped, header, refused, secret_of, set, signed};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Megabytes of nothing, a thousandth of that in size.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..megabytes {
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

const EVENT: &str = r#"[{"eventId":1,"subscriptionId":5,"portalId":8,"appId":7,"occurredAt":1795176000000,
"subscriptionType":"contact.creation","objectId":3}]"#;

/// A vendor's request with this body, which it has signed, and this header.
fn vendors(body: Vec<u8>, encoding: Option<&str>) -> Delivery {
    let mut request = signed("hubspot", body, NOW);
    header(&mut request, "content-encoding", encoding);
    enveloped("hubspot", &request, NOW)
}

/// The reason for what a vendor's body gives; `None` when it is read.
fn judged(body: Vec<u8>, encoding: Option<&str>) -> Option<&'static str> {
    let items = read(&World::new().message(&vendors(body, encoding)));
    refused(&items).first().map(|(_, reason)| reason.code())
}

#[test]
fn bv_8d_a_vendors_compressed_body_is_signed_as_it_travelled_and_read_as_it_was_meant() {
    let packed = gzip(EVENT.as_bytes());
    for encoding in ["gzip", "GZIP", "x-gzip"] {
        assert_eq!(judged(packed.clone(), Some(encoding)), None);
    }
    assert_eq!(judged(EVENT.into(), Some("identity")), None);
    let (start, end) = EVENT.as_bytes().split_at(40);
    assert_eq!(
        judged([gzip(start), gzip(b""), gzip(end)].concat(), Some("gzip")),
        None,
        "several members are one body"
    );
    let mut altered = signed("hubspot", packed, NOW);
    header(&mut altered, "content-encoding", Some("gzip"));
    altered.body = gzip(EVENT.replace("\"objectId\":3", "\"objectId\":4").as_bytes());
    assert_eq!(World::new().verdict(&enveloped("hubspot", &altered, NOW)).as_deref(), Some("sig_invalid"));
}

#[test]
fn bv_9_what_is_not_gzip_to_its_end_is_malformed_and_a_bomb_oversize() {
    let packed = gzip(EVENT.as_bytes());
    for (body, encoding, code) in [
        (EVENT.into(), "gzip", "payload_malformed"),
        (packed.clone(), "", "payload_malformed"),
        (packed.clone(), "br", "payload_malformed"),
        (packed.clone(), "gzip, gzip", "payload_malformed"),
        (packed[..packed.len() - 5].to_vec(), "gzip", "payload_malformed"),
        ([&packed[..], b"garbage"].concat(), "gzip", "payload_malformed"),
        ([&packed[..], &[0; 600]].concat(), "gzip", "payload_malformed"),
        (gzip(&packed), "gzip", "payload_malformed"),
        (Vec::new(), "gzip", "payload_malformed"),
        (bomb(64), "gzip", "oversize"),
        ([gzip(&vec![b' '; 700_000]), gzip(&vec![b' '; 700_000])].concat(), "gzip", "oversize"),
    ] {
        assert!(body.len() < 100_000);
        assert_eq!(judged(body, Some(encoding)), Some(code), "{encoding}");
    }
    let mut flipped = packed;
    let middle = flipped.len() - 6;
    flipped[middle] ^= 1;
    assert_eq!(judged(flipped, Some("gzip")), Some("payload_malformed"), "the checksum counts");
}

/// An envelope whose JSON was compressed before it was sealed.
fn packed_envelope(body: &[u8], pad: usize) -> Delivery {
    let request = signed("hubspot", body.to_vec(), NOW);
    let request = HttpRequest {
        headers: [&request.headers[..], &[("pad".to_owned(), " ".repeat(pad))]].concat(),
        ..request
    };
    let key = SealKey { id: Some("edge"), secret: EDGE };
    let plain =
        seal_envelope(&SourceName::from("hubspot"), key, "ing_1", (&request, &Default::default()), NOW, NOW);
    reseal(plain.unwrap(), key)
}

/// Compresses a message's body and signs it anew, as a sender of a compressed message does.
fn reseal(message: SignedMessage, key: SealKey<'_>) -> Delivery {
    let body = STANDARD.encode(gzip(message.body.as_bytes()));
    let id = message.attributes["webhook-id"].clone();
    let order = longshore::sources::contract::Order {
        secret: key.secret,
        key_id: key.id,
        method: "POST",
        url: "https://x.test",
        body: body.clone().into_bytes(),
        id: &id,
        at: NOW,
        settings: &SourceSettings::of_vendor("jobs").unwrap(),
    };
    let scheme = longshore::sources::scheme("longshore").unwrap();
    let signature =
        longshore::sources::sign::sign_request(scheme, &order).unwrap().header("webhook-signature").unwrap();
    let mut packed = delivery(&SignedMessage { body, attributes: message.attributes }, NOW);
    set(&mut packed, "webhook-signature", &signature);
    set(&mut packed, "content-encoding", "gzip");
    packed
}

/// BV-8d: a compressed envelope gives the same result.
#[test]
fn bv_8d_a_compressed_message_body_is_sealed_as_it_is_sent() {
    let world = World::new();
    let plain = read(&world.message(&vendors(EVENT.into(), None)));
    let mut packed = packed_envelope(EVENT.as_bytes(), 0);
    assert_eq!(read(&world.message(&packed)), plain);
    set(&mut packed, "content-encoding", "deflate");
    assert_eq!(world.verdict(&packed).as_deref(), Some("envelope_malformed"));
    packed.attributes.remove("content-encoding");
    assert_eq!(world.verdict(&packed).as_deref(), Some("envelope_malformed"));
    // More than a message can hold, and more than anybody needs.
    assert_eq!(world.verdict(&packed_envelope(EVENT.as_bytes(), 2 << 20)), None);
    assert_eq!(world.verdict(&packed_envelope(EVENT.as_bytes(), 9 << 20)).as_deref(), Some("oversize"));
}

#[test]
fn bv_8d_a_compressed_job_is_unpacked_after_its_signature() {
    let mut world = World::new();
    let job = |pad: usize| {
        json!({
            "specversion": "1.0", "id": "j_1", "source": "s", "type": "longshore.chat.usage.v1", "pad": " ".repeat(pad),
            "data": { "chat_id": "c", "provider": "openai", "model": "gpt-4o-mini", "latency_ms": 1,
                "usage": { "uncached_input": 1, "output": 1 }, "ended_at": "2026-11-20T12:00:00Z" },
        })
    };
    let key = SealKey { id: None, secret: secret_of("jobs") };
    let packed = |pad| reseal(sign_job(&SourceName::from("jobs"), key, &job(pad), NOW).unwrap(), key);
    assert_eq!(read(&world.message(&packed(900_000))), read(&world.message(&packed(0))));
    assert!(read(&world.message(&packed(0)))[0].is_ok());
    assert_eq!(world.verdict(&packed(2 << 20)).as_deref(), Some("oversize"));
    world.source("jobs").max_body = 3 << 20;
    assert_eq!(world.verdict(&packed(2 << 20)), None, "NX-44: a large import fits compressed");
    let mut forged = packed(0);
    forged.body = STANDARD.encode(bomb(1));
    assert_eq!(world.verdict(&forged).as_deref(), Some("sig_invalid"), "nothing is unpacked for a stranger");
}
