//! The worker is killed and started again, twenty-five times in one world, at moments that a seed gives.

use std::time::Duration;

use crate::{
    crash::traffic::traffic,
    world::{Kind, Random, World, judge::judge},
};

const KILLS: usize = 25;
/// Life of a worker in milliseconds: it must get somewhere, and not to the end.
const SHORTEST_LIFE: usize = 50;
const LONGEST_LIFE: usize = 1_000;
const TO_THE_END: Duration = Duration::from_secs(90);
/// Another seed than the built-in one.
const SEED: &str = "LONGSHORE_TEST_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_sqlite() {
    Box::pin(at_random_moments(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_on_postgres() {
    Box::pin(at_random_moments(Kind::Postgres)).await;
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
    let mut hit_alone = String::new();
    for _ in 0..KILLS {
        let worker = world.worker(&[]);
        // Dying twice while the same event runs alone would be that event's fault, by the rules: it ends
        // before the next kill.
        let open = format!("inbox WHERE state NOT IN ('done', 'buried') AND key IN ('{hit_alone}')");
        world.until(TO_THE_END, || async { none(world.database.count(&open).await) }).await;
        // The moment is the matter of this test: nothing is waited for.
        let life = SHORTEST_LIFE + random.below(LONGEST_LIFE - SHORTEST_LIFE);
        tokio::time::sleep(Duration::from_millis(life as u64)).await;
        worker.kill().await;
        let hit = world.database.rows("SELECT key FROM inbox WHERE started = 2").await;
        hit_alone = hit.into_iter().flatten().flatten().collect::<Vec<_>>().join("', '");
        world.wakes_are_overdue().await;
    }
    let worker = world.worker(&[]);
    world.settled(TO_THE_END).await;
    let findings = judge(&world).await;
    println!("{kind:?}: {findings}");
    worker.stop(TO_THE_END).await;
    world.finish().await;
}

fn none(hit: i64) -> Result<(), String> {
    if hit == 0 { Ok(()) } else { Err(format!("{hit} events that were hit alone are open")) }
}
