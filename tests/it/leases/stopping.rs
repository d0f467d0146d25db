//! SIGTERM under load: a worker ends in time, and no message stays invisible without an owner.

use std::time::Duration;

use longshore::queue::contract::Queue as _;
use serde_json::json;
use tokio::time::Instant;

use crate::world::{Chat, Kind, Knobs, World, judge::judge};

const SIGTERMS: usize = 20;
/// As in the settings of a usual world.
const DRAIN: Duration = Duration::from_secs(6);
/// A worker may need this much longer than its deadline.
const GRACE: Duration = Duration::from_secs(2);
/// After its exit everything must be visible within this.
const VISIBLE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(60);
/// Exit code of a worker that had to hand something back.
const WORK_LEFT: i32 = 75;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_times_under_load_on_the_embedded_queue() {
    under_load(World::new(Kind::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_times_under_load_on_localstack() {
    under_load(World::on_server(Kind::Postgres, Knobs::default(), &sqs()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_is_handed_back_at_the_deadline() {
    let mut world = World::new(Kind::Sqlite).await;
    world.drill(&json!({ "do": "work", "millis": 50_000 }));
    world.drill(&json!({ "do": "work", "millis": 50_000 }));
    world.send().await;
    let mut worker = world.worker(&[]);
    world.until(SOON, || async { at_least(world.database.count("inbox WHERE started = 1").await, 2) }).await;
    worker.signal("TERM");
    let asked = Instant::now();
    let status = worker.ended(DRAIN + GRACE).await;
    assert_eq!(status.code(), Some(WORK_LEFT), "{status}\n{}", worker.log());
    assert!(asked.elapsed() >= DRAIN - GRACE, "it did not use its time");
    nothing_in_flight(&world).await;
    let back = world.database.count("inbox WHERE state = 'waiting' AND started = 0").await;
    assert_eq!(back, 2, "handed back, nothing counted");
    world.finish().await;
}

async fn under_load(mut world: World) {
    let (mut longest, mut done) = (Duration::ZERO, 0);
    for _ in 0..SIGTERMS {
        load(&mut world).await;
        let mut worker = world.worker(&[]);
        let enough = done + 10;
        world.until(SOON, || async { at_least(ended(&world).await, enough) }).await;
        worker.signal("TERM");
        let asked = Instant::now();
        let status = worker.ended(DRAIN + GRACE).await;
        longest = longest.max(asked.elapsed());
        assert!(status.success(), "{status}\n{}", worker.log());
        nothing_in_flight(&world).await;
        done = ended(&world).await;
    }
    println!("{SIGTERMS} SIGTERMs: the longest took {longest:?}");
    let worker = world.worker(&[]);
    world.settled(SOON).await;
    judge(&world).await;
    worker.stop(DRAIN + GRACE).await;
    world.finish().await;
}

/// More than a worker does until it is asked to stop. Nothing of it waits at the queue on purpose.
async fn load(world: &mut World) {
    for number in 0..20 {
        world.drill(&json!({ "do": "work", "millis": 20 * number }));
        world.chat_usage(&Chat::default());
        if number % 5 == 0 {
            world.whatsapp(&format!("3461100{number:04}"), "what does it cost?");
        }
    }
    world.hubspot(10, 0);
    world.send().await;
}

async fn ended(world: &World) -> i64 {
    world.database.count("inbox WHERE state IN ('done', 'buried')").await
}

async fn nothing_in_flight(world: &World) {
    let none = || async {
        match world.queue.depth().await.unwrap().in_flight {
            0 => Ok(()),
            some => Err(format!("{some} messages are invisible and nobody has them")),
        }
    };
    world.until(VISIBLE, none).await;
}

fn at_least(found: i64, enough: i64) -> Result<(), String> {
    if found >= enough { Ok(()) } else { Err(format!("{found} of {enough}")) }
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test`")]
fn sqs() -> String {
    std::env::var("LONGSHORE_TEST_AWS")
        .unwrap_or_else(|_| panic!("LONGSHORE_TEST_AWS is not set: run `make test`, it brings an SQS server"))
}
