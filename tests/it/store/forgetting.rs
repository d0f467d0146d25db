//! Keys that are old enough are forgotten; what has no time is known for good.

use std::time::Duration;

use longshore::{
    domain::{
        budget::{Budget, BudgetMode, Period},
        money::Money,
        reason::Reason,
    },
    store::contract::{Claim, ClaimRequest},
};

use super::{fixtures::*, harness::Harness};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn timeless(id: &str) -> ClaimRequest {
    let mut request = request(id, true);
    request.event.occurred_at = None;
    request
}

async fn rows(h: &Harness) -> [i64; 3] {
    [h.rows_of("inbox").await, h.rows_of("events").await, h.rows_of("forgotten").await]
}

pub(super) async fn old_keys_are_forgotten_with_their_events(h: &Harness) {
    let ids: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    for work in claim_all(h, &ids).await {
        settle_one(h, &work.held, done(vec![])).await;
    }
    h.age_inbox(DAY * 46).await;
    h.store.maintain().await.unwrap();
    assert_eq!(rows(h).await, [1, 1, 0], "some at a time");
    h.store.maintain().await.unwrap();
    assert_eq!(rows(h).await, [0, 0, 0]);
    assert!(
        matches!(claim(h, "7", true).await, Claim::Mine(_)),
        "its age tells a duplicate, before it is claimed"
    );
}

pub(super) async fn a_key_without_a_time_is_known_for_good(h: &Harness) {
    let claim = async |id| h.store.claim(&[timeless(id)], LEASE).await.unwrap().remove(0);
    settle_one(h, &mine(claim("1").await).held, done(vec![])).await;
    for _ in 0..3 {
        h.age_inbox(DAY * 46).await;
        h.store.maintain().await.unwrap();
        assert_eq!(rows(h).await, [0, 0, 1], "the key, as a hash");
        assert_eq!(claim("1").await, Claim::Done);
    }
    let both = h.store.claim(&[timeless("1"), timeless("2")], LEASE).await.unwrap();
    assert!(matches!(&both[..], [Claim::Done, Claim::Mine(_)]), "{both:?}");
    assert_eq!(rows(h).await, [1, 1, 1]);
}

pub(super) async fn what_is_not_done_or_not_old_stays(h: &Harness) {
    claimed(h, "open").await;
    settled(h, "buried", bury(Reason::InvalidOutput)).await;
    settled(h, "parked", retry_in(h, MINUTE, true).await).await;
    h.age_inbox(DAY * 44).await;
    h.store.maintain().await.unwrap();
    settled(h, "done", done(vec![])).await;
    h.age_inbox(DAY * 44).await;
    h.store.maintain().await.unwrap();
    assert_eq!(rows(h).await, [4, 4, 0], "a buried one can still be replayed");
    assert_eq!(claim(h, "done", true).await, Claim::Done);
}

pub(super) async fn windows_of_long_ago_are_forgotten(h: &Harness) {
    let budget = Budget {
        tenant: tenant(),
        period: Period::Day,
        limit: Money(100),
        mode: BudgetMode::Soft,
        time_zone: "UTC".to_owned(),
    };
    h.store.budget_set(&budget, "anna").await.unwrap();
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    h.age_windows(DAY * 399).await;
    h.store.journal_begin(&[call_start("b", 1)]).await.unwrap();
    h.store.maintain().await.unwrap();
    assert_eq!(h.rows_of("budget_windows").await, 2);
    h.age_windows(DAY * 3).await;
    h.store.maintain().await.unwrap();
    assert_eq!((h.rows_of("budget_windows").await, h.rows_of("budgets").await), (1, 1));
    h.store.journal_finish(&[answered("a", 1, "late"), answered("b", 1, "late")]).await.unwrap();
}
