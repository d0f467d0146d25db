//! One claimed event, from its start to its verdict.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit},
    time::{Instant, timeout},
};

use crate::{
    crash_point,
    domain::{
        event::Event,
        outcome::{Failure, Fence, Outcome, Settled, Verdict},
        reason::{Class, Reason},
        timestamp::Timestamp,
    },
    handlers,
    retry::RetryPolicy,
    store::contract::{Claim, Work},
    worker::{
        admit::admit,
        commit::commit,
        lanes::Place,
        lease::{Covered, Lease},
        parts::Context,
        trail::{Happening, Subject},
    },
};

/// What one event means for its delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EventEnd {
    /// Done, buried or parked: the delivery is not needed any more.
    Finished,
    /// The delivery is needed again after this long.
    Again(Duration),
    /// Lost, or nothing could be recorded: the delivery is left to come back by itself.
    Left,
}

/// How the delivery around an event shapes what may become of it.
#[derive(Clone, Copy)]
pub(super) struct Surroundings {
    /// The delivery holds other events: it is worked once, so waiting means parking.
    pub(super) several: bool,
    /// The queue will soon give the message up: waiting means parking.
    pub(super) near_last_receive: bool,
}

/// Panics after which an event is buried.
const PANICS: i32 = 2;
/// Longest visibility timeout that SQS grants.
const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 3600 - 600);

/// The slot, when the start was recorded with the claim, and the place in the line of its conversation.
pub(super) type Kept = (Option<OwnedSemaphorePermit>, Option<Place>);

/// Works one event as its claim allows.
pub(super) async fn work_event(
    context: &Context,
    lease: &Lease,
    around: Surroundings,
    claim: Claim,
    event: &Event,
    room: Kept,
) -> EventEnd {
    let known = |state| {
        context.parts.trail.note(Happening::Duplicate(Subject::from(event), state));
    };
    match claim {
        Claim::Mine(work) => work_claimed(context, lease, around, work, event, room).await,
        Claim::Done => {
            known("done");
            EventEnd::Finished
        }
        Claim::Parked => {
            known("parked");
            EventEnd::Finished
        }
        Claim::Buried => {
            known("buried");
            EventEnd::Finished
        }
        Claim::Busy(wait) => {
            known("busy");
            EventEnd::Again(wait)
        }
        Claim::RetryAt(wait) => {
            known("retry_at");
            EventEnd::Again(wait)
        }
    }
}

async fn work_claimed(
    context: &Context,
    lease: &Lease,
    around: Surroundings,
    work: Work,
    event: &Event,
    room: Kept,
) -> EventEnd {
    let covered = lease.cover(work.held.clone());
    let (slot, mut place) = room;
    let started = async {
        if let Some(place) = &mut place {
            place.turn().await;
        }
        start(context, &work, slot).await
    };
    let begun = tokio::select! {
        biased;
        () = covered.lost.cancelled() => return let_go(context, &covered, event).await,
        () = context.stopping.cancelled() => None,
        begun = started => Some(begun),
    };
    // The place and the room are held until the verdict is committed.
    let Some(room) = begun else {
        return settle(context, &covered, event, Verdict::HandBack, Duration::ZERO).await;
    };
    match room {
        Ok(_room) => {
            let clock = Instant::now();
            let verdict = tokio::select! {
                biased;
                () = covered.lost.cancelled() => return let_go(context, &covered, event).await,
                () = context.stopped.cancelled() => Verdict::HandBack,
                result = handle(context, &work, event) => verdict(context, around, &work, result),
            };
            settle(context, &covered, event, verdict, clock.elapsed()).await
        }
        Err(NotStarted::Lost) => lost(context, event),
        Err(NotStarted::Unrecorded) => EventEnd::Left,
    }
}

/// Where an event runs: a slot beside others, or the lone lane.
#[expect(dead_code, reason = "held for its drop")]
enum Room {
    Slot(OwnedSemaphorePermit),
    Lone(OwnedMutexGuard<()>),
}

enum NotStarted {
    Lost,
    Unrecorded,
}

/// Waits for room and records the start, so that a death of the process can be explained.
async fn start(
    context: &Context,
    work: &Work,
    slot: Option<OwnedSemaphorePermit>,
) -> Result<Room, NotStarted> {
    let (room, recorded) = if work.suspect {
        // A suspect gives its slot to others while it waits to run alone.
        drop(slot);
        let lone = context.lanes.lone().await;
        let fences = context.parts.store.mark_started(std::slice::from_ref(&work.held), true).await;
        (Room::Lone(lone), fences.map(|fences| fences.first().copied().unwrap_or(Fence::Lost)))
    } else if let Some(slot) = slot {
        // Recorded with the claim.
        crash_point::reach("start_recorded");
        return Ok(Room::Slot(slot));
    } else {
        let slot = context.slots.run().await.ok_or(NotStarted::Unrecorded)?;
        (Room::Slot(slot), context.parts.writer.mark_started(work.held.clone()).await)
    };
    crash_point::reach("start_recorded");
    match recorded {
        Ok(Fence::Committed) => Ok(room),
        Ok(Fence::Lost) => Err(NotStarted::Lost),
        Err(error) => {
            tracing::warn!(%error, event_key = %work.held.key, "start not recorded");
            Err(NotStarted::Unrecorded)
        }
    }
}

/// Admits and runs the handler, bounded in time; a panic is caught here and counted by the verdict.
async fn handle(context: &Context, work: &Work, event: &Event) -> Result<Outcome, Failure> {
    admit(event, work, context.clock.now())?;
    context.rates.admit(event, work.deferrals)?;
    let limit = context.parts.settings.handler_timeout;
    let run = AssertUnwindSafe(handlers::handle(&context.parts.tools, work, event)).catch_unwind();
    let result = match timeout(limit, run).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(Failure::new(Reason::HandlerPanic, "the handler panicked; see the log")),
        Err(_) => Err(Failure::new(Reason::HandlerTimeout, format!("no end after {limit:?}"))),
    };
    crash_point::reach("handled");
    result
}

fn verdict(
    context: &Context,
    around: Surroundings,
    work: &Work,
    result: Result<Outcome, Failure>,
) -> Verdict {
    let failure = match result {
        Ok(outcome) => return Verdict::Done(outcome),
        Err(failure) => failure,
    };
    let settings = &context.parts.settings;
    let backoff = RetryPolicy::new(settings.backoff_initial, settings.backoff_max);
    let tries = u32::try_from(work.failures.saturating_add(1)).unwrap_or(1);
    let after = |wait: Duration| (context.clock.now().plus(wait), park(context, around, wait));
    match failure.class() {
        Class::Fatal if failure.reason == Reason::HandlerPanic && work.panics + 1 < PANICS => {
            let (at, park) = after(backoff.delay(tries, None));
            Verdict::Retry { at, failure, park }
        }
        Class::Fatal => Verdict::Bury(failure),
        Class::Retry if work.failures + 1 >= settings.attempts => {
            let detail = format!("after {} attempts, the last: {failure}", settings.attempts);
            Verdict::Bury(Failure { reason: Reason::AttemptsExhausted, detail, ..failure })
        }
        Class::Retry => {
            let (at, park) = after(backoff.delay(tries, failure.wait));
            Verdict::Retry { at, failure, park }
        }
        Class::Defer => {
            let (at, park) = after(failure.wait.unwrap_or(settings.backoff_initial));
            Verdict::Defer { at, failure, park }
        }
    }
}

/// Is this wait one for the store instead of the queue?
fn park(context: &Context, around: Surroundings, wait: Duration) -> bool {
    let longest = context.parts.settings.park_after.min(LONGEST_VISIBILITY);
    around.several || around.near_last_receive || wait > longest
}

async fn settle(
    context: &Context,
    covered: &Covered<'_>,
    event: &Event,
    verdict: Verdict,
    took: Duration,
) -> EventEnd {
    let subject = Subject::from(event);
    let wait_until = |at: Timestamp| at.since(context.clock.now());
    let (happening, end) = match &verdict {
        Verdict::Done(_) => (Happening::Done(subject, took), EventEnd::Finished),
        Verdict::Bury(failure) => (Happening::Buried(subject, failure.clone()), EventEnd::Finished),
        Verdict::Retry { at, failure, park: true } | Verdict::Defer { at, failure, park: true } => {
            (Happening::Parked(subject, failure.clone(), wait_until(*at)), EventEnd::Finished)
        }
        Verdict::Retry { at, failure, .. } => {
            (Happening::Retried(subject, failure.clone(), wait_until(*at)), EventEnd::Again(wait_until(*at)))
        }
        Verdict::Defer { at, failure, .. } => {
            (Happening::Deferred(subject, failure.clone(), wait_until(*at)), EventEnd::Again(wait_until(*at)))
        }
        // A delivery with several events comes back whole; those that are done are known then.
        Verdict::HandBack => (Happening::HandedBack(subject), EventEnd::Again(Duration::ZERO)),
    };
    let deferred = matches!(&verdict, Verdict::Defer { failure, .. } if presses(failure.reason));
    match commit(context, covered, verdict).await {
        Some(Fence::Committed) => {
            context.pressure.note(deferred);
            context.parts.trail.note(happening);
            end
        }
        Some(Fence::Lost) => lost(context, event),
        None => EventEnd::Left,
    }
}

/// Does this deferral say that receiving more is of no use? One sender's impatience does not: others go on.
fn presses(reason: Reason) -> bool {
    reason != Reason::SenderRateLimited
}

/// The lease is gone, the claim perhaps not yet: handed back, it is free at once, and its start no longer looks
/// like a death of the process. Fenced: whoever holds the claim by now keeps it.
async fn let_go(context: &Context, covered: &Covered<'_>, event: &Event) -> EventEnd {
    let settled = Settled { held: covered.held().clone(), verdict: Verdict::HandBack };
    if let Err(error) = context.parts.writer.settle(settled).await {
        tracing::warn!(%error, event_key = %event.key, "a lost claim was not handed back");
    }
    lost(context, event)
}

fn lost(context: &Context, event: &Event) -> EventEnd {
    context.parts.trail.note(Happening::Lost(Subject::from(event)));
    EventEnd::Left
}
