//! Bodies that lie in an object store: pointers of the extended client libraries, and envelopes that refer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use longshore::{
    domain::{
        delivery::Delivery,
        envelope::{BodyRef, Peer},
        ids::SourceName,
    },
    queue::objects::{ObjectError, ObjectStore},
    sources::{
        objects::Objects,
        read::read,
        sign::{SealKey, seal_referring_envelope},
    },
};
use serde_json::json;

use super::message;
use crate::senders::{EDGE, NOW, STRANGER, World, delivery, enveloped, set, signed};

/// Objects by bucket and key; and every bucket and key that was asked for.
#[derive(Default)]
struct Shelf {
    objects: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    asked: Mutex<Vec<String>>,
    down: Mutex<bool>,
}

impl Shelf {
    fn lay(&self, bucket: &str, key: &str, body: impl Into<Vec<u8>>) {
        self.objects.lock().unwrap().insert((bucket.to_owned(), key.to_owned()), body.into());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl ObjectStore for Shelf {
    async fn get(&self, bucket: &str, key: &str, cap: usize) -> Result<Vec<u8>, ObjectError> {
        self.asked.lock().unwrap().push(format!("{bucket}/{key}"));
        if *self.down.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(ObjectError::Unavailable("down".to_owned()));
        }
        match self.objects.lock().unwrap().get(&(bucket.to_owned(), key.to_owned())) {
            Some(body) if body.len() > cap => Err(ObjectError::TooLarge),
            Some(body) => Ok(body.clone()),
            None => Err(ObjectError::Missing),
        }
    }

    async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<(), ObjectError> {
        self.lay(bucket, key, body);
        Ok(())
    }
}

fn world() -> (World, Arc<Shelf>) {
    let (mut world, shelf) = (World::new(), Arc::new(Shelf::default()));
    let store: Arc<dyn ObjectStore> = Arc::clone(&shelf) as _;
    world.objects = Objects::new(store, vec!["big".to_owned()], Some("own".to_owned()), 2_000_000);
    (world, shelf)
}

const CLASS: &str = "software.amazon.payloadoffloading.PayloadS3Pointer";

/// The message as the library sends it once its body lies in the object.
fn offloaded(original: &Delivery, bucket: &str, key: &str) -> Delivery {
    let mut pointer = original.clone();
    pointer.body = json!([CLASS, { "s3BucketName": bucket, "s3Key": key }]).to_string();
    set(&mut pointer, "ExtendedPayloadSize", &original.body.len().to_string());
    pointer
}

fn envelope() -> Delivery {
    enveloped("whatsapp", &signed("whatsapp", b"{}".to_vec(), NOW), NOW)
}

/// NX-44: a message that is too large for the queue is the same message.
#[test]
fn nx_44_a_pointers_object_is_the_message() {
    let (mut world, shelf) = world();
    let request = signed("hubspot", format!("[{}]", " ".repeat(1_200_000)).into_bytes(), NOW);
    let large = enveloped("hubspot", &request, NOW);
    shelf.lay("big", "k/1", large.body.clone());
    assert_eq!(world.verdict(&large).as_deref(), Some("oversize"));
    let pointer = offloaded(&large, "big", "k/1");
    assert_eq!(world.verdict(&pointer).as_deref(), Some("oversize"), "the source takes a megabyte");
    world.source("hubspot").max_body = 2 << 20;
    assert_eq!(world.verdict(&pointer), None);
    // Version 1 of the library; and what it says of the size is not believed.
    let mut old = pointer.clone();
    old.body = old.body.replace(CLASS, "com.amazon.sqs.javamessaging.MessageS3Pointer");
    old.attributes.remove("ExtendedPayloadSize");
    set(&mut old, "SQSLargePayloadSize", "1");
    assert_eq!(world.verdict(&old), None);
}

#[test]
fn bv_9_a_pointer_reaches_listed_buckets_only() {
    let (mut world, shelf) = world();
    let good = envelope();
    for bucket in ["big", "secrets", "own"] {
        shelf.lay(bucket, "k", good.body.clone());
    }
    assert_eq!(world.verdict(&offloaded(&good, "big", "k")), None);
    assert_eq!(world.verdict(&offloaded(&good, "own", "k")), None);
    let asked = shelf.asked();
    for bucket in ["secrets", "", "big ", "Big", "big/", "../big"] {
        assert_eq!(
            world.verdict(&offloaded(&good, bucket, "k")).as_deref(),
            Some("object_refused"),
            "{bucket}"
        );
    }
    for key in [String::new(), "k".repeat(1025)] {
        assert_eq!(world.verdict(&offloaded(&good, "big", &key)).as_deref(), Some("envelope_malformed"));
    }
    assert_eq!(shelf.asked(), asked, "nothing is asked for");
    world.objects = Objects::none();
    assert_eq!(world.verdict(&offloaded(&good, "big", "k")).as_deref(), Some("object_refused"));
}

#[test]
fn bv_9_what_a_pointer_can_do_wrong() {
    let (world, shelf) = world();
    let good = envelope();
    let pointer = |key: &str| offloaded(&good, "big", key);
    shelf.lay("big", "large", vec![b' '; 2_000_001]);
    shelf.lay("big", "binary", vec![0xff]);
    shelf.lay("big", "other", envelope().body.replace("ing_1", "ing_9"));
    shelf.lay("big", "again", pointer("again").body);
    for (key, code) in [
        ("nothing", "object_missing"),
        ("large", "oversize"),
        ("binary", "envelope_malformed"),
        ("other", "sig_invalid"),
        ("again", "envelope_malformed"),
    ] {
        assert_eq!(world.verdict(&pointer(key)).as_deref(), Some(code), "{key}");
    }
    for body in [
        "{}",
        "[]",
        r#"["x",{"s3BucketName":"big","s3Key":"k"}]"#,
        r#"[1,2]"#,
        &format!(r#"["{CLASS}",{{}}]"#),
        &format!(r#"["{CLASS}",{{"s3BucketName":["big"],"s3Key":"k"}}]"#),
    ] {
        let mut bad = pointer("k");
        bad.body = body.to_owned();
        assert_eq!(world.verdict(&bad).as_deref(), Some("envelope_malformed"), "{body}");
    }
    // A body that only looks like a pointer is a body.
    let mut unmarked = pointer("again");
    unmarked.attributes.remove("ExtendedPayloadSize");
    let asked = shelf.asked();
    assert_eq!(world.verdict(&unmarked).as_deref(), Some("envelope_malformed"));
    assert_eq!(shelf.asked(), asked);
    *shelf.down.lock().unwrap() = true;
    assert_eq!(world.verdict(&pointer("k")).as_deref(), Some("object_unavailable"));
}

/// An envelope that refers to a body, as an edge makes it.
fn referring(place: &BodyRef, body: &[u8], secret: &str) -> Delivery {
    let request = signed("whatsapp", body.to_vec(), NOW);
    let key = SealKey { id: None, secret };
    let parts = (&request, &Peer::default(), place);
    delivery(
        &seal_referring_envelope(&SourceName::from("whatsapp"), key, "ing_1", parts, NOW, NOW).unwrap(),
        NOW,
    )
}

#[test]
fn a_body_that_an_edge_put_away_is_the_requests_body() {
    let (world, shelf) = world();
    let body = br#"{"object":"whatsapp_business_account","entry":[]}"#.to_vec();
    let place = world.objects.put("ing_1", body.clone()).now_or_never().unwrap().unwrap();
    assert_eq!((place.bucket.as_deref(), place.length), (Some("own"), body.len() as u64));
    let message = world.message(&referring(&place, &body, EDGE));
    assert!(read(&message).is_empty(), "it is read, and holds nothing");
    assert_eq!(world.verdict(&referring(&BodyRef { bucket: None, ..place.clone() }, &body, EDGE)), None);
    let _ = shelf;
    assert!(Objects::none().put("x", Vec::new()).now_or_never().unwrap().is_err());
}

#[test]
fn df_2_nothing_is_fetched_before_the_seal_and_only_the_sealed_bytes_count() {
    let (mut world, shelf) = world();
    let body = b"{}".to_vec();
    let place = world.objects.put("ing_1", body.clone()).now_or_never().unwrap().unwrap();
    assert_eq!(world.verdict(&referring(&place, &body, STRANGER)).as_deref(), Some("sig_invalid"));
    let mut unsealed = referring(&place, &body, EDGE);
    unsealed.attributes.remove("webhook-signature");
    assert_eq!(world.verdict(&unsealed).as_deref(), Some("sig_missing"));
    let too_long = BodyRef { length: 2 << 20, ..place.clone() };
    assert_eq!(world.verdict(&referring(&too_long, &body, EDGE)).as_deref(), Some("oversize"));
    let other_bucket = BodyRef { bucket: Some("secrets".to_owned()), ..place.clone() };
    assert_eq!(world.verdict(&referring(&other_bucket, &body, EDGE)).as_deref(), Some("object_refused"));
    assert_eq!(shelf.asked(), 0);

    let lie = BodyRef { length: 1, ..place.clone() };
    assert_eq!(world.verdict(&referring(&lie, &body, EDGE)).as_deref(), Some("sig_invalid"));
    let missing = BodyRef { key: "longshore/bodies/none".to_owned(), ..place.clone() };
    assert_eq!(world.verdict(&referring(&missing, &body, EDGE)).as_deref(), Some("object_missing"));
    shelf.lay("own", &place.key, b"[]");
    assert_eq!(
        world.verdict(&referring(&place, &body, EDGE)).as_deref(),
        Some("sig_invalid"),
        "another body of its length"
    );
    shelf.lay("own", &place.key, vec![b' '; 2 << 20]);
    assert_eq!(world.verdict(&referring(&place, &body, EDGE)).as_deref(), Some("oversize"));
    *shelf.down.lock().unwrap() = true;
    assert_eq!(world.verdict(&referring(&place, &body, EDGE)).as_deref(), Some("object_unavailable"));
    // The vendor's signature is checked over the fetched bytes.
    *shelf.down.lock().unwrap() = false;
    shelf.lay("own", &place.key, b"{}");
    world.sources.remove("whatsapp");
    assert_eq!(world.verdict(&referring(&place, &body, EDGE)).as_deref(), Some("unknown_source"));
}

/// The pointer's words in a message keep the marks out of what a vendor is believed to have sent.
#[test]
fn a_gateways_request_can_be_behind_a_pointer_too() {
    let (world, shelf) = world();
    let request = signed("whatsapp", b"{}".to_vec(), NOW);
    let signature = request.header("x-hub-signature-256").unwrap();
    let attributes = [
        ("longshore-form", "webhook.v1"),
        ("longshore-source", "whatsapp"),
        ("x-hub-signature-256", &*signature),
    ];
    shelf.lay("big", "k", "{}");
    assert_eq!(world.verdict(&offloaded(&message("{}", &attributes, NOW), "big", "k")), None);
}
