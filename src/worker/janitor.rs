//! Small regular work: the store's upkeep, calls that nobody ended, models that went down, dead letters that are new,
//! gauges, and copies on the DLQ whose dead letter is closed.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    domain::{
        dead_letter::{DeadLetterFilter, DeadLetterState},
        delivery::{Delivery, Receipt},
    },
    queue::contract::{BATCH, QueueError},
    worker::{
        dead_letter_watch::DeadLetterWatch, model_watch::ModelWatch, parts::Context, pipeline::DEAD_ATTRIBUTE,
    },
};

/// Longest time between two rounds of upkeep; leases that are shorter are looked after as often.
const ROUND: Duration = Duration::from_secs(10);
/// Queue gauges are read this often under load, one request each ...
const DEPTH_UNDER_LOAD: Duration = Duration::from_secs(30);
/// ... and this often when idle.
const DEPTH_IDLE: Duration = Duration::from_secs(15 * 60);
/// Receives of one sweep: a long DLQ is swept over several.
const SWEEP_RECEIVES: usize = 50;
/// How long a sweep hides the copies that it looks at.
const SWEEP_VISIBILITY: Duration = Duration::from_secs(30);

/// Keeps house until told to stop. A round that is under way then is dropped: whatever holds it up, such as a
/// lock of a worker that hangs, must not hold up the end.
pub(super) async fn keep_house_until_stopped(context: Arc<Context>) {
    let (mut depth_read, mut watches) = (None, Watches::default());
    loop {
        tokio::select! {
            biased;
            () = context.stopping.cancelled() => return,
            () = round(&context, &mut depth_read, &mut watches) => {}
        }
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(ROUND.min(context.visibility())) => {}
        }
    }
}

/// What somebody is told of.
#[derive(Default)]
struct Watches {
    models: ModelWatch,
    dead_letters: DeadLetterWatch,
}

async fn round(context: &Arc<Context>, depth_read: &mut Option<Instant>, watches: &mut Watches) {
    watches.models.look(context);
    upkeep(context).await;
    measure(context, &mut watches.dead_letters).await;
    end_lapsed_calls(context).await;
    context.rates.forget_idle();
    let every = if context.slots.in_hand() > BATCH { DEPTH_UNDER_LOAD } else { DEPTH_IDLE };
    if depth_read.is_none_or(|at| at.elapsed() >= every) {
        *depth_read = Some(Instant::now());
        read_depth(context).await;
    }
    if context.closed.swap(false, Ordering::SeqCst)
        && let Err(error) = sweep(context).await
    {
        tracing::warn!(%error, "dead-letter queue not swept");
    }
}

async fn upkeep(context: &Context) {
    let store = &context.parts.store;
    if let Err(error) = store.maintain().await {
        tracing::warn!(%error, "no upkeep of the store");
    }
    if let Err(error) = context.clock.refresh(&**store).await {
        tracing::warn!(%error, "the database's clock was not read");
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^52")]
async fn measure(context: &Arc<Context>, dead_letters: &mut DeadLetterWatch) {
    metrics::gauge!("longshore_messages_in_flight").set(context.slots.in_hand() as f64);
    if let Ok(gauges) = context.parts.store.gauges().await {
        dead_letters.look(context, &gauges.dead_letters);
        metrics::gauge!("longshore_parked").set(gauges.parked as f64);
        metrics::gauge!("longshore_outbox", "state" => "planned").set(gauges.planned as f64);
        metrics::gauge!("longshore_outbox", "state" => "unknown").set(gauges.unknown as f64);
        for (reason, count) in gauges.dead_letters {
            metrics::gauge!("longshore_dead_letters_open", "reason" => reason).set(count as f64);
        }
    }
}

/// Calls whose process died: their money is given back, or charged at the worst case.
async fn end_lapsed_calls(context: &Context) {
    match context.parts.tools.gateway.end_lapsed_calls().await {
        Ok(0) => {}
        Ok(calls) => tracing::warn!(calls, "calls to models that nobody ended are ended"),
        Err(error) => tracing::warn!(%error, "calls that nobody ended were not looked for"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^52")]
async fn read_depth(context: &Context) {
    match context.parts.queue.depth().await {
        Ok(depth) => {
            metrics::gauge!("longshore_queue_messages", "state" => "visible").set(depth.visible as f64);
            metrics::gauge!("longshore_queue_messages", "state" => "in_flight").set(depth.in_flight as f64);
            metrics::gauge!("longshore_queue_messages", "state" => "delayed").set(depth.delayed as f64);
        }
        Err(error) => tracing::warn!(%error, "queue depth not read"),
    }
}

/// Removes copies of closed dead letters from the DLQ. Looks only after a replay or an erasure: every look costs receives.
/// Copies that are still open become visible again by themselves; one that is left behind is harmless.
async fn sweep(context: &Context) -> Result<(), QueueError> {
    let queue = &context.parts.dead_letter_queue;
    for _ in 0..SWEEP_RECEIVES {
        let copies = queue.receive(BATCH, Duration::ZERO, SWEEP_VISIBILITY).await?;
        if copies.is_empty() || context.stopping.is_cancelled() {
            return Ok(());
        }
        let closed = closed(context, &copies).await;
        if !closed.is_empty() {
            queue.delete(&closed).await?;
        }
    }
    Ok(())
}

/// The copies whose dead letter was replayed or erased; none when the store cannot tell.
async fn closed(context: &Context, copies: &[Delivery]) -> Vec<Receipt> {
    let ids: Vec<String> =
        copies.iter().filter_map(|copy| copy.text(DEAD_ATTRIBUTE).map(ToOwned::to_owned)).collect();
    let filter = DeadLetterFilter { ids, closed: true, limit: 10, ..DeadLetterFilter::default() };
    let letters = context.parts.store.dead_letters(&filter).await.unwrap_or_default();
    let over: HashSet<&str> = letters
        .iter()
        .filter(|letter| letter.state != DeadLetterState::Open)
        .map(|letter| letter.id.as_str())
        .collect();
    let is_closed = |copy: &&Delivery| copy.text(DEAD_ATTRIBUTE).is_some_and(|id| over.contains(id));
    copies.iter().filter(is_closed).map(|copy| copy.receipt.clone()).collect()
}
