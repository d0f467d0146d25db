//! A model goes down: somebody is told once, it is shown, events wait without harm, and all is done when it is back.

use std::time::Duration;

use longshore::{
    cli::dev::outside::script::{Fault, Script, Service},
    llm::contract::ModelState,
};
use serde_json::Value;

use crate::{
    webhooks::{
        SECRET,
        receiver::{Receiver, verdict},
        webhook_settings,
    },
    world::{Kind, Knobs, World, on_both},
};

const SOON: Duration = Duration::from_secs(40);
/// Calls that fail: as many as the breaker bears, and the first that tries again.
const FAILURES: u32 = 4;

on_both! {
    rce_24_a_model_that_goes_down_is_told_once_and_its_events_wait
}

async fn rce_24_a_model_that_goes_down_is_told_once_and_its_events_wait(database: Kind) {
    let mut receiver = Receiver::answering(200).await;
    let folder = tempfile::tempdir().unwrap();
    let more = webhook_settings(&receiver.base, folder.path());
    // Longer than the time between two looks of the janitor.
    let model = "breaker_failures = 3\nbreaker_rest = \"4s\"\n";
    let mut world = World::with(database, Knobs { more, model, concurrency: 1, ..Knobs::default() }).await;
    let fault = Fault::Answer { status: 500, headers: Vec::new(), body: "{}".to_owned() };
    world.outside.script(Script { service: Service::Llm, contains: String::new(), fault, times: FAILURES });
    for n in 0..10 {
        world.whatsapp(&format!("3461100{n:04}"), "how much is it?");
    }
    world.send().await;
    let inside = world.inside().await;

    let seen = receiver.until(1).await;
    let body: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!((&body["type"], &body["data"]["name"]), (&"longshore.model.down.v1".into(), &"openai".into()));
    assert!(body["data"]["why"].is_string(), "{body}");
    assert_eq!(verdict("longshore", SECRET, &seen[0]), Ok(()));

    world.settled(SOON).await;
    assert_eq!(world.database.count("dead_letters").await, 0);
    assert_eq!(world.database.count("inbox WHERE state = 'done'").await, 10);
    let models = inside.models();
    assert!(models.iter().all(|model| model.state == ModelState::Up), "{models:?}");
    let told = receiver.seen().len();
    assert_eq!(told, 1, "one outage, however often it was tried");
    assert!(inside.stop().await);
    world.finish().await;
}
