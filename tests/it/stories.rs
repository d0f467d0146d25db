//! Small stories, each on both databases: what a worker does from the queue to the outside and back.

use std::time::Duration;

use longshore::{
    cli::dev::outside::script::Service,
    domain::{dead_letter::DeadLetterFilter, reason::Reason},
    queue::contract::Queue as _,
    store::contract::Replayed,
};
use serde_json::json;

use crate::world::{Chat, Kind, World, judge::judge, on_both};

const SOON: Duration = Duration::from_secs(20);

on_both! {
    a_message_is_read_answered_once_and_stored
    one_bad_item_of_a_batch_is_buried_alone
    a_dead_letter_is_replayed
    what_waits_long_is_parked_and_woken
    a_duplicate_changes_nothing
    an_unanswered_send_is_unknown_until_its_status_comes
    every_failure_ends_as_it_should
}

async fn a_message_is_read_answered_once_and_stored(kind: Kind) {
    let mut world = World::new(kind).await;
    world.whatsapp("34611000001", "How much is the plan?");
    world.chat_usage(&Chat::default());
    world.chat_usage(&Chat { aborted: true });
    world.send().await;
    let worker = world.inside().await;
    world.settled(SOON).await;
    let findings = judge(&world).await;
    assert_eq!((findings.billed, findings.ambiguous, findings.messages), (1, 0, 1));
    assert!(findings.unknown.is_empty());
    assert!(worker.stop().await, "an idle worker stops in time");
    world.finish().await;
}

async fn one_bad_item_of_a_batch_is_buried_alone(kind: Kind) {
    let mut world = World::new(kind).await;
    world.hubspot(99, 1);
    world.send().await;
    let worker = world.inside().await;
    world.settled(SOON).await;
    judge(&world).await;
    worker.stop().await;
    world.finish().await;
}

async fn a_dead_letter_is_replayed(kind: Kind) {
    let mut world = World::new(kind).await;
    let key = world.drill(&json!({ "do": "fail_times", "times": 4 }));
    world.expected.buried(&key, Reason::AttemptsExhausted);
    world.send().await;
    let worker = world.inside().await;
    // Not judged here: the judge's look at the DLQ would hide the copy from the sweep.
    world.settled(SOON).await;
    let letters = worker.store().dead_letters(&DeadLetterFilter { limit: 10, ..Default::default() }).await;
    let id = letters.unwrap()[0].id.clone();
    // A fresh start of four attempts ends the same way: shown by a dead letter of its own.
    let replayed = worker.store().replay(&[id], "test").await.unwrap();
    assert!(matches!(replayed[..], [Replayed::Event(..)]), "{replayed:?}");
    let letters = "dead_letters WHERE state = 'open' AND id LIKE '%@1'";
    world.until(SOON, || async { found(world.database.count(letters).await == 1, "no second burial") }).await;
    world.settled(SOON).await;
    // The copy of the first is removed from the DLQ, the copy of the second stays.
    let copies = || async {
        let depth = world.dead.depth().await.unwrap();
        if depth.visible + depth.in_flight == 1 {
            Ok(())
        } else {
            Err(format!("copies of closed dead letters: {depth:?}"))
        }
    };
    world.until(SOON, copies).await;
    worker.stop().await;
    world.finish().await;
}

async fn what_waits_long_is_parked_and_woken(kind: Kind) {
    let mut world = World::new(kind).await;
    world.drill(&json!({ "do": "defer_times", "times": 2, "millis": 1_200 }));
    world.drill_due_in(&json!({ "do": "work" }), Duration::from_secs(2));
    world.send().await;
    let worker = world.inside().await;
    world.until(SOON, || async { found(world.database.count("parked").await > 0, "nothing parked") }).await;
    world.settled(SOON).await;
    judge(&world).await;
    let parked = world.database.count("audit_log WHERE action = 'park'").await;
    assert!(parked >= 3, "{parked} times parked");
    worker.stop().await;
    world.finish().await;
}

async fn a_duplicate_changes_nothing(kind: Kind) {
    let mut world = World::new(kind).await;
    world.whatsapp("34611000002", "hello");
    world.again();
    world.chat_usage(&Chat::default());
    world.again();
    world.again();
    world.formless();
    world.again();
    world.send().await;
    let worker = world.inside().await;
    world.settled(SOON).await;
    let findings = judge(&world).await;
    assert_eq!((findings.billed, findings.messages), (1, 1));
    worker.stop().await;
    world.finish().await;
}

async fn an_unanswered_send_is_unknown_until_its_status_comes(kind: Kind) {
    let mut world = World::new(kind).await;
    let key = world.whatsapp("34611009999", "hello");
    world.send().await;
    let worker = world.inside().await;
    world.settled(SOON).await;
    let findings = judge(&world).await;
    assert_eq!(findings.unknown, [format!("{key}@0#0")]);
    let log = world.outside.log();
    let sent = log.iter().find(|seen| seen.service == Service::Whatsapp).unwrap();
    let (message, command) = (sent.message_id.clone().unwrap(), sent.command_id().unwrap().to_owned());
    world.status(&message, "delivered", Some(&command));
    world.send().await;
    world.settled(SOON).await;
    assert!(judge(&world).await.unknown.is_empty(), "the status tells that it was sent");
    worker.stop().await;
    world.finish().await;
}

async fn every_failure_ends_as_it_should(kind: Kind) {
    let mut world = World::new(kind).await;
    world.whatsapp("34611000003", "hello #fail-twice");
    world.whatsapp("34611000004", "hello #drop");
    world.whatsapp("34611000005", "hello #bad-once");
    for (tag, reason) in [("#bad-json", Reason::InvalidOutput), ("#refuse", Reason::LlmRefused)] {
        world.whatsapp_buried("34611000006", &format!("hello {tag}"), reason);
    }
    let key = world.whatsapp("34611001047", "hello");
    world.expected.refused.insert(key);
    world.drill(&json!({ "do": "fail_times", "times": 2 }));
    world.drill(&json!({ "do": "defer_times", "times": 2, "millis": 100 }));
    let key = world.drill(&json!({ "do": "panic" }));
    world.expected.buried(&key, Reason::HandlerPanic);
    world.formless();
    world.forged();
    world.send().await;
    let worker = world.inside().await;
    world.settled(SOON).await;
    let findings = judge(&world).await;
    assert_eq!(findings.ambiguous, 1, "the dropped one");
    worker.stop().await;
    world.finish().await;
}

/// `Err` as long as it does not hold.
fn found(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
