//! Two hundred events of all kinds, with every trouble that a delivery can meet.

use std::time::Duration;

use longshore::{
    cli::dev::outside::script::{Fault, Script, Service},
    domain::reason::Reason,
};
use serde_json::json;

use crate::world::{Chat, World};

/// Events in work.
pub(super) const EVENTS: usize = 200;

/// Puts everything on the queue, in an order that the seed gives.
pub(super) async fn traffic(world: &mut World, seed: u64) {
    slow_outside(world);
    conversations(world);
    troubled_conversations(world);
    drills(world);
    for number in 0..20 {
        world.status(&format!("wamid.ELSEWHERE{number}"), "delivered", None);
    }
    world.hubspot(20, 0);
    world.hubspot(19, 1);
    world.again();
    for _ in 0..2 {
        world.formless();
        world.forged();
        world.again();
    }
    let mut number = 0;
    while world.expected.events.len() < EVENTS {
        world.chat_usage(&Chat { aborted: number % 5 == 0 });
        if number % 10 == 0 {
            world.again();
        }
        number += 1;
    }
    world.send_shuffled(seed).await;
}

/// Quick answers would leave nothing under way when the worker dies.
fn slow_outside(world: &World) {
    for (service, contains, millis) in
        [(Service::Llm, "please", 60), (Service::Whatsapp, "\"to\":\"4915", 30)]
    {
        let fault = Fault::Slow(Duration::from_millis(millis));
        world.outside.script(Script { service, contains: contains.to_owned(), fault, times: u32::MAX });
    }
}

/// Forty messages of twenty people.
fn conversations(world: &mut World) {
    for number in 0..40 {
        world.whatsapp(&format!("49151000{:04}", number % 20), "what does it cost, please?");
    }
}

fn troubled_conversations(world: &mut World) {
    world.whatsapp("34611000003", "hello #fail-twice");
    world.whatsapp("34611000003", "hello #rate-limit");
    world.whatsapp("34611000004", "hello #drop");
    world.whatsapp("34611000004", "hello #drop");
    world.whatsapp("34611000005", "hello #bad-once");
    world.whatsapp("34611001056", "pair limit, once");
    world.whatsapp("34611005000", "trouble, once");
    world.whatsapp_buried("34611000006", "hello #bad-json", Reason::InvalidOutput);
    world.whatsapp_buried("34611000007", "hello #refuse", Reason::LlmRefused);
    let key = world.whatsapp("34611001047", "window closed");
    world.expected.refused.insert(key);
    let key = world.whatsapp("34611009999", "accepted, and the connection cut");
    world.expected.unanswered.insert(key);
}

fn drills(world: &mut World) {
    for number in 0..12 {
        world.drill(&json!({ "do": "work", "millis": 100 * number }));
    }
    for _ in 0..6 {
        world.drill(&json!({ "do": "fail_times", "times": 2 }));
        world.drill(&json!({ "do": "defer_times", "times": 1, "millis": 100 }));
    }
    for _ in 0..4 {
        world.drill(&json!({ "do": "defer_times", "times": 1, "millis": 1_100 }));
        world.drill_due_in(&json!({ "do": "work" }), Duration::from_secs(2));
    }
    for _ in 0..2 {
        let key = world.drill(&json!({ "do": "fail_times", "times": 100 }));
        world.expected.buried(&key, Reason::AttemptsExhausted);
    }
    let key = world.drill(&json!({ "do": "panic" }));
    world.expected.buried(&key, Reason::HandlerPanic);
}
