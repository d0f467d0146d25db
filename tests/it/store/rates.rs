//! A limit per minute that all processes share, by the database's clock.

use std::time::Duration;

use longshore::domain::rate::{RateAsk, RateGrant};

use super::{fixtures::*, harness::Harness};

fn ask(bucket: &str, requests: i64, tokens: i64) -> RateAsk {
    RateAsk {
        bucket: bucket.to_owned(),
        requests_per_minute: Some(600),
        tokens_per_minute: Some(6_000),
        requests,
        tokens,
    }
}

/// So slow that nothing comes while the test runs.
fn slow(bucket: &str, requests: i64) -> RateAsk {
    RateAsk { requests_per_minute: Some(1), tokens_per_minute: None, ..ask(bucket, requests, 0) }
}

async fn take(h: &Harness, asks: &[RateAsk]) -> Vec<RateGrant> {
    h.store.rate_take(asks).await.unwrap()
}

pub(super) async fn a_bucket_gives_what_is_there(h: &Harness) {
    let grants = take(h, &[slow("a", 1), slow("b", 5), slow("a", 1), slow("b", 0)]).await;
    let given: Vec<_> = grants.iter().map(|grant| grant.requests).collect();
    assert_eq!(given, [1, 1, 0, 0], "each bucket its own, the earlier ask first");
    assert!(grants[2].wait > MINUTE / 2 && grants[2].wait <= MINUTE, "{:?}", grants[2]);
    assert_eq!((grants[0].wait, grants[3].wait), (Duration::ZERO, Duration::ZERO));
    let free = RateAsk { requests_per_minute: None, ..slow("c", 50) };
    assert_eq!(take(h, &[free]).await[0].requests, 50, "no limit, no end");
    h.elapse(MINUTE).await;
    let given: Vec<_> =
        take(h, &[slow("a", 5), slow("b", 5)]).await.iter().map(|grant| grant.requests).collect();
    assert_eq!(given, [1, 1], "a minute later there is one again, and never more");
    assert!(h.store.rate_take(&[]).await.unwrap().is_empty());
}

pub(super) async fn what_was_not_used_is_given_back(h: &Harness) {
    take(h, &[slow("a", 1)]).await;
    assert_eq!(take(h, &[slow("a", -1)]).await, [RateGrant::default()]);
    assert_eq!(take(h, &[slow("a", 1)]).await[0].requests, 1);
    take(h, &[slow("a", -100)]).await;
    assert_eq!(take(h, &[slow("a", 100)]).await[0].requests, 1, "never above the burst");
}

pub(super) async fn a_changed_limit_counts_at_once(h: &Harness) {
    take(h, &[ask("a", 12, 600)]).await;
    let wider =
        RateAsk { requests_per_minute: Some(60_000), tokens_per_minute: None, ..ask("a", 10_000, 10_000) };
    h.elapse(Duration::from_secs(1)).await;
    let grant = &take(h, std::slice::from_ref(&wider)).await[0];
    assert!((1000..=1200).contains(&grant.requests) && grant.tokens == 10_000, "{grant:?}");
    h.elapse(MINUTE).await;
    assert_eq!(take(h, &[wider]).await[0].requests, 1_200);
    h.elapse(MINUTE).await;
    let grant = &take(h, &[ask("a", 5_000, 5_000)]).await[0];
    assert_eq!((grant.requests, grant.tokens), (12, 600));
}

/// Whatever several processes ask at once, and however the clock goes on.
pub(super) async fn several_stores_take_no_more_than_there_is(h: &Harness) {
    let stores = [h.store.clone(), h.another().await, h.another().await];
    let mut given = (0, 0);
    let begun = std::time::Instant::now();
    for round in 0..4_u32 {
        let tasks: Vec<_> = (0..24)
            .map(|n| {
                let store = stores[n % 3].clone();
                let other = ask(&format!("other-{n}"), 1, 1);
                tokio::spawn(async move {
                    let asks = if n % 2 == 0 { [ask("a", 2, 100), other] } else { [other, ask("a", 2, 100)] };
                    store.rate_take(&asks).await.unwrap().swap_remove(n % 2)
                })
            })
            .collect();
        for task in tasks {
            let grant = task.await.unwrap();
            given = (given.0 + grant.requests, given.1 + grant.tokens);
        }
        if round < 3 {
            h.elapse(Duration::from_secs(1)).await;
        }
    }
    // A burst, three seconds of the turned clock, and the time that really passed.
    let passed = 3.0 + begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (requests, tokens) = (given.0 as f64, given.1 as f64);
    assert!(requests <= 12.0 + passed * 10.0 && requests >= 12.0 + 25.0, "{requests} in {passed} s");
    assert!(tokens <= 600.0 + passed * 100.0 && tokens >= 600.0 + 250.0, "{tokens} in {passed} s");
    for store in &stores[1..] {
        store.close().await;
    }
}

pub(super) async fn buckets_at_rest_are_forgotten(h: &Harness) {
    take(h, &[slow("a", 1), slow("b", 1)]).await;
    h.store.maintain().await.unwrap();
    assert_eq!(h.rows_of("rate_buckets").await, 2);
    h.elapse(MINUTE * 60 * 25).await;
    take(h, &[slow("b", 1)]).await;
    h.store.maintain().await.unwrap();
    assert_eq!(h.rows_of("rate_buckets").await, 1);
    assert_eq!(take(h, &[slow("a", 5), slow("b", 5)]).await[0].requests, 1);
}

pub(super) async fn long_names_of_buckets_stay_distinct(h: &Harness) {
    let names = [format!("{}a", "x".repeat(3_000)), format!("{}b", "x".repeat(3_000)), "nul\0".to_owned()];
    for name in &names {
        assert_eq!(take(h, &[slow(name, 1)]).await[0].requests, 1);
        assert_eq!(take(h, &[slow(name, 1)]).await[0].requests, 0);
    }
}
