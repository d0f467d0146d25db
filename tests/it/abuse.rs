//! Senders that send too much: others do not notice, and nothing of theirs is lost.

use std::time::Duration;

use longshore::domain::{dead_letter::DeadLetterFilter, reason::Reason};
use longshore::worker::trail::Happening;

use crate::world::{Inside, Kind, World};

const SOON: Duration = Duration::from_secs(60);

/// What was said since the last look.
fn said(worker: &mut Inside) -> Vec<Happening> {
    std::iter::from_fn(|| worker.trail.try_recv().ok()).collect()
}

/// WA-10, BV-3: one person writes faster than allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wa_10_a_flooding_person_waits_alone_and_everything_is_done() {
    let mut world = World::new(Kind::Sqlite).await;
    let source = world.settings.sources.get_mut("whatsapp").unwrap();
    source.sender_events_per_minute = Some(30);
    for _ in 0..34 {
        world.whatsapp("34600000001", "hello");
    }
    let other: Vec<String> = (0..5).map(|_| world.whatsapp("34600000002", "hello")).collect();
    world.send().await;
    let mut worker = world.inside().await;
    world.settled(SOON).await;
    let mut waited = 0;
    for happening in said(&mut worker) {
        let (Happening::Deferred(subject, failure, _) | Happening::Parked(subject, failure, _)) = happening
        else {
            assert!(!matches!(happening, Happening::Retried(..) | Happening::Buried(..)), "{happening:?}");
            continue;
        };
        if failure.reason == Reason::SenderRateLimited {
            assert!(!other.contains(&subject.key.0), "{subject:?}");
            waited += 1;
        }
    }
    assert!(waited > 0, "four more than allowed at once, and one more is allowed every two seconds");
    let gauges = worker.store().gauges().await.unwrap();
    assert!(gauges.dead_letters.is_empty(), "{gauges:?}");
    assert_eq!(world.database.count("inbox WHERE failures > 0").await, 0);
    worker.stop().await;
    world.finish().await;
}

/// WA-21: forged messages beyond the limit are counted, not kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wa_21_a_flood_of_forged_messages_is_one_alert_and_few_dead_letters() {
    let mut world = World::new(Kind::Sqlite).await;
    for source in world.settings.sources.values_mut() {
        source.bad_signatures_per_minute = 3;
    }
    for _ in 0..20 {
        world.forged();
    }
    let good = world.whatsapp("34600000001", "hello");
    world.send().await;
    let mut worker = world.inside().await;
    world.settled(SOON).await;
    let (mut alerts, mut dropped, mut done) = (0, 0, false);
    for happening in said(&mut worker) {
        match happening {
            Happening::Flooded { .. } => alerts += 1,
            Happening::Dropped { reason, .. } => {
                assert_eq!(reason, Reason::SigInvalid);
                dropped += 1;
            }
            Happening::Done(subject, _) => done |= subject.key.0 == good,
            _ => {}
        }
    }
    assert!(done);
    let filter = DeadLetterFilter { limit: 100, ..DeadLetterFilter::default() };
    let kept = worker.store().dead_letters(&filter).await.unwrap().len();
    // A minute may end in between.
    assert!((3..=6).contains(&kept) && (1..=2).contains(&alerts), "{kept} kept, {alerts} alerts");
    assert_eq!(kept + dropped, 20);
    worker.stop().await;
    world.finish().await;
}
