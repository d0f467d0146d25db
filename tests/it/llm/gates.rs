//! Calls that wait at a gate: their money set aside, nothing on the wire; and nothing ever without a row.

use std::{sync::Arc, time::Duration};

use longshore::{
    cli::dev::outside::script::{Fault, Gate, rate_limit, server_error},
    domain::{
        budget::{Budget, BudgetMode, Period},
        money::Money,
        reason::Reason,
    },
};

use super::bench::*;
use crate::world::{Kind, on_both};

on_both! {
    who_waits_has_money_set_aside_and_is_on_no_wire
    a_common_rate_is_kept_by_two_processes
    nothing_is_asked_without_a_row
    lapsed_calls_are_ended_as_regular_work
}

fn one_at_a_time(bench: &mut longshore::config::LlmSettings) {
    bench.providers.get_mut("main").unwrap().concurrency = 1;
}

async fn who_waits_has_money_set_aside_and_is_on_no_wire(kind: Kind) {
    let bench = Arc::new(Bench::on(kind, one_at_a_time).await);
    let budget = Budget {
        tenant: "tenant".into(),
        period: Period::Day,
        limit: Money::parse_usd("1").unwrap(),
        mode: BudgetMode::Strict,
        time_zone: "UTC".to_owned(),
    };
    bench.store.budget_set(&budget, "test").await.unwrap();
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    let ask = |text: &'static str| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.ask_route("main", text).await })
    };
    let first = ask("first");
    bench.outside.until(|log| log.len() == 1).await;
    let (second, given_up) = (ask("second"), ask("given up"));
    while bench.states().await.iter().filter(|state| *state == "reserved").count() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.asked(), 1);
    let held = bench.store.budgets(None).await.unwrap().remove(0).held;
    assert!(held > Money::ZERO);
    given_up.abort();
    gate.open();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    bench.gateway.drained().await;
    assert_eq!(bench.asked(), 2, "nobody waits for the third any more");
    let status = bench.store.budgets(None).await.unwrap().remove(0);
    let paid: i64 = bench.paid().await.iter().filter_map(|row| row.cost).sum();
    assert_eq!((status.spent, status.held), (Money(paid), Money::ZERO));
    bench.books_balance().await;
    Arc::into_inner(bench).unwrap().end().await;
}

/// 240 a minute: four a second, and a burst of four.
async fn a_common_rate_is_kept_by_two_processes(kind: Kind) {
    let limited = |settings: &mut longshore::config::LlmSettings| {
        settings.providers.get_mut("main").unwrap().requests_per_minute = Some(240);
    };
    let bench = Bench::on(kind, limited).await;
    let other = bench.another(limited).await;
    let begun = std::time::Instant::now();
    let asks = (0..24).map(|n| {
        let gateway = if n % 2 == 0 { &bench.gateway } else { &other };
        let text = format!("question {n}");
        async move { gateway.ask(&event_of(&text), &question(&text)).await.map(drop) }
    });
    for result in futures_util::future::join_all(asks).await {
        result.unwrap();
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(4_500), "twenty of them one after the other: {took:?}");
    let log = bench.outside.log();
    for (place, seen) in log.iter().enumerate() {
        let within = log[place..].iter().filter(|later| later.at.since(seen.at) < Duration::from_secs(1));
        assert!(within.count() <= 9, "more than a second's and the burst");
    }
    bench.end().await;
}

async fn nothing_is_asked_without_a_row(kind: Kind) {
    let bench = Bench::on(kind, |settings| {
        one_at_a_time(settings);
        settings.providers.get_mut("main").unwrap().requests_per_minute = Some(3_000);
    })
    .await;
    bench.fault_for("gpt-4o-mini", server_error(), 4);
    bench.fault_for("gpt-4.1", rate_limit("0.1"), 2);
    let tags = ["#drop", "#odd", "#cut", "#bad-once", "#refuse", "#fail-twice", "plain", "#no-usage"];
    let asks = tags.map(|tag| {
        let bench = &bench;
        async move { drop(bench.ask_route("two", &format!("price? {tag}")).await) }
    });
    futures_util::future::join_all(asks).await;
    bench.gateway.drained().await;
    let sent = "llm_journal WHERE detail IS NULL OR detail NOT LIKE 'never sent%'";
    assert_eq!(usize::try_from(bench.database.count(sent).await).unwrap(), bench.asked());
    assert!(bench.states().await.iter().all(|state| state != "sent" && state != "reserved"));
    bench.books_balance().await;
    bench.end().await;
}

async fn lapsed_calls_are_ended_as_regular_work(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (url, base) = (bench.database.url.clone(), bench.outside.llm_base_url());
    doomed.spawn(async move {
        let gateway = gateway(kind, url, &base, Duration::from_secs(20)).await;
        gateway.ask(&context("tenant", 0), &question("hi")).await
    });
    bench.outside.until(|log| log.len() == 1).await;
    doomed.shutdown_background();
    assert_eq!(bench.gateway.end_lapsed_calls().await.unwrap(), 0, "it may still be answered");
    assert_eq!(why(bench.ask("hi").await).0, Reason::Busy);
    bench.a_minute_passes().await;
    assert_eq!(bench.gateway.end_lapsed_calls().await.unwrap(), 1);
    assert_eq!(bench.gateway.end_lapsed_calls().await.unwrap(), 0);
    let paid = bench.paid().await;
    assert_eq!((paid.len(), paid[0].status.as_str()), (1, "ambiguous"));
    assert!(paid[0].cost > Some(0));
    gate.open();
    bench.end().await;
}
