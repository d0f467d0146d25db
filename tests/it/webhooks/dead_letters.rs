//! Dead letters: somebody is told of each reason, and not once for each letter.

use std::collections::BTreeSet;

use longshore::domain::envelope::HttpRequest;
use serde_json::Value;

use crate::{
    webhooks::{
        SECRET, SOON,
        receiver::{Receiver, verdict},
        webhook_settings,
    },
    world::{Kind, Knobs, World, on_both},
};

on_both! {
    rce_24_dead_letters_are_told_once_for_each_reason
}

async fn rce_24_dead_letters_are_told_once_for_each_reason(database: Kind) {
    let mut receiver = Receiver::answering(200).await;
    let folder = tempfile::tempdir().unwrap();
    let more = webhook_settings(&receiver.base, folder.path());
    let mut world = World::with(database, Knobs { more, ..Knobs::default() }).await;
    for _ in 0..3 {
        world.formless();
        world.forged();
    }
    world.send().await;
    let first = world.inside().await;
    world.settled(SOON).await;

    let told = reasons(&receiver.until(2).await);
    assert_eq!(told, BTreeSet::from(["sig_invalid".to_owned(), "unknown_form".to_owned()]));
    assert!(first.stop().await);

    // Another worker finds the same.
    let second = world.inside().await;
    assert_eq!(reasons(&receiver.until(4).await[2..]), told);
    assert!(second.stop().await);
    world.finish().await;
}

/// What genuine alerts tell of.
fn reasons(requests: &[HttpRequest]) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    for request in requests {
        assert_eq!(verdict("longshore", SECRET, request), Ok(()));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["type"], "longshore.dead_letters.alert.v1");
        reasons.insert(body["data"]["reason"].as_str().unwrap().to_owned());
    }
    reasons
}
