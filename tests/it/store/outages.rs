//! The database goes away while money is set aside and charged: nothing is half, and nothing is counted twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use longshore::{
    domain::{
        budget::{Budget, BudgetMode, Period},
        call::{Begun, CallEnd, CallStart, CallState},
        money::Money,
    },
    store::{
        contract::{LlmStore as _, Store, StoreError},
        group::GroupCommit,
        postgres::PostgresStore,
    },
};

use super::{fixtures::*, harness::Harness};

const LIMIT: Money = Money(5_000);

async fn limited() -> Harness {
    let h = Harness::postgres().await;
    for (period, mode) in [(Period::Day, BudgetMode::Strict), (Period::Month, BudgetMode::Soft)] {
        let budget = Budget { tenant: tenant(), period, limit: LIMIT, mode, time_zone: "UTC".to_owned() };
        h.store.budget_set(&budget, "anna").await.unwrap();
    }
    h
}

fn call(event: &str) -> CallStart {
    CallStart { hold: Some(Money(7)), ..call_start(event, 1) }
}

fn end(event: &str) -> CallEnd {
    CallEnd { charge: Money(3), ..answered(event, 1, "yes") }
}

/// Breaks the connection at COMMITs that changed a call, for the first `times` times.
async fn fail_commits(h: &Harness, times: u32) {
    h.execute("CREATE SEQUENCE commits").await;
    h.execute(&format!(
        "CREATE FUNCTION fail_commit() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            IF nextval('commits') <= {times} THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NULL;
         END $$"
    ))
    .await;
    h.execute(
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE ON llm_journal DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION fail_commit()",
    )
    .await;
}

async fn stands(h: &Harness) -> Vec<(i64, i64)> {
    h.store.budgets(None).await.unwrap().iter().map(|status| (status.spent.0, status.held.0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_did_not_happen_has_set_nothing_aside() {
    let h = limited().await;
    fail_commits(&h, 1).await;
    let begun = h.store.journal_begin(&[call("a")]).await;
    assert!(matches!(begun, Err(StoreError::CommitUnknown(_))), "{begun:?}");
    assert_eq!(stands(&h).await, [(0, 0), (0, 0)]);
    assert_eq!(h.store.journal_begin(&[call("a")]).await.unwrap(), [Begun::Written]);
    assert_eq!(stands(&h).await, [(0, 7), (0, 7)]);
    h.execute("ALTER SEQUENCE commits RESTART").await;
    let ended = h.store.journal_finish(&[end("a")]).await;
    assert!(matches!(ended, Err(StoreError::CommitUnknown(_))), "{ended:?}");
    assert_eq!((stands(&h).await, h.rows_of("llm_ledger").await), (vec![(0, 7), (0, 7)], 0));
    for _ in 0..2 {
        h.store.journal_finish(&[end("a")]).await.unwrap();
        assert_eq!((stands(&h).await, h.rows_of("llm_ledger").await), (vec![(3, 0), (3, 0)], 1));
    }
    h.finish().await;
}

/// Begins, maybe sends, and ends calls until it is told to stop, again and again where the database was away.
async fn work(store: Arc<dyn Store>, worker: usize, stop: Arc<AtomicBool>) -> i64 {
    let mut calls = 0;
    while !stop.load(Ordering::Relaxed) {
        calls += 1;
        let id = format!("{worker}-{calls}");
        let mut start = call(&id);
        let waits = calls % 3 == 0;
        if waits {
            start = CallStart { hold: Some(Money(7)), ..reserved(&id) };
        }
        loop {
            match store.journal_begin(std::slice::from_ref(&start)).await {
                // Taken: it was this one, whose commit was not known.
                Ok(begun) if matches!(begun[0], Begun::Written | Begun::Taken) => break,
                Ok(_) => return calls - 1,
                Err(_) => tokio::task::yield_now().await,
            }
        }
        while waits && store.journal_send(&[call_id(&id)]).await.is_err() {
            tokio::task::yield_now().await;
        }
        if calls % 4 == 0 {
            continue;
        }
        while store.journal_finish(&[end(&id)]).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_and_spent_is_the_sum_of_the_calls_after_any_outage() {
    let h = limited().await;
    let other = h.another().await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let store = if n % 2 == 0 { h.store.clone() } else { other.clone() };
            tokio::spawn(work(store, n, Arc::clone(&stop)))
        })
        .collect();
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        // Between two of them there may be a moment without any.
        sqlx::query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
        )
        .bind(h.name())
        .execute(&h.raw_pool())
        .await
        .unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    for worker in workers {
        calls += worker.await.unwrap();
    }
    assert!(calls > 50, "{calls}");
    let sums = "SELECT (coalesce(sum(CASE WHEN state IN ('reserved', 'sent') THEN hold END), 0),
                        3 * count(*) FILTER (WHERE state = 'answered'))::text
                FROM llm_journal WHERE tenant = $1";
    let sums = h.told(sums, TENANT).await.unwrap();
    let stands = stands(&h).await;
    assert_eq!(format!("({},{})", stands[0].1, stands[0].0), sums);
    assert_eq!(stands[0], stands[1]);
    assert!(stands[0].0 + stands[0].1 <= LIMIT.0, "{stands:?}");
    let billed = "SELECT (3 * count(*))::text FROM llm_ledger WHERE tenant = $1";
    assert_eq!(h.told(billed, TENANT).await.unwrap(), stands[0].0.to_string(), "a row for each");
    other.close().await;
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_call_stops_no_other_of_its_group() {
    let h = Harness::postgres().await;
    h.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            IF NEW.event_key LIKE '%bad%' THEN RAISE EXCEPTION 'bad'; END IF;
            RETURN NEW;
         END $$",
    )
    .await;
    h.execute("CREATE TRIGGER refuse BEFORE INSERT ON llm_journal FOR EACH ROW EXECUTE FUNCTION refuse()")
        .await;
    let writer = Arc::new(GroupCommit::start(&h.store, LEASE));
    let begun = ["good", "bad", "fine"].map(|id| writer.journal_begin(call(id)));
    let begun = futures_util::future::join_all(begun).await;
    assert_eq!((begun[0].as_ref().unwrap(), begun[2].as_ref().unwrap()), (&Begun::Written, &Begun::Written));
    assert!(matches!(begun[1], Err(StoreError::Refused(_))), "{begun:?}");
    h.execute("DROP TRIGGER refuse ON llm_journal").await;
    h.execute("CREATE TRIGGER refuse BEFORE INSERT ON llm_ledger FOR EACH ROW EXECUTE FUNCTION refuse()")
        .await;
    assert_eq!(writer.journal_begin(call("bad")).await.unwrap(), Begun::Written);
    let ends = ["good", "bad", "fine"].map(|id| writer.journal_finish(end(id)));
    let ends = futures_util::future::join_all(ends).await;
    assert!(ends[0].is_ok() && ends[1].is_err() && ends[2].is_ok(), "{ends:?}");
    assert_eq!(h.store.journal_find(&step("bad")).await.unwrap()[0].state, CallState::Sent, "nothing half");
    h.finish().await;
}

#[tokio::test]
async fn a_budget_that_cannot_be_reached_lets_nothing_through() {
    let h = limited().await;
    let away = PostgresStore::connect(&h.url(), 2).await.unwrap();
    away.close().await;
    assert!(matches!(away.journal_begin(&[call("a")]).await, Err(StoreError::Unavailable(_))));
    assert_eq!(stands(&h).await, [(0, 0), (0, 0)]);
    h.finish().await;
}
