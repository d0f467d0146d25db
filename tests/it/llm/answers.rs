//! What is made of every kind of answer, and what it costs.

use std::time::Duration;

use longshore::{
    cli::dev::outside::script::{Fault, rate_limit, server_error},
    domain::{money::Money, reason::Reason},
};
use serde_json::json;

use super::bench::*;

#[tokio::test]
async fn an_answer_is_checked_priced_and_written_down() {
    let bench = Bench::start().await;
    let answered = bench.ask("What is the price?").await.unwrap();
    assert_eq!(answered.value["intent"], "pricing");
    assert_eq!((answered.provider.as_str(), answered.model.as_str()), ("openai", "gpt-4o-mini"));
    let log = bench.outside.log();
    let bill = log[0].bill.clone().unwrap();
    assert_eq!(log[0].correlation_id.as_deref(), Some("trace-1"));
    assert_eq!(log[0].body["response_format"]["json_schema"]["strict"], true);
    // 0.15 and 0.6 dollars a million: 150,000 and 600,000 pico-dollars each.
    let cost = bill.usage.uncached_input * 150_000 + bill.usage.output * 600_000;
    let tokens = bill.usage.input() + bill.usage.output;
    let row = Paid { status: "answered".into(), source: "provider".into(), cost: Some(cost), tokens };
    assert_eq!(bench.paid().await, [row]);
    let ids = bench.texts("SELECT id FROM llm_ledger").await;
    assert_eq!(answered.calls, ids);
    bench.end().await;
}

#[tokio::test]
async fn what_fails_twice_succeeds_at_the_third() {
    let bench = Bench::start().await;
    bench.ask("price? #fail-twice").await.unwrap();
    assert_eq!((bench.asked(), bench.paid().await.len()), (3, 1));
    assert_eq!(bench.states().await, ["failed", "failed", "answered"]);
}

#[tokio::test]
async fn used_up_attempts_are_a_retry_and_cost_nothing() {
    let bench = Bench::start().await;
    bench.fault(server_error(), 3);
    assert_eq!(why(bench.ask("hi").await), (Reason::LlmUnavailable, None, None));
    assert_eq!((bench.asked(), bench.paid().await.len()), (3, 0));
    bench.ask("hi").await.unwrap();
    assert_eq!(bench.states().await, ["failed", "failed", "failed", "answered"]);
}

#[tokio::test]
async fn short_hints_are_slept_out_long_ones_defer() {
    let bench = Bench::start().await;
    bench.fault(rate_limit("0.3"), 1);
    let begun = std::time::Instant::now();
    bench.ask("hi").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.asked(), 2);
    let (reason, wait, _) = why(bench.ask("hi #rate-limit-long").await);
    assert_eq!(reason, Reason::RateLimited);
    // Never sooner; a little later, so that not all come at once.
    assert!(wait >= Some(Duration::from_secs(11)) && wait < Some(Duration::from_secs(13)), "{wait:?}");
    assert_eq!(bench.asked(), 3);
    bench.ask("hi #rate-limit-long").await.unwrap();
}

#[tokio::test]
async fn an_empty_account_is_asked_once() {
    let bench = Bench::start().await;
    let (reason, wait, _) = why(bench.ask("hi #no-credit").await);
    assert_eq!(reason, Reason::RouteDown);
    assert!(wait >= Some(Duration::from_secs(895)), "{wait:?}");
    assert_eq!(why(bench.ask("another").await).0, Reason::RouteDown, "nobody else is sent there");
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn refusals_are_paid_and_final() {
    let bench = Bench::start().await;
    let (reason, _, raw) = why(bench.ask("hi #refuse").await);
    assert_eq!((reason, raw.as_deref()), (Reason::LlmRefused, Some("I'm sorry, I can't help with that.")));
    assert_eq!(why(bench.ask("hi #filter").await).0, Reason::LlmRefused);
    assert_eq!(bench.asked(), 2);
    assert!(bench.paid().await.iter().all(|row| row.status == "failed" && row.cost > Some(0)));
    bench.books_balance().await;
}

#[tokio::test]
async fn a_bad_answer_is_repaired_once() {
    let bench = Bench::start().await;
    let answered = bench.ask("price? #bad-once").await.unwrap();
    assert_eq!((answered.calls.len(), bench.asked()), (2, 2));
    let turns = bench.outside.log()[1].body["messages"].as_array().unwrap().len();
    assert_eq!(turns, 4, "the bad answer and what is wrong with it go along");
    assert_eq!(bench.ask("price? #bad-once").await.unwrap(), answered);
    assert_eq!((bench.asked(), bench.paid().await.len()), (2, 2), "both are stored");
}

#[tokio::test]
async fn a_cut_answer_gets_one_larger_cap() {
    let bench = Bench::start().await;
    bench.fault(Fault::Truncate, 1);
    bench.ask("hi").await.unwrap();
    let caps: Vec<_> =
        bench.outside.log().iter().map(|seen| seen.body["max_completion_tokens"].clone()).collect();
    assert_eq!(caps, [json!(500), json!(1000)]);
    assert_eq!(why(bench.ask("hi #cut").await).0, Reason::InvalidOutput);
    assert_eq!(bench.asked(), 4);
    bench.books_balance().await;
}

#[tokio::test]
async fn an_unknown_finish_is_no_success() {
    let bench = Bench::start().await;
    assert_eq!(why(bench.ask("hi #odd").await).0, Reason::LlmUnavailable);
    assert_eq!(bench.asked(), 3);
    bench.books_balance().await;
}

#[tokio::test]
async fn usage_and_prices_that_are_not_known_are_said_not_guessed() {
    let bench = Bench::start().await;
    bench.ask("hi #no-usage").await.unwrap();
    let paid = bench.paid().await;
    assert_eq!(paid[0].source, "estimated");
    assert!(paid[0].tokens > 0 && paid[0].cost > Some(0));
    bench.gateway.ask(&context("odd", 0), &question("hi")).await.unwrap();
    assert!(bench.paid().await.iter().any(|row| row.cost.is_none()), "no price is not a price of zero");
}

#[tokio::test]
async fn a_tenant_may_have_a_provider_of_its_own() {
    let bench = Bench::start().await;
    let answered = bench.gateway.ask(&context("thrifty", 0), &question("What is the price?")).await.unwrap();
    assert_eq!((answered.provider.as_str(), answered.value["intent"].as_str()), ("rules", Some("pricing")));
    assert_eq!(bench.asked(), 0);
    assert_eq!(bench.paid().await[0].cost, Some(Money::ZERO.0));
}
