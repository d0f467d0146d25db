//! Continuations (NX-2), the response cache (NX-54), and what is heard of an answer while it is made.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use longshore::{
    cli::dev::outside::script::Fault,
    domain::reason::Reason,
    llm::contract::{AnswerShape, Pieces, Policy, Question, StepContext},
};

use super::bench::*;
use crate::world::{Kind, on_both};

on_both! {
    a_cut_text_is_continued_in_turns_of_their_own
    an_equal_question_is_answered_from_the_cache_at_no_cost
}

fn text(of: &str, continuations: u32) -> Question {
    let policy = Policy { continuations, ..Policy::default() };
    Question { answer: AnswerShape::Text, policy, ..question(of) }
}

async fn a_cut_text_is_continued_in_turns_of_their_own(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    bench.fault(Fault::Truncate, 2);
    let answered = bench.gateway.ask(&context("tenant", 0), &text("Tell me more", 3)).await.unwrap();
    assert!(!answered.truncated && answered.quality < 1.0);
    assert_eq!((bench.asked(), answered.calls.len(), bench.paid().await.len()), (3, 3, 3));
    let log = bench.outside.log();
    let turns = log[2].body["messages"].as_array().unwrap();
    let so_far = turns[turns.len() - 2]["content"].as_str().unwrap();
    let whole = answered.value.as_str().unwrap();
    assert!(so_far.chars().count() == 40 && whole.starts_with(so_far) && whole.len() > so_far.len());

    let again = bench.gateway.ask(&context("tenant", 0), &text("Tell me more", 3)).await.unwrap();
    assert_eq!((again, bench.asked()), (answered, 3), "all three are stored");
    bench.books_balance().await;
    bench.end().await;
}

#[tokio::test]
async fn more_than_the_turns_allowed_is_said_to_be_cut() {
    let bench = Bench::start().await;
    let answered = bench.gateway.ask(&context("tenant", 0), &text("Tell me more #cut", 2)).await.unwrap();
    assert!(answered.truncated && answered.quality <= 0.5);
    assert_eq!((bench.asked(), answered.value.as_str().unwrap().chars().count()), (3, 60));
    let none = bench.gateway.ask(&context("tenant", 1), &text("Else #cut", 0)).await.unwrap();
    assert!(none.truncated);
    assert_eq!(bench.asked(), 4);
    bench.books_balance().await;
}

async fn an_equal_question_is_answered_from_the_cache_at_no_cost(kind: Kind) {
    let bench = Bench::on(kind, |_| {}).await;
    let cached = || Policy { cache: Some(Duration::from_secs(3600)), ..Policy::default() };
    let ask = async |event: &str, tenant: &str, nonce: Option<&str>| {
        let context = StepContext { tenant: tenant.into(), ..event_of(event) };
        let nonce = nonce.map(str::to_owned);
        bench
            .gateway
            .ask(&context, &Question { policy: cached(), nonce, ..question("price?") })
            .await
            .unwrap()
    };
    let first = ask("one", "tenant", None).await;
    let second = ask("two", "tenant", None).await;
    assert_eq!((&second.value, bench.asked()), (&first.value, 1));
    assert_ne!(second.calls, first.calls, "a ledger row of its own");
    let paid = bench.paid().await;
    assert_eq!(paid.len(), 2);
    let copied = paid.iter().find(|row| row.status == "cached").unwrap();
    assert_eq!((copied.cost, copied.tokens), (Some(0), 0));
    let again = ask("two", "tenant", None).await;
    assert_eq!((again, bench.paid().await.len()), (second, 2), "stored, as any answer");
    ask("three", "else", None).await;
    assert_eq!(bench.asked(), 2, "another tenant's answers are not used");
    ask("four", "tenant", Some("once more")).await;
    assert_eq!(bench.asked(), 3, "who asks for a new answer gets one");

    // What was copied does not keep itself alive: the original is forgotten, and so is its copy.
    let earlier = match kind {
        Kind::Sqlite => "ended_at - 7200000000",
        Kind::Postgres => "ended_at - interval '2 hours'",
    };
    let age = format!("UPDATE llm_journal SET ended_at = {earlier} WHERE provider <> 'cache' RETURNING step");
    bench.database.rows(&age).await;
    ask("five", "tenant", None).await;
    assert_eq!(bench.asked(), 4);
    bench.end().await;
}

#[tokio::test]
async fn what_is_heard_since_the_last_beginning_is_the_answer() {
    let bench = Bench::start().await;
    for tag in ["#cut-stream", "#fail-twice", "#cut-counted", "#drop", "well"] {
        let heard: Arc<Mutex<String>> = Arc::default();
        let listener = Arc::clone(&heard);
        let pieces = Pieces(Arc::new(move |piece: &str| {
            let mut heard = listener.lock().unwrap();
            if piece.is_empty() { heard.clear() } else { heard.push_str(piece) }
        }));
        let of = format!("Tell me a long story {tag}");
        let question = Question { pieces: Some(pieces), ..text(&of, 0) };
        let answered = bench.gateway.ask(&event_of(&of), &question).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), answered.value.as_str().unwrap(), "{tag}");
    }
    let partial = bench.paid().await.into_iter().filter(|row| row.status == "partial").count();
    assert_eq!(partial, 2, "what came of a cut stream is billed, and written down");
    bench.books_balance().await;
}

#[tokio::test]
async fn json_that_is_cut_again_at_the_larger_cap_is_final() {
    let bench = Bench::with(|settings| {
        settings.providers.get_mut("main").unwrap().max_output = Some(600);
    })
    .await;
    assert_eq!(why(bench.ask("hi #cut").await).0, Reason::InvalidOutput);
    let caps: Vec<_> =
        bench.outside.log().iter().map(|seen| seen.body["max_completion_tokens"].as_i64().unwrap()).collect();
    assert_eq!(caps, [500, 600], "never more than the model can give");
}
