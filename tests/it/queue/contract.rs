//! What every queue keeps, seen through the contract only.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use longshore::{
    domain::delivery::{Attribute, Receipt},
    queue::{
        contract::{Depth, EntryResult, LARGEST_MESSAGE, OutgoingMessage, Queue as _, QueueError},
        sqs::SqsQueue,
    },
};

use super::harness::{Harness, LONG, MAX_RECEIVES, gather, next, text, until};

const ONE_SECOND: Duration = Duration::from_secs(1);

/// Well under `LONG`: what woke did not simply wait to the end.
const SOON: Duration = Duration::from_secs(10);

async fn send(queue: &SqsQueue, body: &str) {
    assert_eq!(queue.send(&[text(body)]).await.unwrap(), [EntryResult::Done]);
}

pub(super) async fn a_message_comes_back_as_it_was_sent(on: &Harness) {
    let message = OutgoingMessage {
        body: "caf\u{e9} \u{1F680} {\"a\":1}\n\ttab <&> \"quoted\"".to_owned(),
        attributes: BTreeMap::from([
            ("longshore-form".to_owned(), Attribute::Text("job.v1".to_owned())),
            ("bytes".to_owned(), Attribute::Binary((0..=255).collect())),
        ]),
        group: Some("tenant-a".to_owned()),
        delay: None,
        deduplication: None,
    };
    assert_eq!(on.queue.send(std::slice::from_ref(&message)).await.unwrap(), [EntryResult::Done]);
    let got = next(&on.queue).await;
    assert_eq!((&got.body, &got.attributes), (&message.body, &message.attributes));
    assert_eq!(got.group, message.group);
    assert_eq!(got.receive_count, 1);
    assert!(!got.message_id.is_empty() && got.sent_at.0 > 0, "{got:?}");
}

pub(super) async fn deleting_twice_succeeds_and_garbage_is_given_up(on: &Harness) {
    send(&on.queue, "once").await;
    let receipt = next(&on.queue).await.receipt;
    let garbage = Receipt("garbage".to_owned());
    let first = on.queue.delete(&[garbage, receipt.clone()]).await.unwrap();
    assert!(
        matches!(&first[0], EntryResult::Gone(why) if why.contains("ReceiptHandleIsInvalid")),
        "{first:?}"
    );
    assert_eq!(first[1], EntryResult::Done);
    assert_eq!(on.queue.delete(&[receipt]).await.unwrap(), [EntryResult::Done]);
    until("the queue is empty", async || on.queue.depth().await.unwrap() == Depth::default()).await;
}

pub(super) async fn entries_of_a_batch_are_judged_alone_and_answered_in_order(on: &Harness) {
    let mut batch: Vec<OutgoingMessage> = (0..10).map(|number| text(&format!("m{number}"))).collect();
    batch[3] = text("bad\u{1}");
    let results = on.queue.send(&batch).await.unwrap();
    for (at, result) in results.iter().enumerate() {
        assert_eq!(matches!(result, EntryResult::Gone(_)), at == 3, "entry {at}: {result:?}");
        assert!(at == 3 || *result == EntryResult::Done, "entry {at}: {result:?}");
    }
    let mut bodies: Vec<String> = gather(&on.queue, 9).await.into_iter().map(|got| got.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["m0", "m1", "m2", "m4", "m5", "m6", "m7", "m8", "m9"]);
}

pub(super) async fn visibility_zero_gives_the_message_to_the_next(on: &Harness) {
    send(&on.queue, "again").await;
    let first = next(&on.queue).await;
    let changed = on.queue.change_visibility(&[(first.receipt.clone(), Duration::ZERO)]).await.unwrap();
    assert_eq!(changed, [EntryResult::Done]);
    let second = next(&on.queue).await;
    assert_eq!((second.message_id, second.receive_count), (first.message_id, 2));
    assert_ne!(second.receipt, first.receipt);
}

pub(super) async fn a_superseded_receipt_settles_nothing(on: &Harness) {
    send(&on.queue, "mine").await;
    let old = next(&on.queue).await;
    on.queue.change_visibility(&[(old.receipt.clone(), Duration::ZERO)]).await.unwrap();
    let new = next(&on.queue).await;
    // Deleting with it may succeed or not; it must not fail the call.
    assert_eq!(on.queue.delete(std::slice::from_ref(&old.receipt)).await.unwrap().len(), 1);
    assert_eq!(on.queue.delete(&[new.receipt]).await.unwrap(), [EntryResult::Done]);
}

pub(super) async fn a_waiting_receive_wakes_on_arrival(on: &Harness) {
    let started = Instant::now();
    let (got, ()) = tokio::join!(next(&on.queue), send(&on.queue, "hello"));
    assert_eq!(got.body, "hello");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

pub(super) async fn a_waiting_receive_wakes_when_a_lease_lapses(on: &Harness) {
    send(&on.queue, "lapse").await;
    let first = on.queue.receive(1, LONG, ONE_SECOND).await.unwrap().remove(0);
    let started = Instant::now();
    let second = next(&on.queue).await;
    assert_eq!(second.message_id, first.message_id);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

pub(super) async fn a_waiting_receive_wakes_when_a_delay_ends(on: &Harness) {
    let late = OutgoingMessage { delay: Some(ONE_SECOND), ..text("late") };
    let started = Instant::now();
    on.queue.send(&[late]).await.unwrap();
    assert_eq!(next(&on.queue).await.body, "late");
    // Servers round to their clock's grain.
    let took = started.elapsed();
    assert!(took > Duration::from_millis(500) && took < SOON, "{took:?}");
}

pub(super) async fn an_empty_queue_answers_when_the_wait_is_over(on: &Harness) {
    let started = Instant::now();
    assert!(on.queue.receive(10, ONE_SECOND, ONE_SECOND).await.unwrap().is_empty());
    let waited = started.elapsed();
    assert!(waited > Duration::from_millis(900) && waited < SOON, "{waited:?}");
    assert!(on.queue.receive(10, Duration::ZERO, ONE_SECOND).await.unwrap().is_empty());
}

pub(super) async fn depths_tell_waiting_from_in_flight_and_delayed(on: &Harness) {
    for body in ["a", "b", "c"] {
        send(&on.queue, body).await;
    }
    on.queue.send(&[OutgoingMessage { delay: Some(Duration::from_secs(600)), ..text("d") }]).await.unwrap();
    next(&on.queue).await;
    let want = Depth { visible: 2, in_flight: 1, delayed: 1 };
    until("the depths settle", async || on.queue.depth().await.unwrap() == want).await;
}

pub(super) async fn too_many_receives_make_a_dead_letter(on: &Harness) {
    assert_eq!(on.queue.max_receive_count().await.unwrap(), Some(MAX_RECEIVES));
    assert_eq!(on.dead.max_receive_count().await.unwrap(), None);
    send(&on.queue, "poison").await;
    let first = next(&on.queue).await;
    for receipt in [first.receipt.clone(), next_after(on, &first.receipt).await] {
        on.queue.change_visibility(&[(receipt, Duration::ZERO)]).await.unwrap();
    }
    assert!(on.queue.receive(10, Duration::ZERO, LONG).await.unwrap().is_empty(), "received a third time");
    let dead = next(&on.dead).await;
    assert_eq!((&dead.body, dead.message_id), (&first.body, first.message_id));
    assert_eq!(dead.sent_at, first.sent_at);
}

pub(super) async fn a_dead_letter_wakes_who_waits_for_it(on: &Harness) {
    send(&on.queue, "poison").await;
    let wear_out = async {
        for _ in 0..MAX_RECEIVES {
            let receipt = next(&on.queue).await.receipt;
            on.queue.change_visibility(&[(receipt, Duration::ZERO)]).await.unwrap();
        }
        assert!(on.queue.receive(1, Duration::ZERO, LONG).await.unwrap().is_empty());
    };
    let started = Instant::now();
    let (dead, ()) = tokio::join!(next(&on.dead), wear_out);
    assert_eq!(dead.body, "poison");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

/// Hands the message back and takes it again.
async fn next_after(on: &Harness, receipt: &Receipt) -> Receipt {
    on.queue.change_visibility(&[(receipt.clone(), Duration::ZERO)]).await.unwrap();
    next(&on.queue).await.receipt
}

pub(super) async fn large_messages_go_in_several_calls(on: &Harness) {
    let large = "x".repeat(600_000);
    let batch = [text(&large), text(&"y".repeat(LARGEST_MESSAGE + 1)), text(&large), text(&large)];
    let results = on.queue.send(&batch).await.unwrap();
    assert!(matches!(results[1], EntryResult::Gone(_)), "{:?}", results[1]);
    assert!([0, 2, 3].iter().all(|at| results[*at] == EntryResult::Done), "{results:?}");
    let got = gather(&on.queue, 3).await;
    assert!(got.iter().all(|delivery| delivery.body == large));
}

pub(super) async fn a_missing_queue_is_refused_by_code(on: &Harness) {
    let missing = SqsQueue::new(on.clients.clone(), &format!("{}-missing", on.url));
    for error in [
        missing.receive(1, Duration::ZERO, ONE_SECOND).await.unwrap_err(),
        missing.send(&[text("x")]).await.unwrap_err(),
        missing.depth().await.unwrap_err(),
    ] {
        let QueueError::Refused { code, .. } = error else { panic!("{error:?}") };
        assert!(code.ends_with("NonExistentQueue") || code.ends_with("QueueDoesNotExist"), "{code}");
    }
}

pub(super) async fn nothing_asked_is_nothing_sent(on: &Harness) {
    assert!(on.queue.send(&[]).await.unwrap().is_empty());
    assert!(on.queue.delete(&[]).await.unwrap().is_empty());
    assert!(on.queue.change_visibility(&[]).await.unwrap().is_empty());
}
