//! Rehearsals: shows that retries, deferrals, isolation and alarms work, with no effect outside.

use std::time::Duration;

use crate::{
    domain::{
        event::Drill,
        outcome::{Failure, Outcome},
        reason::Reason,
    },
    store::contract::Work,
};

pub(super) async fn handle(work: &Work, drill: &Drill) -> Result<Outcome, Failure> {
    match drill {
        Drill::Work { millis } => tokio::time::sleep(Duration::from_millis(*millis)).await,
        Drill::FailTimes { times } => fail(work, *times)?,
        Drill::DeferTimes { times, millis } => defer(work, *times, Duration::from_millis(*millis))?,
        Drill::Panic => panic_on_purpose(),
    }
    Ok(Outcome::default())
}

fn fail(work: &Work, times: u32) -> Result<(), Failure> {
    if i64::from(work.failures) < i64::from(times) {
        let detail = format!("drill: failure {} of {times}", work.failures + 1);
        return Err(Failure::new(Reason::HandlerFailed, detail));
    }
    Ok(())
}

fn defer(work: &Work, times: u32, wait: Duration) -> Result<(), Failure> {
    if i64::from(work.deferrals) < i64::from(times) {
        let detail = format!("drill: deferral {} of {times}", work.deferrals + 1);
        return Err(Failure::new(Reason::NotDue, detail).wait(wait));
    }
    Ok(())
}

#[expect(clippy::panic, reason = "this is what the drill is for: the worker must survive it")]
fn panic_on_purpose() {
    panic!("drill: a panic on purpose");
}
