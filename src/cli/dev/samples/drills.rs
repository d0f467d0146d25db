//! Rehearsals: failing, waiting, panicking and hanging on purpose, without a vendor to blame.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{
            Expect, Sample,
            Step::{Deferred, Parked, Retried, Woken},
            buried, done, done_through,
        },
        workbench::Workbench,
    },
    domain::reason::Reason,
};

const SOURCE: &str = "drills";
const SENDER: &str = "Drills";
const DRILL: &str = "longshore.drill.v1";
/// Longer than the handler's limit, whatever that is.
const FOR_EVER: u64 = 600_000;

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = failing(bench)?;
    samples.extend(waiting(bench)?);
    samples.extend(at_once(bench)?);
    Ok(samples)
}

fn drill(bench: &Workbench<'_>, id: &str, data: &Value) -> Value {
    bench.cloud_event(id, DRILL, data)
}

fn failing(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let story = |name, id: &str, data: Value, expect: Expect| {
        let message = bench.job(SOURCE, &drill(bench, id, &data))?;
        anyhow::Ok(Sample::new(SENDER, name, message, vec![expect]))
    };
    let key = |id| Workbench::job_key(SOURCE, id);
    let hung = Retried(Reason::HandlerTimeout);
    let failed = Retried(Reason::HandlerFailed);
    Ok(vec![
        story(
            "hangs, every time",
            "hang",
            json!({ "do": "work", "millis": FOR_EVER }),
            buried(&key("hang"), Reason::AttemptsExhausted, &[hung, hung]),
        )?,
        story(
            "panics, twice",
            "panic",
            json!({ "do": "panic" }),
            buried(&key("panic"), Reason::HandlerPanic, &[Retried(Reason::HandlerPanic)]),
        )?,
        story(
            "fails twice, then succeeds",
            "fail-twice",
            json!({ "do": "fail_times", "times": 2 }),
            done_through(&key("fail-twice"), &[failed, failed]),
        )?,
        story(
            "asks twice to come back later",
            "defer-twice",
            json!({ "do": "defer_times", "times": 2, "millis": 300 }),
            done_through(&key("defer-twice"), &[Deferred(Reason::NotDue), Deferred(Reason::NotDue)]),
        )?,
    ])
}

fn waiting(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let due = |name, id: &str, millis, steps: &[_]| {
        let mut job = drill(bench, id, &json!({ "do": "work" }));
        job["dueat"] = json!(bench.in_millis(millis));
        let expect = done_through(&Workbench::job_key(SOURCE, id), steps);
        anyhow::Ok(Sample::new(SENDER, name, bench.job(SOURCE, &job)?, vec![expect]))
    };
    Ok(vec![
        due("due soon: waits at the queue", "due-soon", DUE_SOON_MS, &[Deferred(Reason::NotDue)])?,
        due("due later: parked, then woken", "due-later", DUE_LATER_MS, &[Parked(Reason::NotDue), Woken])?,
    ])
}

/// After sending; less than `park_after`, and more than a slow machine needs to receive it.
const DUE_SOON_MS: u64 = 2_000;
/// So much more than `park_after` that it is parked even when it is received late.
const DUE_LATER_MS: u64 = 6_000;

fn at_once(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let job = drill(bench, "slow", &json!({ "do": "work", "millis": 700 }));
    let key = Workbench::job_key(SOURCE, "slow");
    let mut sample =
        Sample::new(SENDER, "one slow job, sent twice at once", bench.job(SOURCE, &job)?, vec![done(&key)])
            .and(Expect::Duplicate { key, copy: 1 });
    sample.parcels.push(bench.job(SOURCE, &job)?.into());
    Ok(vec![sample])
}
