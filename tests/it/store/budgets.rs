//! Never over a strict budget; what is held and spent never drifts from the calls themselves.

use std::{collections::BTreeSet, time::Duration};

use super::{fixtures::*, harness::Harness};
use longshore::{
    domain::{
        budget::{Budget, BudgetMode, BudgetStatus, Period},
        call::{Begun, CallEnd, CallResult, CallStart, Opens},
        command::{Action, CommandState, WebhookTarget},
        ids::Revision,
        money::Money,
        outcome::{Fence, Verdict},
        reason::Reason,
        timestamp::Timestamp,
    },
    store::contract::{Store, StoreError, Wake, WakeClaim},
};

const DOLLAR: i64 = 1_000_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn cents(cents: i64) -> Money {
    Money(cents * DOLLAR / 100)
}

fn budget(period: Period, limit: Money, mode: BudgetMode) -> Budget {
    Budget { tenant: tenant(), period, limit, mode, time_zone: "UTC".to_owned() }
}

pub(super) fn strict(limit: Money) -> Budget {
    budget(Period::Month, limit, BudgetMode::Strict)
}

pub(super) async fn set(h: &Harness, budget: &Budget) {
    h.store.budget_set(budget, "anna").await.unwrap();
}

pub(super) fn call(event: &str, hold: Money) -> CallStart {
    CallStart { hold: Some(hold), ..call_start(event, 1) }
}

pub(super) async fn begin(h: &Harness, calls: &[CallStart]) -> Vec<Begun> {
    h.store.journal_begin(calls).await.unwrap()
}

pub(super) fn ended(event: &str, charge: Money) -> CallEnd {
    CallEnd { charge, ..answered(event, 1, "yes") }
}

/// A call that is begun and ended at once.
async fn spend(h: &Harness, event: &str, charge: Money) {
    assert_eq!(begin(h, &[call(event, charge)]).await, [Begun::Written], "{event}");
    h.store.journal_finish(&[ended(event, charge)]).await.unwrap();
}

pub(super) async fn all(store: &dyn Store) -> Vec<BudgetStatus> {
    store.budgets(Some(&tenant())).await.unwrap()
}

/// Spent and held of the only budget, in cents.
async fn stands(h: &Harness) -> (i64, i64) {
    let all = all(&*h.store).await;
    assert_eq!(all.len(), 1);
    (all[0].spent.0 * 100 / DOLLAR, all[0].held.0 * 100 / DOLLAR)
}

fn over(begun: &Begun) -> &BudgetStatus {
    match begun {
        Begun::OverBudget(status) => status,
        other => panic!("there was room: {other:?}"),
    }
}

pub(super) async fn a_strict_budget_has_room_or_not(h: &Harness) {
    let limit = strict(cents(100));
    set(h, &limit).await;
    assert_eq!(
        begin(h, &[call("a", cents(60)), call("b", cents(40))]).await,
        [Begun::Written, Begun::Written]
    );
    assert_eq!(stands(h).await, (0, 100));
    let refused = begin(h, &[call("c", Money(1))]).await;
    let status = over(&refused[0]);
    assert_eq!((&status.budget, status.held, status.spent), (&limit, cents(100), Money::ZERO));
    assert!(status.from <= h.store.now().await.unwrap() && h.store.now().await.unwrap() < status.until);
    assert!(h.store.journal_find(&step("c")).await.unwrap().is_empty(), "it leaves no trace");
    assert_eq!(begin(h, &[call("c", Money::ZERO)]).await, [Begun::Written], "what costs nothing fits");
    let other = CallStart { tenant: "other".into(), ..call("d", cents(500)) };
    assert_eq!(begin(h, &[other]).await, [Begun::Written]);
    assert_eq!(stands(h).await, (0, 100));
}

pub(super) async fn within_a_batch_the_earlier_call_is_served_first(h: &Harness) {
    set(h, &strict(cents(10))).await;
    begin(h, &[call("there", cents(1))]).await;
    let calls = [
        call("z", cents(6)),
        call("there", cents(6)),
        call("a", cents(6)),
        call("z", cents(1)),
        call("b", cents(3)),
    ];
    let begun = begin(h, &calls).await;
    assert_eq!(
        (&begun[0], &begun[1], &begun[3], &begun[4]),
        (&Begun::Written, &Begun::Taken, &Begun::Taken, &Begun::Written)
    );
    assert_eq!(over(&begun[2]).held, cents(7), "what was held at its turn");
    assert_eq!(stands(h).await, (0, 10));
}

pub(super) async fn a_call_without_a_price_needs_a_soft_budget(h: &Harness) {
    set(h, &budget(Period::Day, cents(1), BudgetMode::Soft)).await;
    let unpriced = CallStart { hold: None, ..call_start("a", 1) };
    assert_eq!(begin(h, std::slice::from_ref(&unpriced)).await, [Begun::Written]);
    assert_eq!(stands(h).await, (0, 0));
    set(h, &strict(cents(100))).await;
    let unpriced = CallStart { hold: None, ..call_start("b", 1) };
    assert_eq!(over(&begin(h, &[unpriced]).await[0]).budget.mode, BudgetMode::Strict);
}

pub(super) async fn a_soft_budget_only_counts(h: &Harness) {
    set(h, &budget(Period::Month, cents(1), BudgetMode::Soft)).await;
    assert_eq!(
        begin(h, &[call("a", cents(60)), call("b", Money(i64::MAX))]).await,
        [Begun::Written, Begun::Written]
    );
    h.store.journal_finish(&[ended("a", cents(50)), ended("b", Money(i64::MAX))]).await.unwrap();
    assert_eq!(all(&*h.store).await[0].spent, Money(i64::MAX), "sums stop where numbers end");
    h.store.journal_finish(&[ended("a", cents(50))]).await.unwrap();
}

pub(super) async fn both_periods_are_checked(h: &Harness) {
    set(h, &budget(Period::Day, cents(10), BudgetMode::Strict)).await;
    set(h, &budget(Period::Month, cents(15), BudgetMode::Strict)).await;
    spend(h, "a", cents(10)).await;
    assert_eq!(over(&begin(h, &[call("b", cents(1))]).await[0]).budget.period, Period::Day);
    set(h, &budget(Period::Day, cents(100), BudgetMode::Strict)).await;
    assert_eq!(over(&begin(h, &[call("b", cents(6))]).await[0]).budget.period, Period::Month);
    assert_eq!(begin(h, &[call("b", cents(5))]).await, [Begun::Written]);
    let both = all(&*h.store).await;
    let held: Vec<_> = both.iter().map(|status| (status.budget.period, status.spent, status.held)).collect();
    assert_eq!(held, [(Period::Day, cents(10), cents(5)), (Period::Month, cents(10), cents(5))]);
}

pub(super) async fn what_is_held_becomes_what_is_charged_once(h: &Harness) {
    set(h, &strict(cents(100))).await;
    begin(h, &[call("a", cents(30)), call("b", cents(30)), call("c", cents(30))]).await;
    let unknown = CallResult::Ambiguous { detail: "reset".to_owned(), ledger: ledger("b-1", "b") };
    let failed = CallResult::Failed { detail: "503".to_owned(), ledger: None };
    let ends = [
        ended("a", cents(7)),
        CallEnd { charge: cents(30), ..call_end("b", 1, unknown) },
        CallEnd { charge: Money::ZERO, ..call_end("c", 1, failed) },
    ];
    for _ in 0..3 {
        h.store.journal_finish(&ends).await.unwrap();
        assert_eq!(stands(h).await, (37, 0));
    }
    h.store.journal_finish(&[ended("a", cents(99)), ended("nobody", cents(99))]).await.unwrap();
    assert_eq!(stands(h).await, (37, 0));
}

pub(super) async fn money_of_the_dead_is_given_back(h: &Harness) {
    set(h, &strict(cents(100))).await;
    let waiting = CallStart { opens: Opens::Reserved(MINUTE / 2), ..call("a", cents(60)) };
    begin(h, &[waiting, call("b", cents(40))]).await;
    h.elapse(MINUTE / 2).await;
    h.store.journal_lapsed(10).await.unwrap();
    h.store.journal_lapsed(10).await.unwrap();
    assert_eq!(stands(h).await, (0, 40), "what was sent stays set aside");
    let waiting = CallStart { opens: Opens::Reserved(MINUTE / 2), ..call("c", cents(60)) };
    begin(h, &[waiting]).await;
    h.elapse(MINUTE / 2).await;
    h.store.maintain().await.unwrap();
    assert_eq!(stands(h).await, (0, 40), "also when nobody asks for it");
}

pub(super) async fn a_call_is_charged_where_it_was_set_aside(h: &Harness) {
    set(h, &budget(Period::Day, cents(10), BudgetMode::Strict)).await;
    begin(h, &[call("a", cents(10))]).await;
    over(&begin(h, &[call("b", cents(10))]).await[0]);
    h.age_windows(DAY).await;
    assert_eq!(stands(h).await, (0, 0), "midnight: it is whole again");
    assert_eq!(begin(h, &[call("b", cents(9))]).await, [Begun::Written]);
    h.store.journal_finish(&[ended("a", cents(10))]).await.unwrap();
    assert_eq!(stands(h).await, (0, 9), "yesterday's money");
    h.store.journal_finish(&[ended("b", cents(8))]).await.unwrap();
    assert_eq!(stands(h).await, (8, 0));
}

pub(super) async fn a_changed_limit_keeps_what_is_spent(h: &Harness) {
    set(h, &strict(cents(100))).await;
    spend(h, "a", cents(30)).await;
    begin(h, &[call("b", cents(20))]).await;
    set(h, &strict(cents(50))).await;
    assert_eq!(stands(h).await, (30, 20));
    over(&begin(h, &[call("c", cents(1))]).await[0]);
    set(h, &budget(Period::Month, cents(60), BudgetMode::Soft)).await;
    assert_eq!(begin(h, &[call("c", cents(100))]).await, [Begun::Written]);
    assert_eq!(stands(h).await, (30, 120));
}

pub(super) async fn a_changed_time_zone_takes_along_what_is_spent(h: &Harness) {
    // These two never share a beginning of a day.
    let zone = |zone: &str| Budget {
        time_zone: zone.to_owned(),
        ..budget(Period::Day, cents(100), BudgetMode::Strict)
    };
    set(h, &zone("UTC")).await;
    spend(h, "a", cents(30)).await;
    begin(h, &[call("b", cents(50))]).await;
    let before = all(&*h.store).await[0].from;
    set(h, &zone("Asia/Kathmandu")).await;
    let after = all(&*h.store).await[0].clone();
    assert_ne!(after.from, before);
    assert_eq!((after.spent, after.held), (cents(30), cents(50)));
    over(&begin(h, &[call("c", cents(21))]).await[0]);
    h.store.journal_finish(&[ended("b", cents(40))]).await.unwrap();
    assert_eq!(stands(h).await, (70, 0));
    set(h, &zone("UTC")).await;
    set(h, &zone("Asia/Kathmandu")).await;
    assert_eq!(stands(h).await, (70, 0), "to and fro it is not counted twice, and not forgotten");
}

/// The alerts planned so far: level, period, limit and spent.
async fn alerts(h: &Harness) -> Vec<(i64, String, String, String)> {
    let taken = h.store.outbox_take(100, LEASE).await.unwrap();
    let read = |command: longshore::domain::command::TakenCommand| {
        let Action::Webhook { to, event_type, data } = command.command.action else { panic!("{command:?}") };
        assert_eq!((to, event_type.as_str()), (WebhookTarget::Alerts, "longshore.budget.alert.v1"));
        let text = |name: &str| data[name].as_str().unwrap_or_else(|| panic!("{name}: {data}")).to_owned();
        assert!(Timestamp::parse_rfc3339(&text("from")) < Timestamp::parse_rfc3339(&text("until")));
        assert_eq!((text("tenant"), text("time_zone")), (TENANT.to_owned(), "UTC".to_owned()));
        (data["level"].as_i64().unwrap(), text("period"), text("limit_usd"), text("spent_usd"))
    };
    taken.into_iter().map(read).collect()
}

async fn planned_alerts(h: &Harness) -> usize {
    h.store.outbox_list(None, 100).await.unwrap().iter().filter(|row| row.kind == "webhook").count()
}

pub(super) async fn alerts_are_told_once_for_each_level(h: &Harness) {
    set(h, &strict(cents(100))).await;
    begin(h, &[call("held", cents(10))]).await;
    spend(h, "a", cents(79)).await;
    assert_eq!(alerts(h).await, [], "what is only held is not spent");
    spend(h, "b", cents(1)).await;
    let told = |level, spent: &str| (level, "month".to_owned(), "1.00".to_owned(), spent.to_owned());
    assert_eq!(alerts(h).await, [told(80, "0.80")]);
    spend(h, "c", cents(5)).await;
    h.store.journal_finish(&[ended("held", cents(20))]).await.unwrap();
    let row = &h.store.outbox_list(Some(CommandState::Planned), 10).await.unwrap()[0];
    assert_eq!((row.kind.as_str(), row.tenant.as_str(), row.event_key.as_deref()), ("webhook", TENANT, None));
    assert_eq!(planned_alerts(h).await, 2);
    set(h, &budget(Period::Month, cents(100), BudgetMode::Soft)).await;
    spend(h, "d", cents(100)).await;
    assert_eq!(planned_alerts(h).await, 2, "each level once in a window");
    h.age_windows(DAY * 40).await;
    // Their ids tell the window, which in this next month would be another one's.
    h.execute("DELETE FROM outbox").await;
    spend(h, "e", cents(90)).await;
    assert_eq!(planned_alerts(h).await, 1, "the next window begins anew");
}

pub(super) async fn several_levels_at_once_are_told_each(h: &Harness) {
    set(h, &budget(Period::Day, cents(10), BudgetMode::Soft)).await;
    set(h, &budget(Period::Month, cents(100), BudgetMode::Soft)).await;
    spend(h, "a", cents(85)).await;
    let rows = h.store.outbox_list(None, 100).await.unwrap();
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!((rows.len(), ids.len()), (3, 3), "80 and 100 % of the day, 80 % of the month: {ids:?}");
    set(h, &budget(Period::Month, cents(50), BudgetMode::Soft)).await;
    assert_eq!(planned_alerts(h).await, 4, "a limit that is lowered below what is spent");
}

pub(super) async fn a_budget_can_be_removed(h: &Harness) {
    set(h, &strict(cents(10))).await;
    begin(h, &[call("a", cents(10))]).await;
    let remove = async || h.store.budget_remove(&tenant(), Period::Month, "anna").await.unwrap();
    assert!(!h.store.budget_remove(&tenant(), Period::Day, "anna").await.unwrap());
    assert!(remove().await && !remove().await);
    assert_eq!(all(&*h.store).await, []);
    assert_eq!(begin(h, &[call("b", cents(1000))]).await, [Begun::Written]);
    h.store.journal_finish(&[ended("a", cents(8)), ended("b", cents(1000))]).await.unwrap();
    assert_eq!(planned_alerts(h).await, 0);
    set(h, &strict(cents(10))).await;
    assert_eq!(stands(h).await, (8, 0), "within its window it goes on where it was");
    assert_eq!(h.store.budgets(None).await.unwrap().len(), 1);
    assert_eq!(h.store.budgets(Some(&"other".into())).await.unwrap(), []);
    assert_eq!(h.audit(TENANT).await, ["budget_set", "budget_remove", "budget_set"]);
}

pub(super) async fn a_changed_limit_wakes_who_waits_for_it(h: &Harness) {
    let at = h.store.now().await.unwrap().plus(DAY);
    for (id, reason) in [("poor", Reason::BudgetExhausted), ("early", Reason::NotDue)] {
        settled(h, id, Verdict::Defer { at, failure: failure(reason), park: true }).await;
    }
    let woken = async || {
        let due = h.store.wakes_due(10, Duration::ZERO).await.unwrap();
        due.into_iter().map(|wake| wake.key).collect::<Vec<_>>()
    };
    h.store.budget_set(&Budget { tenant: "other".into(), ..strict(cents(1)) }, "anna").await.unwrap();
    assert_eq!(woken().await, [], "the limit of somebody else");
    set(h, &strict(cents(100))).await;
    assert_eq!(woken().await, [key("poor")]);
    let wakes = [Wake { key: key("poor"), revision: Revision(0) }];
    let WakeClaim::Mine(_, work) = h.store.claim_wakes(&wakes, DAY, true).await.unwrap().remove(0) else {
        panic!("not to be had")
    };
    let failure = failure(Reason::BudgetExhausted);
    assert_eq!(settle_one(h, &work.held, Verdict::Defer { at, failure, park: true }).await, Fence::Committed);
    assert_eq!(woken().await, []);
    assert!(h.store.budget_remove(&tenant(), Period::Month, "anna").await.unwrap());
    assert_eq!(woken().await, [key("poor")], "without a limit there is nothing to wait for");
}

pub(super) async fn an_impossible_budget_is_refused(h: &Harness) {
    let nowhere = Budget { time_zone: "Mars/Olympus".to_owned(), ..strict(cents(1)) };
    for bad in [nowhere, strict(Money(-1))] {
        let answer = h.store.budget_set(&bad, "anna").await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    }
    assert_eq!(h.store.budgets(None).await.unwrap(), []);
}

pub(super) async fn thirty_two_at_once_never_go_over(h: &Harness) {
    set(h, &strict(cents(100))).await;
    set(h, &budget(Period::Day, cents(1000), BudgetMode::Soft)).await;
    let stores = [h.store.clone(), h.another().await, h.another().await, h.another().await];
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let store = stores[n % 4].clone();
            tokio::spawn(async move {
                let mut spent = 0;
                for round in 0..3 {
                    let id = format!("{n}-{round}");
                    let mut begun = store.journal_begin(&[call(&id, cents(7))]).await.unwrap();
                    match begun.remove(0) {
                        Begun::Written => {
                            let charge = 1 + i64::try_from(n).unwrap() % 7;
                            store.journal_finish(&[ended(&id, cents(charge))]).await.unwrap();
                            spent += charge;
                        }
                        Begun::OverBudget(status) => {
                            assert!(status.spent + status.held + cents(7) > cents(100))
                        }
                        Begun::Taken => panic!("it is mine alone"),
                    }
                }
                spent
            })
        })
        .collect();
    let spent: i64 = futures_util::future::join_all(tasks).await.into_iter().map(|task| task.unwrap()).sum();
    let both = all(&*h.store).await;
    assert!(spent <= 100 && spent > 93, "{spent}");
    for status in both {
        assert_eq!((status.spent, status.held), (cents(spent), Money::ZERO), "{:?}", status.budget.period);
    }
    for store in &stores[1..] {
        store.close().await;
    }
}

pub(super) async fn alerts_are_told_once_by_many(h: &Harness) {
    set(h, &budget(Period::Month, cents(100), BudgetMode::Soft)).await;
    let other = h.another().await;
    let calls: Vec<_> = (0..32).map(|n| call(&n.to_string(), cents(5))).collect();
    begin(h, &calls).await;
    let ends = (0..32).map(|n| {
        let store = if n % 2 == 0 { h.store.clone() } else { other.clone() };
        tokio::spawn(async move { store.journal_finish(&[ended(&n.to_string(), cents(5))]).await.unwrap() })
    });
    for end in ends.collect::<Vec<_>>() {
        end.await.unwrap();
    }
    assert_eq!((stands(h).await, planned_alerts(h).await), ((160, 0), 2));
    other.close().await;
}
