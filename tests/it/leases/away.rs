//! Worker A is stopped (SIGSTOP) for twice its lease while it holds events, B finishes them, A resumes: A
//! writes nothing at all.

use std::{sync::Arc, time::Duration};

use longshore::cli::dev::outside::script::{Fault, Script, Service};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use crate::world::{Kind, Worker, World, judge::judge};

const RUNS: usize = 20;
/// Runs at once: each mostly waits for leases.
const AT_ONCE: usize = 6;
/// As in the settings of a usual world.
const LEASE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_away_commits_nothing_on_sqlite() {
    every_run(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_away_commits_nothing_on_postgres() {
    every_run(Kind::Postgres).await;
}

async fn every_run(kind: Kind) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for _ in 0..RUNS {
        let room = Arc::clone(&room);
        runs.spawn(async move {
            let _room = room.acquire_owned().await.unwrap();
            // In a task of its own, so that the others run to their end, too.
            tokio::spawn(away(kind)).await.is_ok()
        });
    }
    let good = runs.join_all().await.into_iter().filter(|good| *good).count();
    assert_eq!(good, RUNS, "{kind:?}: good runs");
}

async fn away(kind: Kind) {
    let mut world = World::new(kind).await;
    let fault = Fault::Slow(Duration::from_millis(500));
    let contains = "slowly".to_owned();
    world.outside.script(Script { service: Service::Llm, contains, fault, times: u32::MAX });
    world.whatsapp("34611000001", "answer slowly");
    world.whatsapp("34611000002", "answer slowly");
    for _ in 0..2 {
        world.drill(&json!({ "do": "work", "millis": 1_000 }));
    }
    world.send().await;
    let all = i64::try_from(world.expected.events.len()).unwrap();

    let a = world.worker(&[]);
    let claimed = || async { exactly(world.database.count("inbox WHERE started = 1").await, all) };
    world.until(SOON, claimed).await;
    let asked = || async { exactly(world.outside.log().len(), 2) };
    world.until(SOON, asked).await;
    let stopped = stop_between_writes(&world, &a).await;
    let held = world.database.count("inbox WHERE state = 'open'").await;
    assert!(held > 0, "A had nothing when it was stopped");

    let b = world.worker(&[]);
    world.settled(SOON).await;
    b.stop(SOON).await;
    judge(&world).await;
    // Being away for so long is what this test is about.
    tokio::time::sleep_until(stopped + 2 * LEASE).await;
    let before = world.snapshot().await;
    a.signal("CONT");
    let lost =
        || async { exactly(a.said().matches("\"claim lost\"").count(), usize::try_from(held).unwrap()) };
    world.until(SOON, lost).await;
    a.stop(SOON).await;
    assert_eq!(world.snapshot().await, before, "A wrote something");
    judge(&world).await;
    world.finish().await;
}

/// A worker that is stopped in the middle of a transaction holds its locks: on SQLite nobody else can write
/// then, and on PostgreSQL the server ends the transaction after a minute. Not what is tested here.
async fn stop_between_writes(world: &World, worker: &Worker) -> Instant {
    let end = Instant::now() + SOON;
    loop {
        worker.signal("STOP");
        let stopped = Instant::now();
        // What the server has been told already is soon over.
        while stopped.elapsed() < Duration::from_millis(100) {
            if world.database.is_calm().await {
                return stopped;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.signal("CONT");
        assert!(Instant::now() < end, "A never stops writing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn exactly<T: PartialEq + std::fmt::Display>(found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found} instead of {expected}")) }
}
