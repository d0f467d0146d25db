//! Demand-driven receiving: ask only for what can be worked, wait long when there is nothing, ask several
//! times at once while there is plenty.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio_util::task::TaskTracker;

use crate::{
    crash_point,
    domain::{delivery::Delivery, outcome::Settlement},
    queue::contract::QueueError,
    retry::RetryPolicy,
    worker::{lease::Lease, parts::Context, pipeline::process, slots::InHand, trail::Happening},
};

/// Most receives under way at once.
const MOST_RECEIVES: usize = 8;
/// How long a delivery stays away when a secret or the store cannot be read, the first time ...
const NOT_NOW_FIRST: Duration = Duration::from_secs(2);
/// ... and at most: an outage of hours must not use up the queue's receives of a message.
const NOT_NOW_LONGEST: Duration = Duration::from_secs(15 * 60);

/// Receives until told to stop, then waits for the receives under way: what they bring is released.
pub(super) async fn receive_until_stopped(context: Arc<Context>) {
    let receives = TaskTracker::new();
    let (full, mut fulls) = tokio::sync::mpsc::channel::<bool>(MOST_RECEIVES);
    let mut under_way = 0_usize;
    let mut wanted = 1_usize;
    loop {
        while under_way >= wanted {
            // Each end of a receive says whether there is more to be had.
            let was_full = fulls.recv().await.unwrap_or(false);
            under_way -= 1;
            wanted = if was_full { (wanted + 1).min(MOST_RECEIVES) } else { 1 };
        }
        // A poll loop that waits for room is not stuck.
        context.parts.vitals.waits_for_room(true);
        let room = async {
            tokio::time::sleep(context.pressure.pause()).await;
            context.slots.room().await
        };
        let room = tokio::select! {
            biased;
            () = context.stopping.cancelled() => break,
            room = room => room,
        };
        context.parts.vitals.waits_for_room(false);
        under_way += 1;
        let (context, full) = (Arc::clone(&context), full.clone());
        receives.spawn(async move {
            let asked = room.messages();
            let received = receive(&context, asked).await;
            let _ = full.send(received == asked).await;
            drop(room);
        });
    }
    receives.close();
    receives.wait().await;
}

/// One receive; answers how many messages it brought. An error is waited out here, with backoff.
async fn receive(context: &Arc<Context>, most: usize) -> usize {
    let vitals = &context.parts.vitals;
    // The first does not wait: it shows at once whether the queue answers, which readiness asks for.
    let (_, answered, _) = vitals.last_poll();
    let wait = answered.map_or(Duration::ZERO, |_| context.parts.queue_settings.wait);
    vitals.poll_started(context.parts.clock.now());
    match context.parts.queue.receive(most, wait, context.visibility()).await {
        Ok(deliveries) => {
            crash_point::reach("received");
            vitals.poll_succeeded(context.parts.clock.now());
            let count = deliveries.len();
            hand_out(context, deliveries).await;
            count
        }
        Err(error) => {
            let failures = vitals.poll_failed();
            wait_out(context, &error, failures).await;
            0
        }
    }
}

async fn hand_out(context: &Arc<Context>, deliveries: Vec<Delivery>) {
    if deliveries.is_empty() {
        metrics::gauge!("longshore_oldest_wait_seconds").set(0.0);
        return;
    }
    let now = context.parts.clock.now();
    let oldest_wait = deliveries.iter().map(|d| now.since(d.sent_at)).max().unwrap_or_default();
    context.parts.trail.note(Happening::Received { messages: deliveries.len(), oldest_wait });
    for delivery in deliveries {
        if context.stopping.is_cancelled() {
            // Nothing of it was started: somebody else takes it at once.
            context.settler.visible_after(delivery.receipt, Duration::ZERO);
            continue;
        }
        let in_hand = context.slots.take(delivery.size());
        let lease = context.leases.hold(delivery.receipt.clone(), context.visibility());
        let mut delivered = Box::pin(deliver(Arc::clone(context), delivery, lease, in_hand));
        // The first poll goes as far as the claim: places in the lanes are taken in the order received.
        if poll_fn(|cx| Poll::Ready(delivered.as_mut().poll(cx))).await.is_pending() {
            context.deliveries.spawn(delivered);
        }
    }
}

async fn deliver(context: Arc<Context>, delivery: Delivery, lease: Lease, mut in_hand: InHand) {
    let settlement = process(&context, &delivery, &lease, &mut in_hand).await;
    // The lease ends first: an extension after the settlement would undo it.
    drop(lease);
    match settlement {
        Settlement::Ack => context.settler.ack(delivery.receipt.clone()),
        Settlement::RetryAfter(wait) => context.settler.visible_after(delivery.receipt.clone(), wait),
        Settlement::NotNow => {
            let wait = RetryPolicy::new(NOT_NOW_FIRST, NOT_NOW_LONGEST).delay(delivery.receive_count, None);
            context.settler.visible_after(delivery.receipt.clone(), wait);
        }
        Settlement::Leave => {}
    }
}

/// The SDK does not retry refusals; the loop keeps trying, slower and slower, and readiness says so.
async fn wait_out(context: &Context, error: &QueueError, failures: u32) {
    let wait = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(30)).delay(failures, None);
    tracing::warn!(%error, failures, wait_seconds = wait.as_secs_f64(), "receive failed");
    tokio::select! {
        () = context.stopping.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}
