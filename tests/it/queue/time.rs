//! Times of the embedded server, with a clock turned by hand.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use longshore::{
    clock::{Clock as _, ManualClock, SystemClock},
    queue::{
        contract::{Depth, EntryResult, OutgoingMessage, Queue as _},
        local::server::Server,
        sqs::SqsQueue,
    },
};

use super::harness::{LONG, client, next, sdk, serve, text, until};

const HOUR: Duration = Duration::from_secs(3_600);

async fn clocked(attributes: &[(&str, &str)]) -> (Server, SqsQueue, ManualClock, tempfile::TempDir) {
    let clock = ManualClock::new(SystemClock.now());
    let turned = clock.clone();
    let (server, folder) = serve(|options| options.clock = Arc::new(turned)).await;
    server.ensure_queue("q", attributes).await.unwrap();
    let queue = client(&server, "q").await;
    (server, queue, clock, folder)
}

async fn receives_now(queue: &SqsQueue) -> usize {
    queue.receive(10, Duration::ZERO, HOUR).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_message_comes_when_its_time_has_come() {
    let (server, queue, clock, _folder) = clocked(&[("DelaySeconds", "600")]).await;
    let now = OutgoingMessage { delay: Some(Duration::ZERO), ..text("now") };
    queue.send(&[text("late"), now]).await.unwrap();
    assert_eq!(next(&queue).await.body, "now");
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 1, delayed: 1 });
    clock.advance(Duration::from_secs(599));
    assert_eq!(receives_now(&queue).await, 1, "the first one's lease is over, the delay is not");
    clock.advance(Duration::from_secs(1));
    assert_eq!(next(&queue).await.body, "late");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_receive_wakes_when_the_clock_says_so() {
    let (server, queue, clock, _folder) = clocked(&[]).await;
    queue.send(&[text("hidden")]).await.unwrap();
    assert_eq!(queue.receive(1, Duration::ZERO, HOUR).await.unwrap().len(), 1);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.receive(1, LONG, HOUR).await }
    });
    until("the receive waits", async || server.counters().calls("ReceiveMessage") == 2).await;
    clock.advance(HOUR);
    server.look_again().await;
    assert_eq!(waiting.await.unwrap().unwrap()[0].body, "hidden");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_expires_with_its_retention() {
    let (server, queue, clock, _folder) = clocked(&[("MessageRetentionPeriod", "60")]).await;
    queue.send(&[text("old")]).await.unwrap();
    clock.advance(Duration::from_secs(30));
    queue.send(&[text("young")]).await.unwrap();
    clock.advance(Duration::from_secs(31));
    assert_eq!(next(&queue).await.body, "young");
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 1, delayed: 0 });
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_twelve_hours_after_the_receive() {
    let (server, queue, clock, _folder) = clocked(&[]).await;
    queue.send(&[text("long")]).await.unwrap();
    let receipt = queue.receive(1, Duration::ZERO, 12 * HOUR).await.unwrap().remove(0).receipt;
    clock.advance(HOUR);
    let changes = [(receipt.clone(), 12 * HOUR), (receipt.clone(), 11 * HOUR)];
    let results = queue.change_visibility(&changes).await.unwrap();
    assert!(matches!(&results[0], EntryResult::Gone(why) if why.contains("43200")), "{results:?}");
    assert_eq!(results[1], EntryResult::Done);
    clock.advance(11 * HOUR);
    let results = queue.change_visibility(&[(receipt, HOUR)]).await.unwrap();
    assert!(
        matches!(&results[0], EntryResult::Gone(why) if why.contains("MessageNotInflight")),
        "{results:?}"
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_receipt_deletes_until_another_receive() {
    let (server, queue, clock, _folder) = clocked(&[]).await;
    queue.send(&[text("a")]).await.unwrap();
    let receipt = queue.receive(1, Duration::ZERO, HOUR).await.unwrap().remove(0).receipt;
    clock.advance(HOUR);
    let newer = queue.receive(1, Duration::ZERO, HOUR).await.unwrap().remove(0).receipt;
    assert_eq!(queue.delete(&[receipt]).await.unwrap(), [EntryResult::Done]);
    assert_eq!(queue.depth().await.unwrap().in_flight, 1, "a superseded receipt deletes nothing");
    clock.advance(HOUR);
    assert_eq!(queue.delete(&[newer]).await.unwrap(), [EntryResult::Done]);
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_purge_a_minute() {
    let (server, queue, clock, _folder) = clocked(&[]).await;
    let sqs = sdk(&server.endpoint());
    let purge = || sqs.purge_queue().queue_url(server.queue_url("q")).send();
    queue.send(&[text("a"), text("b")]).await.unwrap();
    purge().await.unwrap();
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
    clock.advance(Duration::from_secs(59));
    let refused = purge().await.unwrap_err();
    assert!(refused.as_service_error().unwrap().is_purge_queue_in_progress(), "{:?}", refused.code());
    clock.advance(Duration::from_secs(1));
    purge().await.unwrap();
    server.shutdown().await;
}
