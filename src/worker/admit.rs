//! What an event must pass before its handler runs: deadline and due time. Neither counts as a failure.

use std::time::Duration;

use crate::{
    domain::{event::Event, outcome::Failure, reason::Reason, timestamp::Timestamp},
    store::contract::Work,
};

/// Deaths alone after which an event is buried.
const LONE_DEATHS: i32 = 2;

/// Ready to be handled?
///
/// # Errors
/// Fatal when the process died of it twice or its deadline has passed, a deferral when it is not due.
pub(super) fn admit(event: &Event, work: &Work, now: Timestamp) -> Result<(), Failure> {
    if work.lone_deaths >= LONE_DEATHS {
        let detail = format!("the process died {} times while it ran alone", work.lone_deaths);
        return Err(Failure::new(Reason::CrashLoop, detail));
    }
    if let Some(deadline) = event.expires_at.filter(|deadline| *deadline <= now) {
        return Err(Failure::new(Reason::Expired, format!("its deadline was {deadline}")));
    }
    match event.due_at.map(|due| (due, due.since(now))) {
        Some((due, wait)) if wait > Duration::ZERO => {
            Err(Failure::new(Reason::NotDue, format!("due at {due}")).wait(wait))
        }
        _ => Ok(()),
    }
}
