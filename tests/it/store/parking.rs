//! Events that wait in the store, and the wakes that fetch them.

use longshore::{
    domain::{ids::Revision, outcome::Fence, reason::Reason},
    store::contract::{Claim, Wake, WakeClaim, Work},
};

use super::{fixtures::*, harness::Harness};

pub(super) async fn woken(h: &Harness, wake: &Wake) -> Work {
    match claim_wake(h, wake).await {
        WakeClaim::Mine(event, work) => {
            assert_eq!(event.key, wake.key);
            work
        }
        other => panic!("expected Mine, got {other:?}"),
    }
}

async fn claim_wake(h: &Harness, wake: &Wake) -> WakeClaim {
    let mut answers = h.store.claim_wakes(std::slice::from_ref(wake), LEASE, true).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn wake(id: &str, revision: i32) -> Wake {
    Wake { key: key(id), revision: Revision(revision) }
}

pub(super) async fn the_stored_event_comes_back_when_due(h: &Harness) {
    settled(h, "a", defer_in(h, MINUTE * 30, true).await).await;
    assert!(h.store.wakes_due(10, MINUTE).await.unwrap().is_empty());
    let left = h.store.wakes_next().await.unwrap().unwrap();
    assert!(left <= MINUTE * 30 && left > MINUTE * 29, "{left:?}");
    assert!(matches!(claim_wake(h, &wake("a", 0)).await, WakeClaim::Nothing), "not due");
    assert_eq!(h.store.gauges().await.unwrap().parked, 1);
    h.elapse(MINUTE * 31).await;
    assert_eq!(h.store.wakes_due(10, MINUTE).await.unwrap(), [wake("a", 0)]);
    let WakeClaim::Mine(stored, work) = claim_wake(h, &wake("a", 0)).await else { panic!("not mine") };
    assert_eq!(*stored, event("a"));
    assert_eq!((work.deferrals, work.failures, work.held.ticket.0), (1, 0, 2));
    assert_eq!(h.store.table_counts().await.unwrap()["parked"], 0);
    assert!(h.store.wakes_next().await.unwrap().is_none());
    assert!(matches!(claim_wake(h, &wake("a", 0)).await, WakeClaim::Busy(left) if left <= LEASE));
    assert_eq!(settle_one(h, &work.held, done(vec![])).await, Fence::Committed);
    assert!(matches!(claim_wake(h, &wake("a", 0)).await, WakeClaim::Nothing), "done");
}

pub(super) async fn an_unclaimed_wake_is_sent_again_later(h: &Harness) {
    settled(h, "a", defer_in(h, MINUTE, true).await).await;
    h.elapse(MINUTE * 2).await;
    assert_eq!(h.store.wakes_due(10, MINUTE * 15).await.unwrap().len(), 1);
    assert!(h.store.wakes_due(10, MINUTE * 15).await.unwrap().is_empty(), "just sent");
    h.elapse(MINUTE * 16).await;
    assert_eq!(h.store.wakes_due(10, MINUTE * 15).await.unwrap(), [wake("a", 0)]);
}

pub(super) async fn wakes_are_limited_and_each_is_given_once(h: &Harness) {
    for n in 0..5 {
        settled(h, &format!("p{n}"), defer_in(h, MINUTE, true).await).await;
    }
    h.elapse(MINUTE * 2).await;
    let mut seen = Vec::new();
    for expected in [2, 2, 1, 0] {
        let some = h.store.wakes_due(2, MINUTE * 15).await.unwrap();
        assert_eq!(some.len(), expected);
        seen.extend(some.into_iter().map(|wake| wake.key.0));
    }
    seen.sort();
    assert_eq!(seen, (0..5).map(|n| key(&format!("p{n}")).0).collect::<Vec<_>>());
}

pub(super) async fn a_redelivered_wake_takes_over_a_lapsed_claim(h: &Harness) {
    settled(h, "a", defer_in(h, MINUTE, true).await).await;
    h.elapse(MINUTE * 2).await;
    let first = woken(h, &wake("a", 0)).await;
    h.elapse(LEASE * 2).await;
    let second = woken(h, &wake("a", 0)).await;
    assert_eq!(second.held.ticket.0, first.held.ticket.0 + 1);
    assert!(second.suspect, "it had started");
}

pub(super) async fn a_wake_that_must_be_tried_again_is_not_acknowledged(h: &Harness) {
    settled(h, "a", defer_in(h, MINUTE, true).await).await;
    h.elapse(MINUTE * 2).await;
    let first = woken(h, &wake("a", 0)).await;
    settle_one(h, &first.held, retry_in(h, MINUTE, false).await).await;
    // The wake message is all that brings it back: early, it must not be told that there is nothing to do.
    assert!(matches!(claim_wake(h, &wake("a", 0)).await, WakeClaim::Busy(left) if left <= MINUTE));
    h.elapse(MINUTE * 2).await;
    let second = woken(h, &wake("a", 0)).await;
    assert_eq!((second.failures, second.deferrals), (1, 1));
}

pub(super) async fn wakes_for_others_are_nothing(h: &Harness) {
    settled(h, "buried", bury(Reason::SchemaMismatch)).await;
    settled(h, "replayed", bury(Reason::SchemaMismatch)).await;
    h.store.replay(&[format!("{}@0", key("replayed"))], "anna").await.unwrap();
    let asked = [wake("unknown", 0), wake("buried", 0), wake("replayed", 0), wake("replayed", 1)];
    let answers = h.store.claim_wakes(&asked, LEASE, true).await.unwrap();
    assert!(matches!(answers[0], WakeClaim::Nothing));
    assert!(matches!(answers[1], WakeClaim::Nothing));
    assert!(matches!(answers[2], WakeClaim::Nothing), "an older revision");
    assert!(matches!(&answers[3], WakeClaim::Mine(_, work) if work.held.revision == Revision(1)));
}

pub(super) async fn a_duplicate_of_a_parked_event_waits_with_it(h: &Harness) {
    settled(h, "a", defer_in(h, MINUTE, true).await).await;
    h.elapse(MINUTE * 2).await;
    assert_eq!(claim(h, "a", true).await, Claim::Parked, "the wake fetches it, not the duplicate");
    assert_eq!(h.store.table_counts().await.unwrap()["parked"], 1);
}
