//! How fast the embedded queue is: 16 connections, batches of ten, bodies of 1 KiB, every answer flushed to
//! the disk before it is given. Beside it the disk's own flushes per second, in the same folder.
//!
//! `cargo bench --bench queue`; `LONGSHORE_BENCH_MESSAGES` changes the number of messages (30,000).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to say")]
#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "its own setting comes from the environment")]

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use longshore::{
    config::QueueSettings,
    queue::{
        contract::{BATCH, EntryResult, OutgoingMessage, Queue as _},
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
};

const CONNECTIONS: usize = 16;
const BODY: usize = 1_024;
const LEASE: Duration = Duration::from_secs(600);

fn main() {
    let asked = std::env::var("LONGSHORE_BENCH_MESSAGES").ok().and_then(|number| number.parse().ok());
    let messages: usize = asked.unwrap_or(30_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // Not the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("disk: {:.0} flushes/s before", flushes_per_second(folder.path()));
    runtime.block_on(run(folder.path(), messages));
    println!("disk: {:.0} flushes/s after", flushes_per_second(folder.path()));
}

/// Appends of one page, each flushed, for two seconds.
fn flushes_per_second(folder: &Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("flushes")).unwrap();
    let started = Instant::now();
    let mut flushes = 0.0;
    while started.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4_096]).unwrap();
        file.sync_all().unwrap();
        flushes += 1.0;
    }
    flushes / started.elapsed().as_secs_f64()
}

async fn run(folder: &Path, messages: usize) {
    let server = Server::start(Options::new("127.0.0.1:0".parse().unwrap(), folder)).await.unwrap();
    let url = server.ensure_queue("bench", &[]).await.unwrap();
    let queue = SqsQueue::connect(&settings(&server.endpoint(), &url), &url).await;
    let batches = messages.div_ceil(BATCH * CONNECTIONS);
    let total = batches * BATCH * CONNECTIONS;

    let started = Instant::now();
    join_all((0..CONNECTIONS).map(|_| tokio::spawn(send(queue.clone(), batches)))).await;
    report("send", total, started.elapsed());

    let left = Arc::new(AtomicUsize::new(total));
    let started = Instant::now();
    join_all((0..CONNECTIONS).map(|_| tokio::spawn(receive_and_delete(queue.clone(), Arc::clone(&left)))))
        .await;
    report("receive + delete", total, started.elapsed());

    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.visible, depth.in_flight), (0, 0), "everything sent was received and deleted");
    println!("calls: {:?}", server.counters().all());
    server.shutdown().await;
}

async fn send(queue: SqsQueue, batches: usize) {
    let message = OutgoingMessage { body: "x".repeat(BODY), ..OutgoingMessage::default() };
    let batch = vec![message; BATCH];
    for _ in 0..batches {
        let results = queue.send(&batch).await.unwrap();
        assert!(results.iter().all(|result| *result == EntryResult::Done), "{results:?}");
    }
}

async fn receive_and_delete(queue: SqsQueue, left: Arc<AtomicUsize>) {
    while left.load(Ordering::SeqCst) > 0 {
        let got = queue.receive(BATCH, Duration::ZERO, LEASE).await.unwrap();
        let receipts: Vec<_> = got.into_iter().map(|delivery| delivery.receipt).collect();
        let results = queue.delete(&receipts).await.unwrap();
        assert!(results.iter().all(|result| *result == EntryResult::Done), "{results:?}");
        left.fetch_sub(results.len(), Ordering::SeqCst);
    }
}

fn report(what: &str, messages: usize, took: Duration) {
    let messages = f64::from(u32::try_from(messages).unwrap());
    println!(
        "{what}: {:.0} messages/s ({messages} in {:.2} s)",
        messages / took.as_secs_f64(),
        took.as_secs_f64()
    );
}

fn settings(endpoint: &str, url: &str) -> QueueSettings {
    QueueSettings {
        url: url.to_owned(),
        dead_letter_url: String::new(),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        default_form: None,
        default_source: None,
        trust: None,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(60),
    }
}
