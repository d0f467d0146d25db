//! Faults on request, and what the client makes of them.

use std::time::{Duration, Instant};

use longshore::{
    domain::delivery::Receipt,
    queue::{
        contract::{EntryResult, Queue as _, QueueError},
        local::server::Server,
        sqs::SqsQueue,
    },
};

use super::harness::{client, gather, next, serve, text};

async fn faulty(rules: &[&str]) -> (Server, SqsQueue, tempfile::TempDir) {
    let faults = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let (server, folder) = serve(|options| options.faults = faults).await;
    server.ensure_queue("q", &[]).await.unwrap();
    let queue = client(&server, "q").await;
    (server, queue, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_was_work_done() {
    let (server, queue, _folder) = faulty(&["SendMessageBatch:lose:x1"]).await;
    assert_eq!(queue.send(&[text("twice")]).await.unwrap(), [EntryResult::Done]);
    // The client could not know and sent again: at least once.
    let got = gather(&queue, 2).await;
    assert!(got.iter().all(|delivery| delivery.body == "twice"));
    assert_eq!(server.counters().calls("SendMessageBatch"), 2);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_delete_is_repeated_and_succeeds() {
    let (server, queue, _folder) = faulty(&["DeleteMessageBatch:lose:x1"]).await;
    queue.send(&[text("gone")]).await.unwrap();
    let receipt = next(&queue).await.receipt;
    assert_eq!(queue.delete(&[receipt]).await.unwrap(), [EntryResult::Done]);
    assert_eq!(server.counters().calls("DeleteMessageBatch"), 2);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receive_is_not_repeated_by_the_client_itself() {
    let (server, queue, _folder) = faulty(&["ReceiveMessage:throttle:x1", "ReceiveMessage:error:x2"]).await;
    for _ in 0..2 {
        let error = queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    }
    assert!(queue.receive(1, Duration::ZERO, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(server.counters().calls("ReceiveMessage"), 3);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_is_repeated_through_errors() {
    let (server, queue, _folder) = faulty(&["SendMessageBatch:error:x2"]).await;
    assert_eq!(queue.send(&[text("through")]).await.unwrap(), [EntryResult::Done]);
    assert_eq!(next(&queue).await.body, "through");
    assert_eq!(server.counters().calls("SendMessageBatch"), 3);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_of_a_batch_fails_and_can_be_tried_again() {
    let (server, queue, _folder) = faulty(&["*:partial:x3"]).await;
    let batch = [text("a"), text("b"), text("c")];
    let sent = queue.send(&batch).await.unwrap();
    assert!(
        matches!(&sent[..], [EntryResult::Again(_), EntryResult::Done, EntryResult::Again(_)]),
        "{sent:?}"
    );
    // The second strike meets a receive, which has no entries.
    let got = next(&queue).await;
    assert_eq!(got.body, "b");
    let receipts = [got.receipt, Receipt("garbage".to_owned())];
    let deleted = queue.delete(&receipts).await.unwrap();
    assert!(matches!(&deleted[..], [EntryResult::Again(_), EntryResult::Gone(_)]), "{deleted:?}");
    assert_eq!(queue.delete(&receipts[..1]).await.unwrap(), [EntryResult::Done]);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_on_both_ways() {
    let (server, queue, _folder) =
        faulty(&["SendMessageBatch:duplicate:x1", "ReceiveMessage:duplicate:x1"]).await;
    queue.send(&[text("two")]).await.unwrap();
    let first = queue.receive(10, Duration::ZERO, Duration::from_secs(60)).await.unwrap();
    assert_eq!(first.len(), 2, "stored twice");
    let second = gather(&queue, 2).await;
    let ids = |list: &[longshore::domain::delivery::Delivery]| {
        let mut ids: Vec<String> = list.iter().map(|delivery| delivery.message_id.clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&first), ids(&second), "given out twice");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_delays() {
    let (server, queue, _folder) = faulty(&["GetQueueAttributes:delay=300ms"]).await;
    let started = Instant::now();
    queue.depth().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    server.shutdown().await;
}
