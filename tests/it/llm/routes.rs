//! Who is asked when one cannot: by kind of trouble, and until when an event waits when nobody can.

use std::time::Duration;

use longshore::{
    cli::dev::outside::script::{Fault, out_of_money, overloaded, rate_limit, server_error, too_long},
    domain::reason::Reason,
    llm::contract::{ModelState, Policy, WhenDown},
};

use super::bench::*;

const FIRST: &str = "gpt-4o-mini";
const SECOND: &str = "gpt-4.1";

fn status(status: u16, code: &str) -> Fault {
    let body = format!(r#"{{"error":{{"message":"m","type":"invalid_request_error","code":"{code}"}}}}"#);
    Fault::Answer { status, headers: Vec::new(), body }
}

/// NX-1: the first is asked as often as may help, then the second answers.
#[tokio::test]
async fn the_next_of_the_route_answers_where_one_cannot() {
    for (trouble, asked) in [
        (server_error(), 3),
        (overloaded(), 3),
        (out_of_money(), 1),
        (status(401, "invalid_api_key"), 1),
        (status(404, "model_not_found"), 1),
        (rate_limit("60"), 1),
        (too_long(), 1),
        (Fault::Refuse, 1),
        (Fault::Filter, 1),
    ] {
        let bench = Bench::start().await;
        bench.fault_for(FIRST, trouble.clone(), u32::MAX);
        let answered = bench.ask_route("two", "price?").await.unwrap();
        assert_eq!(answered.model, SECOND, "{trouble:?}");
        assert!(answered.quality < 1.0);
        let models = bench.models();
        assert_eq!(models.iter().filter(|model| *model == FIRST).count(), asked, "{trouble:?}");
        assert_eq!(models.last().unwrap(), SECOND);
        bench.books_balance().await;
        bench.end().await;
    }
}

#[tokio::test]
async fn a_wrong_question_is_asked_once_and_nobody_else_is_bothered() {
    let bench = Bench::start().await;
    bench.fault(status(400, "invalid_value"), u32::MAX);
    assert_eq!(why(bench.ask_route("two", "hi").await).0, Reason::VendorRefused);
    assert_eq!(bench.models(), [FIRST]);
}

#[tokio::test]
async fn too_long_a_question_goes_to_a_larger_window_only() {
    let bench = Bench::start().await;
    bench.fault_for(SECOND, too_long(), 1);
    assert_eq!(why(bench.ask_route("dear", "hi").await).0, Reason::VendorRefused);
    assert_eq!(bench.models(), [SECOND], "the other's window is smaller");
}

#[tokio::test]
async fn what_two_refuse_no_third_is_asked() {
    let bench = Bench::start().await;
    let (reason, _, raw) = why(bench.ask_route("three", "awful #refuse").await);
    assert_eq!((reason, raw.is_some()), (Reason::LlmRefused, true));
    assert_eq!(bench.models(), [FIRST, SECOND]);
}

#[tokio::test]
async fn an_answer_of_any_model_of_the_route_is_used_again() {
    let bench = Bench::start().await;
    bench.fault_for(FIRST, out_of_money(), 1);
    let first = bench.ask_route("two", "price?").await.unwrap();
    assert_eq!(first.model, SECOND);
    assert_eq!(bench.ask_route("dear", "price?").await.unwrap().value, first.value);
    assert_eq!(bench.ask_route("two", "price?").await.unwrap(), first);
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn a_model_without_credit_is_left_alone_by_everyone() {
    let bench = Bench::start().await;
    bench.fault_for(FIRST, out_of_money(), u32::MAX);
    for text in ["one", "two", "three"] {
        assert_eq!(bench.ask_route("two", text).await.unwrap().model, SECOND);
    }
    assert_eq!(bench.models().iter().filter(|model| *model == FIRST).count(), 1);
    let health = bench.gateway.health();
    let main = health.iter().find(|model| model.name == "main").unwrap();
    assert_eq!(main.state, ModelState::Down);
    assert!(main.opens_in_seconds > Some(800) && main.why.is_some(), "{main:?}");
    assert!(health.iter().any(|model| model.name == "second" && model.state == ModelState::Up));
}

#[tokio::test]
async fn the_rules_answer_for_a_route_that_is_down_where_the_prompt_allows_it() {
    let bench = Bench::start().await;
    bench.fault(server_error(), u32::MAX);
    let route = Some("two".to_owned());
    let policy = Policy { route, when_down: WhenDown::Rules, ..Policy::default() };
    let answered = bench.ask_as(policy, "What is the price?").await.unwrap();
    assert_eq!((answered.provider.as_str(), answered.value["intent"].as_str()), ("rules", Some("pricing")));
    assert!(answered.quality <= 0.3);
}

/// Counted as failures as long as it may be the question; from the opening on nobody's event is to blame.
#[tokio::test]
async fn a_route_that_is_down_defers_and_one_call_at_a_time_looks_whether_it_is_up() {
    let bench = Bench::with(|settings| {
        for provider in settings.providers.values_mut() {
            provider.breaker_failures = 4;
            provider.breaker_rest = Duration::from_millis(400);
        }
    })
    .await;
    bench.fault(server_error(), 5);
    assert_eq!(why(bench.ask("hi").await).0, Reason::LlmUnavailable, "three in a row may be the question");
    let (reason, wait, _) = why(bench.ask("hi").await);
    assert_eq!(reason, Reason::RouteDown);
    assert!(wait <= Some(Duration::from_millis(450)), "{wait:?}");
    assert_eq!(bench.asked(), 4, "the fourth failure opened it");
    assert_eq!(why(bench.ask("other").await).0, Reason::RouteDown);
    assert_eq!(bench.asked(), 4);
    tokio::time::sleep(Duration::from_millis(450)).await;
    let many =
        futures_util::future::join_all(["a", "b", "c"].map(|text| bench.ask_route("main", text))).await;
    assert!(many.into_iter().all(|one| why(one).0 == Reason::RouteDown), "the probe's event, too");
    assert_eq!(bench.asked(), 5, "one alone");
    tokio::time::sleep(Duration::from_millis(850)).await;
    bench.ask("hi").await.unwrap();
    bench.ask("other").await.unwrap();
    bench.books_balance().await;
}

#[tokio::test]
async fn no_call_is_repeated_before_the_time_that_was_asked_for() {
    let bench = Bench::start().await;
    bench.fault(rate_limit("0.4"), 6);
    let asks = (0..12).map(|n| {
        let text = format!("question {n}");
        let bench = &bench;
        async move { while bench.ask_route("main", &text).await.is_err() {} }
    });
    futures_util::future::join_all(asks).await;
    let log = bench.outside.log();
    for (place, refused) in log.iter().enumerate().filter(|(_, seen)| seen.status == Some(429)) {
        let again = log[place + 1..].iter().find(|seen| seen.fingerprint == refused.fingerprint).unwrap();
        let waited = again.at.since(refused.at);
        assert!(waited >= refused.retry_after.unwrap(), "{waited:?}");
    }
    bench.books_balance().await;
}
