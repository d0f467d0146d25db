//! What only a server can do: break connections, ask to try again, keep us waiting for a lock.

use std::time::Duration;

use longshore::{
    domain::{command::CommandEndState, outcome::Fence},
    store::{
        contract::{Resolution, StoreError},
        postgres::PostgresStore,
    },
};

use super::{fixtures::*, harness::Harness};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_broke_while_idle_are_replaced() {
    let h = Harness::postgres().await;
    let held = claimed(&h, "a").await.held;
    let all = (0..8).map(|_| h.store.ping());
    futures_util::future::join_all(all).await.into_iter().for_each(|answer| answer.unwrap());
    h.break_connections().await;
    assert_eq!(settle_one(&h, &held, done(vec![])).await, Fence::Committed);
    h.break_connections().await;
    h.store.ping().await.unwrap();
    h.finish().await;
}

/// Fails every COMMIT that changed the inbox in the way given, for the first `times` times.
async fn fail_commits(h: &Harness, times: u32, action: &str) {
    h.execute("CREATE SEQUENCE commits").await;
    h.execute(&format!(
        "CREATE FUNCTION fail_commit() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            IF nextval('commits') <= {times} THEN {action}; END IF;
            RETURN NULL;
         END $$"
    ))
    .await;
    h.execute(
        "CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON inbox DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION fail_commit()",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_at_commit_is_an_unknown_commit() {
    let h = Harness::postgres().await;
    let held = claimed(&h, "a").await.held;
    fail_commits(&h, 1, "PERFORM pg_terminate_backend(pg_backend_pid())").await;
    let group = [longshore::domain::outcome::Settled { held: held.clone(), verdict: done(vec![]) }];
    let answer = h.store.settle(&group).await;
    assert!(matches!(answer, Err(StoreError::CommitUnknown(_))), "{answer:?}");
    assert!(!h.store.settled_by(&held).await.unwrap(), "here it did not happen");
    assert_eq!(h.store.settle(&group).await.unwrap(), [Fence::Committed]);
    assert!(h.store.settled_by(&held).await.unwrap());
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_are_tried_again_inside_and_told_in_the_end() {
    for code in ["40001", "40P01"] {
        let h = Harness::postgres().await;
        let held = claimed(&h, "a").await.held;
        let raise = format!("RAISE EXCEPTION 'again' USING ERRCODE = '{code}'");
        fail_commits(&h, 3, &raise).await;
        let writes = vec![result(serde_json::json!(1)), inbound("wamid.1", "x")];
        assert_eq!(settle_one(&h, &held, done(writes)).await, Fence::Committed);
        let counts = h.store.table_counts().await.unwrap();
        assert_eq!((counts["results"], counts["messages"], counts["audit_log"]), (1, 1, 1));
        h.finish().await;
    }
    let h = Harness::postgres().await;
    let held = claimed(&h, "a").await.held;
    fail_commits(&h, 1000, "RAISE EXCEPTION 'again' USING ERRCODE = '40001'").await;
    let group = [longshore::domain::outcome::Settled { held, verdict: done(vec![]) }];
    let answer = h.store.settle(&group).await;
    assert!(matches!(answer, Err(StoreError::Conflict(_))), "{answer:?}");
    assert_eq!(h.store.table_counts().await.unwrap()["audit_log"], 0);
    h.finish().await;
}

/// The holder's commit waits for a lock that the one who takes over holds: when it gets the row, the row is
/// another's, and neither the fence nor anything behind it may be judged by the older version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waited_for_the_heir_is_lost() {
    let h = Harness::postgres().await;
    let held = claimed(&h, "a").await.held;
    let pool = h.raw_pool();
    let mut heir = pool.begin().await.unwrap();
    sqlx::query("UPDATE inbox SET ticket = ticket + 1").execute(&mut *heir).await.unwrap();
    let store = h.store.clone();
    let group = [longshore::domain::outcome::Settled {
        held: held.clone(),
        verdict: done(vec![result(serde_json::json!(1))]),
    }];
    let late = tokio::spawn(async move { store.settle(&group).await.unwrap() });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "nobody waits");
        tokio::task::yield_now().await;
    }
    heir.commit().await.unwrap();
    assert_eq!(late.await.unwrap(), [Fence::Lost]);
    assert_eq!(h.store.extend(&[held], LEASE).await.unwrap(), [Fence::Lost]);
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!((counts["results"], counts["audit_log"]), (0, 0));
    h.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_made_ahead_and_used() {
    let h = Harness::postgres().await;
    let pool = h.raw_pool();
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::regclass";
    let count = async |table: &str| {
        sqlx::query_scalar::<_, i64>(partitions).bind(table).fetch_one(&pool).await.unwrap()
    };
    let newest = "SELECT max(inhrelid::regclass::text) FROM pg_inherits
                  WHERE inhparent = 'events'::regclass AND inhrelid <> 'events_default'::regclass";
    let newest: String = sqlx::query_scalar(newest).fetch_one(&pool).await.unwrap();
    assert_eq!(count("events").await, 4, "the default one, this month and two more");
    h.execute(&format!("DROP TABLE {newest}")).await;
    let other = h.another().await;
    let (one, two) = tokio::join!(h.store.maintain(), other.maintain());
    one.unwrap();
    two.unwrap();
    for table in ["events", "llm_ledger", "audit_log"] {
        assert_eq!(count(table).await, 4, "{table}");
    }
    settled(&h, "a", done(vec![])).await;
    let in_default = "SELECT count(*) FROM audit_log_default";
    assert_eq!(sqlx::query_scalar::<_, i64>(in_default).fetch_one(&pool).await.unwrap(), 0);
    other.close().await;
    h.finish().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_the_password_stays_secret() {
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [format!("postgres://u:hush@127.0.0.1:{port}/x"), "postgres://u:hush@[bad".to_owned()] {
        let error = PostgresStore::connect(&url, 1).await.expect_err("nobody is there");
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Refused(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

/// Holds up the one who takes the second command of a lane, after its statement has seen that nothing of the
/// lane comes before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_command_planned_again_meanwhile_waits() {
    let h = Harness::postgres().await;
    settled(&h, "a", planned(vec![message("lane", "1"), message("lane", "1")])).await;
    h.store.outbox_take(1, LEASE).await.unwrap();
    let first = command_of("a", 0);
    super::outbox::end(&h, &first, CommandEndState::Unknown { detail: "reset".to_owned() }).await;
    h.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
            PERFORM 1 FROM tenants WHERE id = 'gate' FOR UPDATE;
            RETURN NEW;
         END $$",
    )
    .await;
    h.execute(&format!(
        "CREATE TRIGGER wait BEFORE UPDATE ON outbox FOR EACH ROW
            WHEN (NEW.state = 'sending' AND NEW.id = '{}') EXECUTE FUNCTION wait()",
        command_of("a", 1)
    ))
    .await;
    h.execute("INSERT INTO tenants VALUES ('gate', true, now())").await;
    let pool = h.raw_pool();
    let mut gate = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM tenants WHERE id = 'gate' FOR UPDATE").execute(&mut *gate).await.unwrap();
    let store = h.store.clone();
    let second = tokio::spawn(async move { store.outbox_take(10, LEASE).await.unwrap() });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')
                   AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = $1)";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while sqlx::query_scalar::<_, i64>(waiting).bind(h.name()).fetch_one(&mut *gate).await.unwrap() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "nobody waits at the gate");
        tokio::task::yield_now().await;
    }
    assert!(h.store.outbox_resolve(&first, Resolution::SendAgain, "anna").await.unwrap());
    assert!(h.store.outbox_take(10, LEASE).await.unwrap().is_empty(), "its lane is being taken");
    gate.commit().await.unwrap();
    assert_eq!(second.await.unwrap()[0].id, command_of("a", 1));
    assert!(h.store.outbox_take(10, LEASE).await.unwrap().is_empty(), "its lane is under way");
    super::outbox::end(&h, &command_of("a", 1), CommandEndState::Sent { vendor_id: None }).await;
    assert_eq!(h.store.outbox_take(10, LEASE).await.unwrap()[0].id, first);
    h.finish().await;
}

/// A call is found by its name, however the planner was fooled: by a plan that was kept when the table was empty, or by
/// the index of calls under way, which looks short and is full of dead entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_found_by_its_name_on_a_table_that_grows() {
    let h = Harness::postgres().await;
    h.execute("ALTER TABLE llm_journal SET (autovacuum_enabled = false)").await;
    let call = async |group: std::ops::Range<usize>| {
        let events: Vec<String> = group.map(|n| format!("e{n}")).collect();
        let calls: Vec<_> = events.iter().map(|event| call_start(event, 1)).collect();
        h.store.journal_begin(&calls).await.unwrap();
        let ends: Vec<_> = events.iter().map(|event| answered(event, 1, "yes")).collect();
        h.store.journal_finish(&ends).await.unwrap();
    };
    for n in 0..200 {
        call(n..n + 1).await;
    }
    for n in 1..=10 {
        call(n * 1_000..n * 1_000 + 200).await;
    }
    h.store.close().await;
    let pool = h.raw_pool();
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while sqlx::query_scalar::<_, i64>(left).bind(h.name()).fetch_one(&pool).await.unwrap() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "connections stay open");
        tokio::task::yield_now().await;
    }
    let read = "SELECT (seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::bigint
         FROM pg_stat_user_tables t WHERE schemaname = $1 AND relname = 'llm_journal'";
    let read: i64 = sqlx::query_scalar(read).bind(h.name()).fetch_one(&pool).await.unwrap();
    assert!(read < 100_000, "{read} rows were looked at for 2200 calls");
    h.finish().await;
}
