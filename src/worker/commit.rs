//! Committing a verdict, as often as it takes: a flicker of the database must not lose finished work.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{
    crash_point,
    domain::{
        outcome::{Failure, Fence, Settled, Verdict},
        reason::Reason,
        record::Write,
    },
    retry::RetryPolicy,
    store::contract::StoreError,
    worker::{lease::Covered, parts::Context},
};

/// Refusals of one verdict after which it is replaced by a burial.
const REFUSALS: u32 = 3;

/// Commits under the claim's ticket. `None`: nothing was written and the claim is ours no longer, or even
/// the failure could not be recorded; the message comes back by itself.
pub(super) async fn commit(context: &Context, covered: &Covered<'_>, verdict: Verdict) -> Option<Fence> {
    let point = after(&verdict);
    let (commands, parked) = plans(&verdict);
    let erases = erases(&verdict);
    let mut settled = Settled { held: covered.held().clone(), verdict };
    let backoff = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut refusals = 0;
    for attempt in 1.. {
        match context.parts.writer.settle(settled.clone()).await {
            Ok(fence) => {
                crash_point::reach(point);
                if commands {
                    context.commands.notify_one();
                }
                if parked {
                    context.parked.notify_one();
                }
                if erases {
                    context.closed.store(true, Ordering::SeqCst);
                }
                return Some(fence);
            }
            Err(error @ (StoreError::Refused(_) | StoreError::Schema(_))) => {
                refusals += 1;
                tracing::error!(%error, event_key = %settled.held.key, "verdict refused by the database");
                if refusals == REFUSALS {
                    settled.verdict = refused(&error);
                } else if refusals > REFUSALS {
                    return None;
                }
            }
            Err(error) => tracing::warn!(%error, event_key = %settled.held.key, "verdict not committed yet"),
        }
        tokio::select! {
            () = covered.lost.cancelled() => return None,
            () = context.stopped.cancelled() => return None,
            () = tokio::time::sleep(backoff.delay(attempt, None)) => {}
        }
    }
    None
}

/// What cannot be written at all would be worked, and perhaps paid, for ever: buried.
fn refused(error: &StoreError) -> Verdict {
    Verdict::Bury(Failure::new(Reason::AttemptsExhausted, format!("its result cannot be stored: {error}")))
}

fn plans(verdict: &Verdict) -> (bool, bool) {
    match verdict {
        Verdict::Done(outcome) => (!outcome.commands.is_empty(), false),
        Verdict::Bury(_) => (true, false),
        Verdict::Retry { park, .. } | Verdict::Defer { park, .. } => (false, *park),
        Verdict::HandBack => (false, false),
    }
}

/// Dead letters may be erased with it: their copies must leave the DLQ.
fn erases(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Done(outcome) => outcome.writes.iter().any(|write| matches!(write, Write::Erase(_))),
        _ => false,
    }
}

fn after(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Done(_) => "committed",
        Verdict::Retry { park: true, .. } | Verdict::Defer { park: true, .. } => "parked",
        Verdict::Retry { .. } => "retry_committed",
        Verdict::Defer { .. } => "defer_committed",
        Verdict::Bury(_) => "buried",
        Verdict::HandBack => "handed_back",
    }
}
