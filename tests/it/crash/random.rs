//! The worker is killed and started again, twenty-five times in one world, at moments that a seed gives.

use std::time::Duration;

use crate::{
    crash::traffic::traffic,
    world::{Kind, Random, World, judge::judge},
};

const KILLS: usize = 25;
/// Longest life of a worker: it must get somewhere, and not to the end.
const LONGEST_LIFE: usize = 1_000;
const TO_THE_END: Duration = Duration::from_secs(90);
/// Events that a kill met while they ran alone.
const HIT_ALONE: &str =
    "state NOT IN ('done', 'buried') AND lone_deaths + (CASE started WHEN 2 THEN 1 ELSE 0 END) > 0";
/// Another seed than the built-in one.
const SEED: &str = "LONGSHORE_TEST_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_sqlite() {
    at_random_moments(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_postgres() {
    at_random_moments(Kind::Postgres).await;
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
fn seed() -> u64 {
    std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121)
}

async fn at_random_moments(kind: Kind) {
    let seed = seed();
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let mut world = World::new(kind).await;
    traffic(&mut world, seed).await;
    for _ in 0..KILLS {
        let worker = world.worker(&[]);
        // Dying twice while the same event runs alone would be its fault, by the rules: no kill that could
        // be the second comes before such an event has ended.
        let hit = format!("inbox WHERE {HIT_ALONE}");
        world.until(TO_THE_END, || async { none(world.database.count(&hit).await) }).await;
        // The moment is the matter of this test: nothing is waited for.
        let life = 50 + random.below(LONGEST_LIFE - 50);
        tokio::time::sleep(Duration::from_millis(life as u64)).await;
        worker.kill().await;
        world.wakes_are_overdue().await;
    }
    let worker = world.worker(&[]);
    world.settled(TO_THE_END).await;
    let findings = judge(&world).await;
    println!("{kind:?}: {findings:?}");
    worker.stop(TO_THE_END).await;
    world.finish().await;
}

fn none(hit: i64) -> Result<(), String> {
    if hit == 0 { Ok(()) } else { Err(format!("{hit} events that were hit alone are open")) }
}
