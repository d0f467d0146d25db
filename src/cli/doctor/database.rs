//! The store: there, of this release, at our time; budgets that are nearly used up.

use std::sync::Arc;

use crate::{
    app::open_store,
    cli::{
        budget::percent,
        doctor::{finding::Finding, patience::in_time},
    },
    clock::{Clock as _, SystemClock},
    config::Settings,
    domain::{budget::BudgetStatus, timestamp::Timestamp},
    store::contract::{SchemaState, Store},
};

/// Clocks that differ by more than this are told, in seconds ...
const NOTABLE_SKEW: u64 = 2;
/// ... and more than this breaks signatures: their tolerance is five minutes.
const BAD_SKEW: u64 = 60;
/// A budget used so far is told, in percent.
const NEARLY: i64 = 80;

/// Opens it.
pub(super) async fn open(settings: &Settings) -> Result<Arc<dyn Store>, Finding> {
    in_time(open_store(settings))
        .await
        .map_err(|error| Finding::fail("store", error, "is store.url right, and the database running?"))
}

/// Asks it.
pub(super) async fn check(store: &dyn Store) -> Vec<Finding> {
    let schema = match in_time(store.schema()).await {
        Ok(SchemaState::Current) => Finding::ok("store", "reachable, its schema is current"),
        Ok(SchemaState::Behind(missing)) => {
            let detail = format!("the schema lacks {}", missing.join(", "));
            return vec![Finding::fail("store", detail, "run `longshore migrate up`")];
        }
        Ok(SchemaState::Foreign(unknown)) => {
            let detail = format!("made by another release: {}", unknown.join(", "));
            return vec![Finding::fail("store", detail, "run the release that made it")];
        }
        Err(error) => {
            return vec![Finding::fail("store", error, "is store.url right, and the database running?")];
        }
    };
    let mut found = vec![schema, clock(store).await];
    found.extend(budgets(store).await);
    found.extend(held(store).await);
    found
}

async fn clock(store: &dyn Store) -> Finding {
    let before = SystemClock.now();
    match in_time(store.now()).await {
        Ok(theirs) => skew(before, theirs, SystemClock.now()),
        Err(error) => Finding::fail("clock", error, "the database was not asked for its time"),
    }
}

/// Its answer lies somewhere between question and answer of ours.
fn skew(before: Timestamp, theirs: Timestamp, after: Timestamp) -> Finding {
    let ahead = theirs.since(after).max(before.since(theirs));
    let detail = format!("database and machine differ by {ahead:?}");
    let hint = "let NTP set both clocks: leases, budgets and signatures go by them";
    match ahead.as_secs() {
        seconds if seconds >= BAD_SKEW => Finding::fail("clock", detail, hint),
        seconds if seconds >= NOTABLE_SKEW => Finding::warn("clock", detail, hint),
        _ => Finding::ok("clock", "database and machine agree"),
    }
}

async fn budgets(store: &dyn Store) -> Vec<Finding> {
    let budgets = match in_time(store.budgets(None)).await {
        Ok(budgets) => budgets,
        Err(error) => return vec![Finding::fail("budgets", error, "they cannot be read")],
    };
    let full: Vec<Finding> =
        budgets.iter().filter(|status| percent(status) >= NEARLY).map(nearly_used).collect();
    if full.is_empty() {
        return vec![Finding::ok("budgets", format!("{} limits, none used above {NEARLY} %", budgets.len()))];
    }
    full
}

fn nearly_used(status: &BudgetStatus) -> Finding {
    let (budget, used) = (&status.budget, percent(status));
    let detail = format!(
        "{}'s {} budget of {} USD is used to {used} % until {}",
        budget.tenant,
        budget.period.name(),
        budget.limit,
        status.until
    );
    Finding::warn(
        "budgets",
        detail,
        "`longshore budget set` raises it; `longshore usage report` shows by what it is used",
    )
}

/// What waits for a person.
async fn held(store: &dyn Store) -> Option<Finding> {
    let gauges = in_time(store.gauges()).await.ok()?;
    let dead: i64 = gauges.dead_letters.values().sum();
    if gauges.unknown > 0 {
        let detail = format!("{} messages whose fate is unknown", gauges.unknown);
        return Some(Finding::warn("outbox", detail, "`longshore outbox list --state unknown`"));
    }
    if dead > 0 {
        return Some(Finding::warn("dead letters", format!("{dead} are open"), "`longshore dlq list`"));
    }
    Some(Finding::ok("dead letters", "none is open"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_clock_is_wrong_only_by_what_the_question_cannot_explain() {
        let at = Timestamp::from_seconds;
        let state = |before, theirs, after| skew(at(before), at(theirs), at(after)).state;
        assert_eq!(state(100, 103, 105), State::Ok, "between question and answer");
        assert_eq!(state(100, 107, 105), State::Warn, "ahead");
        assert_eq!(state(100, 98, 100), State::Warn, "behind");
        assert_eq!(state(100, 30, 100), State::Fail);
        assert_eq!(state(100, 200, 101), State::Fail);
    }
}
