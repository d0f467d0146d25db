//! Stopping under load: every 2xx is on the queue.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::harness::{LONG, Unusual, World, body_of, try_ask, whatsapp};

const CALLERS: usize = 16;
const BEFORE: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_while_stopping_loses_nothing_that_was_acknowledged() {
    let world = World::with(Unusual { faults: &["SendMessageBatch:delay=20ms"], ..Unusual::default() }).await;
    let (taken, count, enough) =
        (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (taken, count, enough, address) =
                (Arc::clone(&taken), Arc::clone(&count), Arc::clone(&enough), world.address());
            tokio::spawn(async move {
                for number in 0.. {
                    let body = format!("{{\"caller\":{caller},\"number\":{number}}}");
                    // The port is closed: the edge has stopped.
                    let Some(answer) = try_ask(address, &whatsapp(body.as_bytes())).await else { return };
                    assert!(matches!(answer.status, 200 | 429), "{answer:?}");
                    if answer.status == 200 {
                        taken.lock().unwrap().insert(body);
                        if count.fetch_add(1, Ordering::SeqCst) == BEFORE {
                            enough.notify_one();
                        }
                    }
                }
            })
        })
        .collect();
    tokio::time::timeout(LONG, enough.notified()).await.unwrap();
    let World { intake, queue, server, folder } = world;
    let vitals = Arc::clone(&intake.vitals);
    assert!(intake.stop(CancellationToken::new()).await, "it finishes by itself");
    assert!(vitals.is_draining());
    for caller in callers {
        caller.await.unwrap();
    }
    let mut there = BTreeSet::new();
    loop {
        use longshore::queue::contract::Queue as _;
        let got = queue.receive(10, std::time::Duration::ZERO, LONG * 30).await.unwrap();
        if got.is_empty() {
            break;
        }
        there.extend(got.into_iter().map(|delivery| {
            let envelope: Value = serde_json::from_str(&delivery.body).unwrap();
            String::from_utf8(body_of(&envelope)).unwrap()
        }));
    }
    let taken = taken.lock().unwrap().clone();
    assert!(taken.len() > BEFORE);
    let lost: Vec<_> = taken.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and not on the queue: {lost:?}");
    server.shutdown().await;
    drop(folder);
}
