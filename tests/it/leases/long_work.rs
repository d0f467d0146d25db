//! One long event among many short ones holds nobody up, and keeps its lease.

use std::time::Duration;

use longshore::worker::trail::Happening;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::world::{Kind, Knobs, World, judge::judge};

const SHORT: usize = 999;
/// Three times the visibility timeout.
const LONG_MILLIS: u64 = 9_000;
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_work_holds_nobody_up_and_is_not_delivered_again() {
    let mut world = World::with(Kind::Sqlite, Knobs { concurrency: 10, ..Knobs::default() }).await;
    let long = world.drill(&json!({ "do": "work", "millis": LONG_MILLIS }));
    for _ in 0..SHORT {
        world.drill(&json!({ "do": "work", "millis": 10 }));
    }
    world.send().await;
    let mut worker = world.inside().await;
    let begun = Instant::now();
    let (mut done, mut received) = (Vec::new(), 0);
    while done.len() <= SHORT {
        match timeout(SOON, worker.trail.recv()).await.unwrap().unwrap() {
            Happening::Received { messages, .. } => received += messages,
            Happening::Done(subject, _) => {
                done.push(subject.key.0);
                if done.len() == SHORT {
                    println!("{SHORT} short ones took {:?}", begun.elapsed());
                }
            }
            Happening::Duplicate(subject, state) => panic!("{} was delivered again: {state}", subject.key),
            Happening::Lost(subject) => panic!("{} lost its lease", subject.key),
            _ => {}
        }
    }
    assert_eq!(done.last(), Some(&long), "the long one ends after all others");
    assert_eq!(received, SHORT + 1, "every message was received once");
    world.settled(SOON).await;
    judge(&world).await;
    worker.stop().await;
    world.finish().await;
}
