//! What was paid is used; what is lost is charged at its worst; what was never sent costs nothing.

use std::{sync::Arc, time::Duration};

use longshore::{
    cli::dev::outside::{
        script::{Fault, Gate},
        world::Seen,
    },
    domain::reason::Reason,
};

use super::bench::*;
use crate::world::Kind;

#[tokio::test]
async fn a_stored_answer_is_never_bought_again() {
    let bench = Bench::start().await;
    let first = bench.ask("What is the price?").await.unwrap();
    assert_eq!(bench.ask("What is the price?").await.unwrap(), first);
    let later = bench.gateway.ask(&context("tenant", 1), &question("What is the price?")).await.unwrap();
    assert_eq!(later, first, "a replay uses it, too");
    assert_eq!(bench.asked(), 1);
    bench.ask("Another question").await.unwrap();
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn a_bad_repair_is_final_until_a_replay() {
    let bench = Bench::start().await;
    let (reason, _, raw) = why(bench.ask("price? #bad-json").await);
    assert_eq!((reason, raw.is_some()), (Reason::InvalidOutput, true));
    assert_eq!((bench.asked(), bench.paid().await.len()), (2, 2));
    let replayed = bench.gateway.ask(&context("tenant", 1), &question("price? #bad-json")).await;
    assert_eq!(why(replayed).0, Reason::InvalidOutput);
    assert_eq!((bench.asked(), bench.paid().await.len()), (4, 4), "rejected answers are not used again");
    bench.books_balance().await;
}

#[tokio::test]
async fn a_lost_answer_is_charged_at_its_worst_and_bought_again() {
    let bench = Bench::start().await;
    bench.ask("hi #drop").await.unwrap();
    assert_eq!((bench.asked(), bench.states().await), (2, vec!["ambiguous".to_owned(), "answered".into()]));
    let paid = bench.paid().await;
    let cost = |status: &str| paid.iter().find(|row| row.status == status).unwrap().cost.unwrap();
    assert!(cost("ambiguous") >= cost("answered"), "{paid:?}");
    bench.books_balance().await;
}

#[tokio::test]
async fn a_time_out_after_the_request_was_written_is_ambiguous() {
    let bench = Bench::patient(Duration::from_millis(300)).await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    bench.ask("hi").await.unwrap();
    gate.open();
    assert_eq!(bench.states().await, ["ambiguous", "answered"]);
    bench.books_balance().await;
}

#[tokio::test]
async fn who_cannot_be_reached_bills_nothing() {
    let bench = Bench::start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", free.local_addr().unwrap());
    drop(free);
    let unreachable = gateway(Kind::Sqlite, bench.database.url.clone(), &base, Duration::from_secs(5)).await;
    let failed = unreachable.ask(&context("tenant", 0), &question("hi")).await;
    assert_eq!(why(failed).0, Reason::LlmUnavailable);
    assert_eq!(bench.states().await, ["failed", "failed", "failed"]);
    assert!(bench.paid().await.is_empty());
}

fn one_held(log: &[Seen]) -> bool {
    log.len() == 1
}

#[tokio::test]
async fn a_cancelled_handler_does_not_lose_a_paid_answer() {
    let bench = Bench::start().await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    let gateway = Arc::clone(&bench.gateway);
    let handler = tokio::spawn(async move { gateway.ask(&context("tenant", 0), &question("hi")).await });
    bench.outside.until(one_held).await;
    handler.abort();
    assert!(handler.await.unwrap_err().is_cancelled());

    let (reason, wait, _) = why(bench.ask("hi").await);
    assert_eq!(reason, Reason::Busy, "it may still be answered");
    assert!(wait > Some(Duration::from_secs(10)) && wait <= Some(Duration::from_secs(21)), "{wait:?}");

    gate.open();
    bench.gateway.drained().await;
    bench.ask("hi").await.unwrap();
    assert_eq!(bench.asked(), 1);
    bench.books_balance().await;
}

#[tokio::test]
async fn a_dead_owners_call_is_ambiguous_once_it_is_overdue() {
    let bench = Bench::start().await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    let (url, base) = (bench.database.url.clone(), bench.outside.llm_base_url());
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    doomed.spawn(async move {
        let gateway = gateway(Kind::Sqlite, url, &base, Duration::from_secs(20)).await;
        gateway.ask(&context("tenant", 0), &question("hi")).await
    });
    bench.outside.until(one_held).await;
    // All of its tasks are gone in the middle of the call, as if the process had died.
    doomed.shutdown_background();
    assert_eq!(why(bench.ask("hi").await).0, Reason::Busy);
    bench.a_minute_passes().await;
    bench.ask("hi").await.unwrap();
    gate.open();
    assert_eq!((bench.asked(), bench.states().await), (2, vec!["ambiguous".to_owned(), "answered".into()]));
    assert_eq!(bench.paid().await.len(), 2);
    bench.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_buy_one_answer() {
    let bench = Bench::start().await;
    let asks = (0..16).map(|_| bench.ask("hi"));
    let results = futures_util::future::join_all(asks).await;
    assert!(results.iter().any(Result::is_ok));
    let others = results.into_iter().filter_map(Result::err);
    assert!(
        others.into_iter().all(|failure| matches!(failure.reason, Reason::Busy | Reason::StoreUnavailable))
    );
    assert_eq!((bench.asked(), bench.paid().await.len()), (1, 1));
}
