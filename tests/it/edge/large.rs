//! A body that is too large for a message.

use std::{sync::Arc, time::Duration};

use longshore::sources::{
    decode::Defaults,
    objects::Objects,
    prove::prove,
    senders::Senders,
    verified::{Checked, Verified},
};

use super::harness::{Unusual, World, settings, text, whatsapp};
use crate::forms::s3::{bucket, client, localstack};

const LARGE: usize = 2_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_lies_in_the_object_store_and_verifies_there() {
    let endpoint = localstack();
    let bucket = bucket(&endpoint).await;
    let objects = format!(
        "max_body = 3000000\n[objects]\nbucket = \"{bucket}\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\npath_style = true\n"
    );
    let world = World::with(Unusual { whatsapp: &objects, ..Unusual::default() }).await;
    assert_eq!(world.ask(&whatsapp(&vec![b'x'; LARGE])).await.status, 200);

    let (delivery, envelope) = world.only().await;
    assert_eq!(
        (envelope["request"]["body_ref"]["length"].as_u64(), &envelope["request"]["body_base64"]),
        (Some(LARGE as u64), &serde_json::Value::Null)
    );
    let unusual = Unusual { whatsapp: "max_body = 3000000", ..Unusual::default() };
    let read = settings(&text(&world.folder, ["http://x.test", "http://x.test/q"], &unusual));
    let senders = Senders::new(&read.seal, &read.sources, (false, Defaults::default())).unwrap();
    let store = Arc::new(client(&endpoint, Duration::from_secs(20)).await);
    let objects = Objects::new(store, Vec::new(), Some(bucket), 3_000_000);
    let checked = prove(&delivery, &senders, &objects).await.unwrap();
    assert!(matches!(checked, Checked::Trusted(Verified::Message(_))), "{checked:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bucket_a_large_body_is_refused() {
    let world = World::with(Unusual { whatsapp: "max_body = 3000000", ..Unusual::default() }).await;
    let answer = world.ask(&whatsapp(&vec![b'x'; LARGE])).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("objects.bucket"), "{}", answer.body);
    world.finish().await;
}
