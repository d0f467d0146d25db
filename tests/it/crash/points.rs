//! The worker is killed at every named point of a delivery's way, one world for each.

use std::{sync::Arc, time::Duration};

use longshore::cli::dev::outside::script::{Fault, Script, Service};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    crash::traffic::traffic,
    world::{Kind, Knobs, World, judge::judge},
};

/// Every point, and at which time of reaching it the worker dies. A point that is missing here is found by
/// [`every_point_is_on_the_list`].
const POINTS: &[&str] = &[
    "received:2",
    "verified:20",
    "claimed:5",
    "start_recorded",
    "handled:25",
    "committed:30",
    "retry_committed:3",
    "defer_committed:2",
    "parked:2",
    "buried",
    "handed_back",
    "delivery_buried",
    "before_ack:3",
    "after_ack:3",
    "lease_extended",
    "before_reserved:7",
    "reserved:3",
    "before_sent:7",
    "sent_committed:7",
    "request_written:9",
    "piece_received:9",
    "answer_received:9",
    "answer_stored:9",
    "outbox_sending:2",
    "message_written:5",
    "vendor_answered:5",
    "sent_stored:5",
    "before_dlq_copy:2",
    "dlq_copied:2",
    "before_wake",
    "wake_sent",
    "wake_claimed:2",
];

/// Worlds at once: each mostly waits for leases.
const AT_ONCE: usize = 6;
/// By then the worker must be dead.
const TO_THE_POINT: Duration = Duration::from_secs(30);
/// By then the next worker must have ended everything.
const TO_THE_END: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_on_sqlite() {
    at_every_point(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_on_postgres() {
    at_every_point(Kind::Postgres).await;
}

async fn at_every_point(kind: Kind) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut worlds = JoinSet::new();
    for (seed, point) in POINTS.iter().enumerate() {
        let room = Arc::clone(&room);
        worlds.spawn(async move {
            let _room = room.acquire_owned().await.unwrap();
            // In a task of its own, so that all other points are tried, too.
            let world = tokio::spawn(killed_at(kind, point, seed as u64));
            world.await.map_err(|_| *point)
        });
    }
    let failed: Vec<&str> = worlds.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{kind:?}: {failed:?}");
}

async fn killed_at(kind: Kind, point: &str, seed: u64) {
    // Only a stream comes in pieces. On a busy machine time-outs would open the breaker, whose rest is another story.
    let model = if point.starts_with("piece_received") {
        "stream = true\nbreaker_failures = 10000"
    } else {
        "breaker_failures = 10000"
    };
    let mut world = World::with(kind, Knobs { model, ..Knobs::default() }).await;
    let waiting = queued_up(&mut world);
    // Before everything else, so that they come together.
    world.send().await;
    traffic(&mut world, seed).await;
    let worker = world.worker(&[("LONGSHORE_CRASH_AT", point)]);
    if point == "handed_back" {
        // Only a worker that is asked to end hands something back: what waits for its turn.
        let claimed = format!("inbox WHERE state = 'open' AND key IN ('{}')", waiting.join("', '"));
        let all = i64::try_from(waiting.len()).unwrap();
        world.until(TO_THE_POINT, || async { reached(world.database.count(&claimed).await == all) }).await;
        worker.signal("TERM");
    }
    worker.killed(TO_THE_POINT).await;
    world.wakes_are_overdue().await;
    let worker = world.worker(&[]);
    world.settled(TO_THE_END).await;
    let findings = judge(&world).await;
    println!("{kind:?} {point}: {findings}");
    worker.stop(TO_THE_END).await;
    world.finish().await;
}

/// Messages of one person, who is answered slowly: they are worked one after the other.
fn queued_up(world: &mut World) -> Vec<String> {
    let fault = Fault::Slow(Duration::from_millis(500));
    let contains = "one after the other".to_owned();
    world.outside.script(Script { service: Service::Llm, contains, fault, times: u32::MAX });
    (0..3).map(|_| world.whatsapp("34611000008", "one after the other")).collect()
}

fn reached(all: bool) -> Result<(), String> {
    if all { Ok(()) } else { Err("not all wait together".to_owned()) }
}

#[test]
fn every_point_is_on_the_list() {
    let mut listed: Vec<&str> = POINTS.iter().map(|point| point.split(':').next().unwrap()).collect();
    // No event of this traffic plans a signed request; one that is repeated carries the same id.
    listed.push("webhook_written");
    assert!(listed.len() >= 25);
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    for named in named_points(sources.as_ref()) {
        assert!(listed.contains(&named.as_str()), "`{named}` is not on the list");
    }
}

/// The literals of `crash_point::reach("...")` and `written: "..."` below a folder.
fn named_points(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The command line posts samples; no worker dies of that.
        if path.ends_with("src/cli") {
            continue;
        }
        if path.is_dir() {
            found.extend(named_points(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for mark in ["crash_point::reach(\"", "written: \""] {
            let after = text.split(mark).skip(1);
            found.extend(after.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    found
}
