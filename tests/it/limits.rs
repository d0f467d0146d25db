//! What a worker withstands, and how little it asks of the queue.

use std::time::{Duration, Instant};

use longshore::{
    cli::dev::outside::script::{Fault, Script, Service},
    domain::{dead_letter::DeadLetterFilter, reason::Reason},
    queue::contract::LARGEST_MESSAGE,
};
use serde_json::json;

use crate::world::{Chat, Kind, Knobs, World};

const SOON: Duration = Duration::from_secs(30);
const TOO_FAST: &str = r#"{"error":{"message":"too fast","type":"requests","code":"rate_limit_exceeded"}}"#;

/// BV-9, DF-17: each of these is one dead letter with its reason, and the worker goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_one_dead_letter_each_and_the_process_lives() {
    let mut world = World::new(Kind::Sqlite).await;
    let largest = "x".repeat(LARGEST_MESSAGE - "longshore-form".len() - "String".len() - "job.v1".len());
    let ten: Vec<(String, String)> = (0..10).map(|n| (format!("a{n}"), "v".to_owned())).collect();
    let ten: Vec<(&str, &str)> = ten.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);

    world.signed_body("whatsapp", b""); // an empty body inside the envelope
    world.signed_body("whatsapp", b"\xff\xfe{\"object\":1}"); // invalid UTF-8 inside the base64
    world.signed_body("hubspot", deep.as_bytes());
    world.sealed_nonsense(|envelope| envelope["request"]["body_base64"] = json!("%%%"));
    world.raw(largest, &[("longshore-form", "job.v1")]); // 1,048,576 bytes in all
    world.raw(deep.clone(), &[("longshore-form", "envelope.v1")]);
    world.raw("ten attributes".to_owned(), &ten);
    world.raw("\u{1f680}\u{1f4a5}".to_owned(), &[("longshore-form", "envelope.v1")]);
    let bad = 8;
    world.chat_usage(&Chat::default());
    world.send().await;

    let worker = world.worker(&[]);
    world.settled(SOON).await;
    let filter = DeadLetterFilter { limit: 100, ..DeadLetterFilter::default() };
    let inside = world.inside().await;
    world
        .until(SOON, || async {
            let buried = inside.store().dead_letters(&filter).await.unwrap().len();
            if buried == bad { Ok(()) } else { Err(format!("{buried} of {bad} dead letters")) }
        })
        .await;
    let mut reasons: Vec<Reason> =
        inside.store().dead_letters(&filter).await.unwrap().iter().map(|letter| letter.reason).collect();
    reasons.sort();
    let mut expected = vec![Reason::EnvelopeMalformed; 3];
    expected.extend([Reason::PayloadMalformed; 3]);
    // The largest message names no source, the one with ten attributes no form.
    expected.extend([Reason::UnknownSource, Reason::UnknownForm]);
    expected.sort();
    assert_eq!(reasons, expected);
    inside.stop().await;
    worker.stop(SOON).await;
    world.finish().await;
}

/// However much waits, what is in hand is bounded: 150 messages of nearly 1 MiB, 64 MiB allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_stay_within_the_memory_bound() {
    let mut world = World::with(Kind::Sqlite, Knobs { concurrency: 200, ..Knobs::default() }).await;
    for _ in 0..150 {
        world.padded_drill(300, 1_000_000);
        world.send().await;
    }
    let worker = world.worker(&[]);
    world.settled(Duration::from_secs(120)).await;
    let peak = worker.peak_mebibytes();
    println!("peak memory of the worker: {peak} MiB");
    assert!(peak <= 200, "{peak} MiB");
    worker.stop(SOON).await;
    world.finish().await;
}

/// One receive at a time while there is nothing, each for the whole long poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_polls_once_per_wait() {
    let world = World::new(Kind::Sqlite).await;
    let started = Instant::now();
    let worker = world.inside().await;
    world
        .until(SOON, || async {
            if world.calls("ReceiveMessage") >= 7 { Ok(()) } else { Err("polls".to_owned()) }
        })
        .await;
    // The first does not wait; the seventh began after five whole waits of one second.
    assert!(started.elapsed() >= Duration::from_millis(4_900), "{:?}", started.elapsed());
    worker.stop().await;
    world.finish().await;
}

/// While nothing gets through, receiving more only moves the line: one receive a second, and quickly again when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_2_1_while_the_model_is_away_receives_slow_down_and_nothing_is_lost() {
    let mut world = World::new(Kind::Sqlite).await;
    let fault = Fault::Answer {
        status: 429,
        headers: vec![("retry-after", "600".to_owned())],
        body: TOO_FAST.to_owned(),
    };
    world.outside.script(Script { service: Service::Llm, contains: String::new(), fault, times: u32::MAX });
    for n in 0..200 {
        world.whatsapp(&format!("3461100{n:04}"), "how much is it?");
    }
    world.send().await;
    let worker = world.inside().await;
    world
        .until(SOON, || async {
            match world.database.count("parked").await {
                0..60 => Err("they are not put off".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
    // The ends of those in hand are still coming in; within five seconds it is slow.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, watched) = (world.calls("ReceiveMessage"), Instant::now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let calls = world.calls("ReceiveMessage") - before;
    assert!(calls <= watched.elapsed().as_secs() + 1, "{calls} receives in {:?}", watched.elapsed());
    assert_eq!(world.database.count("dead_letters").await, 0);
    assert_eq!(world.database.count("inbox WHERE failures > 0").await, 0, "waiting is no failure");

    // What asks no model gets through, and receiving is quick again.
    for _ in 0..300 {
        world.chat_usage(&Chat::default());
    }
    world.send().await;
    world
        .until(SOON, || async {
            match world.database.count("inbox WHERE state = 'done'").await {
                300 => Ok(()),
                done => Err(format!("{done} of 300 are done")),
            }
        })
        .await;
    worker.stop().await;
    world.finish().await;
}

/// Full batches under load: at most a quarter of a call for each message, counted at the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saturated_worker_fills_its_batches() {
    let jobs = 2_000;
    let mut world = World::with(Kind::Sqlite, Knobs { visibility: "30s", ..Knobs::default() }).await;
    for _ in 0..jobs {
        world.chat_usage(&Chat::default());
    }
    world.send().await;
    let worker = world.inside().await;
    world.settled(Duration::from_secs(60)).await;
    let calls: u64 = ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]
        .map(|operation| world.calls(operation))
        .iter()
        .sum();
    assert!(calls * 4 <= jobs, "{calls} calls for {jobs} messages");
    worker.stop().await;
    world.finish().await;
}
