//! Who may work on an event, and what is known of its past.

use longshore::{
    domain::{outcome::Fence, reason::Reason},
    store::contract::{Claim, FIRST_TICKET},
};

use super::{fixtures::*, harness::Harness};

pub(super) async fn new_keys_are_mine_in_the_order_asked(h: &Harness) {
    let ids: Vec<String> = (0..150).rev().map(|n| format!("new-{n}")).collect();
    for (work, id) in claim_all(h, &ids).await.iter().zip(&ids) {
        assert_eq!(work.held.key, key(id));
        assert_eq!(work.held.ticket, FIRST_TICKET);
        assert_eq!(work.held.revision.0, 0);
        assert_eq!((work.failures, work.deferrals, work.panics, work.lone_deaths), (0, 0, 0, 0));
        assert!(!work.suspect);
    }
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!((counts["inbox"], counts["events"]), (150, 150));
}

pub(super) async fn nothing_to_claim_is_no_work(h: &Harness) {
    assert!(h.store.claim(&[], LEASE).await.unwrap().is_empty());
    assert!(h.store.claim_wakes(&[], LEASE, true).await.unwrap().is_empty());
    assert!(h.store.settle(&[]).await.unwrap().is_empty());
    assert!(h.store.extend(&[], LEASE).await.unwrap().is_empty());
    assert!(h.store.mark_started(&[], true).await.unwrap().is_empty());
    h.store.bury(&[]).await.unwrap();
    h.store.journal_begin(&[]).await.unwrap();
    h.store.journal_finish(&[]).await.unwrap();
    h.store.outbox_settle(&[]).await.unwrap();
    assert!(h.store.replay(&[], "anna").await.unwrap().is_empty());
}

pub(super) async fn every_state_has_its_answer(h: &Harness) {
    claimed(h, "leased").await;
    settled(h, "done", done(vec![])).await;
    settled(h, "buried", bury(Reason::SchemaMismatch)).await;
    settled(h, "parked", defer_in(h, MINUTE, true).await).await;
    settled(h, "waiting", retry_in(h, MINUTE, false).await).await;
    let asked = ["leased", "done", "buried", "parked", "waiting", "fresh"];
    let requests: Vec<_> = asked.iter().map(|id| request(id, true)).collect();
    let answers = h.store.claim(&requests, LEASE).await.unwrap();
    assert!(matches!(answers[0], Claim::Busy(left) if left <= LEASE && left > LEASE / 2), "{answers:?}");
    assert_eq!(answers[1], Claim::Done);
    assert_eq!(answers[2], Claim::Buried);
    assert_eq!(answers[3], Claim::Parked);
    assert!(matches!(answers[4], Claim::RetryAt(left) if left <= MINUTE && left > MINUTE / 2), "{answers:?}");
    assert!(matches!(answers[5], Claim::Mine(_)), "{answers:?}");
}

pub(super) async fn a_wait_that_has_passed_is_mine_with_its_counters(h: &Harness) {
    settled(h, "a", retry_in(h, MINUTE, false).await).await;
    h.elapse(MINUTE).await;
    let again = claimed(h, "a").await;
    assert_eq!((again.failures, again.deferrals, again.panics), (1, 0, 0));
    assert_eq!(again.held.ticket.0, FIRST_TICKET.0 + 1);
    assert!(!again.suspect, "a settlement explains the start");
    assert_eq!(settle_one(h, &again.held, defer_in(h, MINUTE, false).await).await, Fence::Committed);
    h.elapse(MINUTE).await;
    let third = claimed(h, "a").await;
    assert_eq!((third.failures, third.deferrals), (1, 1));
}

pub(super) async fn a_lapsed_claim_is_taken_over(h: &Harness) {
    let first = mine(claim(h, "a", false).await);
    h.elapse(LEASE * 2).await;
    let second = mine(claim(h, "a", false).await);
    assert_eq!(second.held.ticket.0, first.held.ticket.0 + 1);
    assert!(!second.suspect, "nothing was started");
    assert!(matches!(claim(h, "a", false).await, Claim::Busy(_)));
}

pub(super) async fn a_start_without_an_end_is_suspect(h: &Harness) {
    claimed(h, "a").await;
    h.elapse(LEASE * 2).await;
    let second = claimed(h, "a").await;
    assert!(second.suspect);
    assert_eq!(second.lone_deaths, 0, "it died among others");
    // Taken with `start`, yet not started: it waits for the lone lane and dies there unstarted.
    h.elapse(LEASE * 2).await;
    let third = claimed(h, "a").await;
    assert!(third.suspect, "still nobody knows");
    assert_eq!(third.lone_deaths, 0);
}

pub(super) async fn only_deaths_alone_count_and_each_once(h: &Harness) {
    claimed(h, "a").await;
    h.elapse(LEASE * 2).await;
    let alone = claimed(h, "a").await;
    assert_eq!(h.store.mark_started(&[alone.held], true).await.unwrap(), [Fence::Committed]);
    h.elapse(LEASE * 2).await;
    let after_one = claimed(h, "a").await;
    assert!(after_one.suspect);
    assert_eq!(after_one.lone_deaths, 1);
    // The next owner dies before it starts it: the first death must not count again.
    h.elapse(LEASE * 2).await;
    let again = claimed(h, "a").await;
    assert!(again.suspect);
    assert_eq!(again.lone_deaths, 1);
    assert_eq!(h.store.mark_started(&[again.held], true).await.unwrap(), [Fence::Committed]);
    h.elapse(LEASE * 2).await;
    assert_eq!(claimed(h, "a").await.lone_deaths, 2);
}

pub(super) async fn a_start_is_recorded_only_under_the_ticket(h: &Harness) {
    let first = mine(claim(h, "a", false).await);
    assert_eq!(
        h.store.mark_started(std::slice::from_ref(&first.held), false).await.unwrap(),
        [Fence::Committed]
    );
    h.elapse(LEASE * 2).await;
    let second = mine(claim(h, "a", false).await);
    assert!(second.suspect);
    let both = h.store.mark_started(&[first.held, second.held], true).await.unwrap();
    assert_eq!(both, [Fence::Lost, Fence::Committed]);
}

pub(super) async fn extending_is_fenced(h: &Harness) {
    let first = claimed(h, "a").await;
    let other = claimed(h, "b").await;
    h.elapse(LEASE / 2).await;
    assert_eq!(
        h.store.extend(std::slice::from_ref(&first.held), LEASE * 2).await.unwrap(),
        [Fence::Committed]
    );
    assert!(matches!(claim(h, "a", true).await, Claim::Busy(left) if left > LEASE));
    h.elapse(LEASE * 3).await;
    let second = claimed(h, "a").await;
    let asked = [first.held, other.held.clone(), second.held];
    assert_eq!(
        h.store.extend(&asked, LEASE).await.unwrap(),
        [Fence::Lost, Fence::Committed, Fence::Committed],
        "the second one lapsed, but nobody took it"
    );
    settle_one(h, &other.held, done(vec![])).await;
    assert_eq!(h.store.extend(&[other.held], LEASE).await.unwrap(), [Fence::Lost], "settled claims are over");
}

pub(super) async fn a_sealed_message_is_known_once_it_was_claimed(h: &Harness) {
    assert!(!h.store.seal_known("seal-1", "hash-1").await.unwrap());
    let mut sealed = request("a", true);
    sealed.seal = Some("seal-1".to_owned());
    h.store.claim(&[sealed], LEASE).await.unwrap();
    assert!(h.store.seal_known("seal-1", "hash-1").await.unwrap());
    assert!(!h.store.seal_known("seal-2", "hash-1").await.unwrap());
}
