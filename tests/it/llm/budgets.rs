//! What a prompt does over budget (NX-3), on both databases.

use std::time::Duration;

use longshore::{
    config::Unpriced,
    domain::{
        budget::{Budget, BudgetMode, Period},
        money::Money,
        reason::Reason,
    },
    llm::contract::{OverBudget, Policy},
};

use super::bench::*;
use crate::world::{Kind, on_both};

on_both! {
    an_event_waits_for_the_reset_and_nothing_is_called
    a_cheaper_model_or_the_rules_answer_where_the_prompt_says_so
    a_soft_budget_never_stops_a_call
    what_is_charged_makes_room_for_what_was_set_aside
    a_model_without_a_price_is_the_dearest_or_refused
}

async fn limit(bench: &Bench, dollars: &str, mode: BudgetMode) {
    let budget = Budget {
        tenant: "tenant".into(),
        period: Period::Month,
        limit: Money::parse_usd(dollars).unwrap(),
        mode,
        time_zone: "Europe/Berlin".to_owned(),
    };
    bench.store.budget_set(&budget, "test").await.unwrap();
}

fn policy(route: &str, over_budget: OverBudget) -> Policy {
    Policy { route: Some(route.to_owned()), over_budget, ..Policy::default() }
}

async fn spent_and_held(bench: &Bench) -> (Money, Money) {
    let status = bench.store.budgets(None).await.unwrap().remove(0);
    (status.spent, status.held)
}

async fn an_event_waits_for_the_reset_and_nothing_is_called(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    // 500 tokens of output alone cost 0.0003.
    limit(&bench, "0.0003", BudgetMode::Strict).await;
    let failure = bench.ask("hi").await.unwrap_err();
    assert_eq!(failure.reason, Reason::BudgetExhausted);
    assert!(failure.wait > Some(Duration::from_secs(1)));
    for told in ["tenant", "month", "0.0003", "spent", "set aside", "never fits"] {
        assert!(failure.detail.contains(told), "{}", failure.detail);
    }
    assert_eq!((bench.asked(), bench.states().await.len()), (0, 0));
    assert_eq!(spent_and_held(&bench).await, (Money::ZERO, Money::ZERO));
    bench.end().await;
}

async fn a_cheaper_model_or_the_rules_answer_where_the_prompt_says_so(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    limit(&bench, "0.003", BudgetMode::Strict).await;
    let wait = why(bench.ask_as(policy("dear", OverBudget::Wait), "hi").await);
    assert_eq!((wait.0, bench.asked()), (Reason::BudgetExhausted, 0));
    let cheaper = bench.ask_as(policy("dear", OverBudget::Cheaper), "hi").await.unwrap();
    assert_eq!((cheaper.model.as_str(), bench.models()), ("gpt-4o-mini", vec!["gpt-4o-mini".to_owned()]));
    let rules = bench.ask_as(policy("second", OverBudget::Rules), "price?").await.unwrap();
    assert_eq!((rules.provider.as_str(), bench.asked()), ("rules", 1));
    // The next of the route costs more: that is no way out.
    limit(&bench, "0.0003", BudgetMode::Strict).await;
    let dearer = why(bench.ask_as(policy("two", OverBudget::Cheaper), "else").await);
    assert_eq!((dearer.0, bench.asked()), (Reason::BudgetExhausted, 1));
    bench.end().await;
}

async fn a_soft_budget_never_stops_a_call(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    limit(&bench, "0.000001", BudgetMode::Soft).await;
    bench.ask("hi").await.unwrap();
    bench.ask("again").await.unwrap();
    assert_eq!(bench.asked(), 2);
    bench.end().await;
}

async fn what_is_charged_makes_room_for_what_was_set_aside(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    limit(&bench, "1", BudgetMode::Strict).await;
    bench.ask("hi #drop").await.unwrap();
    bench.ask("hi #fail-twice").await.unwrap();
    let paid: i64 = bench.paid().await.iter().filter_map(|row| row.cost).sum();
    assert_eq!(spent_and_held(&bench).await, (Money(paid), Money::ZERO), "the lost one at its worst case");
    bench.books_balance().await;
    bench.end().await;
}

async fn a_model_without_a_price_is_the_dearest_or_refused(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    limit(&bench, "0.05", BudgetMode::Strict).await;
    let own = || policy("own", OverBudget::Wait);
    bench.ask_as(own(), "hi").await.map(|_| ()).unwrap_or_else(|failure| {
        assert_eq!(failure.reason, Reason::BudgetExhausted, "dearer than five cents");
    });
    limit(&bench, "10", BudgetMode::Strict).await;
    bench.ask_as(own(), "hi").await.unwrap();
    let (spent, held) = spent_and_held(&bench).await;
    assert!(spent > Money::ZERO && held == Money::ZERO, "charged by the dearest price: {spent}");
    bench.end().await;

    let bench = Bench::on(kind, |settings| settings.unpriced = Unpriced::Refuse).await;
    limit(&bench, "10", BudgetMode::Strict).await;
    assert_eq!(why(bench.ask_as(own(), "hi").await).0, Reason::BudgetExhausted);
    assert_eq!(bench.asked(), 0);
    bench.end().await;
}
