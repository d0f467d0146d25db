//! The way of one delivery, in one column. Each step takes what the one before it made, so another order
//! does not compile; [`process`] returns a settlement and not a result, so no `?` can lose a delivery.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    crash_point,
    domain::{
        dead_letter::{DeadDelivery, attributes_to_json},
        delivery::Delivery,
        event::Event,
        ids::{EventKey, Revision},
        outcome::Settlement,
        reason::{Class, Reason},
    },
    sources::{
        self,
        prove::prove,
        rejection::{ItemRejection, Rejection},
        verified::{Checked, Message, Verified},
    },
    store::contract::{Claim, ClaimRequest, Replayed, StoreError, Wake, WakeClaim},
    worker::{
        abuse::Fate,
        lanes::Place,
        lease::Lease,
        parts::Context,
        slots::InHand,
        trail::{Happening, Subject},
        work::{EventEnd, Surroundings, work_event},
    },
};

/// Attribute with which our copies lie on the DLQ: its value is the dead letter's id.
pub(super) const DEAD_ATTRIBUTE: &str = "longshore-dead";

/// From a delivery to what becomes of it at the queue.
pub(super) async fn process(
    context: &Context,
    delivery: &Delivery,
    lease: &Lease,
    in_hand: &mut InHand,
) -> Settlement {
    if let Some(id) = delivery.text(DEAD_ATTRIBUTE) {
        return reopen(context, delivery, id).await;
    }
    let verified = match verified(context, delivery).await {
        Ok(verified) => verified,
        Err(Unproved::Rejected(rejection)) => return bury_unless_flooded(context, delivery, rejection).await,
        Err(Unproved::OurFault(reason, detail)) => return not_now(context, reason, detail),
    };
    crash_point::reach("verified");
    let claimed = match verified {
        Verified::Nothing => Ok(Vec::new()),
        Verified::Wake(wake) => claim_wake(context, &wake).await,
        Verified::Message(message) => match read(context, delivery, &message).await {
            Ok(events) => claim(context, events, in_hand, message.seal_hash()).await,
            Err(settlement) => Err(settlement),
        },
    };
    match claimed {
        Ok(claimed) => work(context, delivery, lease, claimed).await,
        Err(settlement) => settlement,
    }
}

/// One claimed event, with the slot that was free for it.
struct Claimed {
    event: Event,
    claim: Claim,
    slot: Option<OwnedSemaphorePermit>,
    place: Option<Place>,
}

enum Unproved {
    Rejected(Rejection),
    OurFault(Reason, String),
}

/// The sender, proved. What is authentic but too old counts only when the store knows it from before.
async fn verified(context: &Context, delivery: &Delivery) -> Result<Verified, Unproved> {
    let doubtful = match prove(delivery, &context.parts.senders, &context.parts.objects).await {
        Ok(Checked::Trusted(verified)) => return Ok(verified),
        Ok(Checked::IfKnown(doubtful)) => doubtful,
        Err(rejection) if rejection.reason.class() == Class::Fatal => {
            return Err(Unproved::Rejected(rejection));
        }
        Err(rejection) => return Err(Unproved::OurFault(rejection.reason, rejection.detail)),
    };
    match context.parts.store.seal_known(doubtful.seal_hash(), doubtful.content_hash()).await {
        Ok(known) => doubtful.resolve(known).map_err(Unproved::Rejected),
        Err(error) => Err(Unproved::OurFault(Reason::StoreUnavailable, error.to_string())),
    }
}

/// The events in it; bad items are buried alone.
async fn read(context: &Context, delivery: &Delivery, message: &Message) -> Result<Vec<Event>, Settlement> {
    let mut keys: HashSet<EventKey> = HashSet::new();
    let (mut events, mut dead) = (Vec::new(), Vec::new());
    for item in sources::read::read(message) {
        match item {
            Ok(event) => {
                context.parts.trail.note(Happening::Arrived(Subject::from(&event)));
                if keys.insert(event.key.clone()) {
                    events.push(event);
                } else {
                    context.parts.trail.note(Happening::Duplicate(Subject::from(&event), "same_body"));
                }
            }
            Err(rejected) => dead.push(dead_item(delivery, message, rejected)),
        }
    }
    if !dead.is_empty() {
        context.parts.store.bury(&dead).await.map_err(|error| no_store(context, &error))?;
        note_rejected(context, &dead);
    }
    Ok(events)
}

async fn claim(
    context: &Context,
    events: Vec<Event>,
    in_hand: &mut InHand,
    seal: &str,
) -> Result<Vec<Claimed>, Settlement> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    in_hand.grow(events.len());
    let places: Vec<_> = events.iter().map(|event| place(context, event)).collect();
    // Whoever waits for its turn must not keep a slot from others meanwhile.
    let ready = |place: &Option<Place>| place.as_ref().is_none_or(Place::is_ours);
    let slots: Vec<_> =
        places.iter().map(|place| if ready(place) { context.slots.try_run() } else { None }).collect();
    let requests = events.iter().zip(&slots).map(|(event, slot)| ClaimRequest {
        event: event.clone(),
        seal: Some(seal.to_owned()),
        start: slot.is_some(),
    });
    let claims = context.parts.writer.claim(requests.collect()).await;
    let claims = claims.map_err(|error| no_store(context, &error))?;
    crash_point::reach("claimed");
    let claimed = events.into_iter().zip(claims).zip(slots.into_iter().zip(places));
    Ok(claimed.map(|((event, claim), (slot, place))| Claimed { event, claim, slot, place }).collect())
}

/// A place in the line of its conversation.
fn place(context: &Context, event: &Event) -> Option<Place> {
    event.order_key.as_deref().map(|key| context.lanes.place(key))
}

async fn claim_wake(context: &Context, wake: &sources::verified::Wake) -> Result<Vec<Claimed>, Settlement> {
    let slot = context.slots.try_run();
    let wake = Wake { key: wake.key().clone(), revision: wake.revision() };
    let claims = context.parts.store.claim_wakes(&[wake], context.visibility(), slot.is_some()).await;
    crash_point::reach("wake_claimed");
    match claims.map_err(|error| no_store(context, &error))?.pop() {
        Some(WakeClaim::Mine(event, work)) => {
            if work.held.revision > Revision::default() {
                context.closed.store(true, Ordering::SeqCst);
            }
            let place = place(context, &event);
            Ok(vec![Claimed { event: *event, claim: Claim::Mine(work), slot, place }])
        }
        // Somebody works on it: this wake stays away as long as their lease.
        Some(WakeClaim::Busy(wait)) => Err(Settlement::RetryAfter(wait)),
        Some(WakeClaim::Nothing) | None => Ok(Vec::new()),
    }
}

/// Every event to its end; then the delivery's own.
async fn work(context: &Context, delivery: &Delivery, lease: &Lease, claimed: Vec<Claimed>) -> Settlement {
    let last = context.max_receive_count.unwrap_or(u32::MAX);
    let around = Surroundings {
        several: claimed.len() > 1,
        near_last_receive: delivery.receive_count.saturating_add(2) >= last,
    };
    let runs = claimed.into_iter().map(|claimed| async move {
        let room = (claimed.slot, claimed.place);
        work_event(context, lease, around, claimed.claim, &claimed.event, room).await
    });
    let mut again: Option<Duration> = None;
    let mut left = false;
    for end in join_all(runs).await {
        match end {
            EventEnd::Finished => {}
            EventEnd::Again(wait) => again = Some(again.unwrap_or_default().max(wait)),
            EventEnd::Left => left = true,
        }
    }
    match again {
        _ if left => Settlement::Leave,
        Some(wait) => Settlement::RetryAfter(wait),
        None => Settlement::Ack,
    }
}

/// Kept like everything that is rejected, unless its source sends so much of it that it is only counted.
async fn bury_unless_flooded(context: &Context, delivery: &Delivery, rejection: Rejection) -> Settlement {
    let now = context.parts.clock.now();
    match context.guard.judge(rejection.source.as_ref(), rejection.reason, now) {
        Fate::Keep => bury(context, delivery, rejection).await,
        Fate::Drop { source, alert } => {
            if alert {
                context.parts.trail.note(Happening::Flooded { source: source.clone() });
            }
            context.parts.trail.note(Happening::Dropped { source, reason: rejection.reason });
            Settlement::Ack
        }
    }
}

/// The message's fault: kept whole with its reason, then acknowledged. Without a database it waits.
async fn bury(context: &Context, delivery: &Delivery, rejection: Rejection) -> Settlement {
    let dead = [DeadDelivery {
        id: delivery.content_hash(),
        source: rejection.source.map(|source| source.0),
        reason: rejection.reason,
        detail: rejection.detail,
        body: delivery.body.clone(),
        attributes: attributes_to_json(delivery),
        item: None,
    }];
    match context.parts.store.bury(&dead).await {
        Ok(()) => {
            crash_point::reach("delivery_buried");
            note_rejected(context, &dead);
            Settlement::Ack
        }
        Err(error) => no_store(context, &error),
    }
}

fn dead_item(delivery: &Delivery, message: &Message, rejected: ItemRejection) -> DeadDelivery {
    let hash = delivery.content_hash();
    DeadDelivery {
        id: rejected.index.map_or_else(|| hash.clone(), |index| format!("{hash}#{index}")),
        source: Some(message.source().to_string()),
        reason: rejected.reason,
        detail: rejected.detail,
        body: delivery.body.clone(),
        attributes: attributes_to_json(delivery),
        item: rejected.item,
    }
}

fn note_rejected(context: &Context, dead: &[DeadDelivery]) {
    context.commands.notify_one();
    for letter in dead {
        context.parts.trail.note(Happening::Rejected {
            id: letter.id.clone(),
            source: letter.source.clone(),
            reason: letter.reason,
            detail: letter.detail.clone(),
        });
    }
}

/// A copy of ours that somebody moved back from the DLQ: the order to replay it.
async fn reopen(context: &Context, delivery: &Delivery, id: &str) -> Settlement {
    match context.parts.store.replay(&[id.to_owned()], "redrive").await {
        Ok(replayed) => {
            tracing::info!(dead_letter = id, message_id = delivery.message_id, "redriven");
            if replayed.iter().any(|r| !matches!(r, Replayed::NotOpen)) {
                context.parked.notify_one();
                context.commands.notify_one();
            }
            Settlement::Ack
        }
        Err(error) => no_store(context, &error),
    }
}

/// Our fault, or not now: the message waits, and nothing is counted against it.
fn not_now(context: &Context, reason: Reason, detail: String) -> Settlement {
    context.pressure.note(true);
    context.parts.trail.note(Happening::PutBack { reason, detail });
    Settlement::NotNow
}

fn no_store(context: &Context, error: &StoreError) -> Settlement {
    not_now(context, Reason::StoreUnavailable, error.to_string())
}
