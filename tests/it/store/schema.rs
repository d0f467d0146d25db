//! The schema: brought up to date once, and told apart from somebody else's.

use longshore::store::contract::{SchemaState, StoreError};

use super::harness::{Empty, Harness};

pub(super) async fn an_empty_database_is_behind(empty: &Empty) {
    let SchemaState::Behind(missing) = empty.one.schema().await.unwrap() else { panic!("not behind") };
    assert!(!missing.is_empty());
    assert!(matches!(empty.one.schema().await.unwrap(), SchemaState::Behind(_)), "asking changes nothing");
    assert_eq!(empty.one.migrate().await.unwrap(), missing);
    assert_eq!(empty.one.schema().await.unwrap(), SchemaState::Current);
    assert!(empty.two.migrate().await.unwrap().is_empty());
}

pub(super) async fn two_migrators_at_once_apply_once(empty: &Empty) {
    let SchemaState::Behind(missing) = empty.one.schema().await.unwrap() else { panic!("not behind") };
    let (one, two) = tokio::join!(empty.one.migrate(), empty.two.migrate());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!((one == missing && two.is_empty()) || (two == missing && one.is_empty()), "{one:?} {two:?}");
    assert_eq!(empty.two.schema().await.unwrap(), SchemaState::Current);
}

pub(super) async fn a_missing_step_is_behind(h: &Harness) {
    assert_eq!(h.store.schema().await.unwrap(), SchemaState::Current);
    h.execute("DELETE FROM _sqlx_migrations WHERE version = 9").await;
    assert_eq!(h.store.schema().await.unwrap(), SchemaState::Behind(vec!["0009_llm_money".to_owned()]));
}

pub(super) async fn a_newer_step_is_foreign(h: &Harness) {
    h.execute("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 9").await;
    assert!(matches!(h.store.schema().await.unwrap(), SchemaState::Foreign(why) if why[0].contains("9999")));
    assert!(matches!(h.store.migrate().await, Err(StoreError::Schema(_))));
    assert!(matches!(h.store.migrate().await, Err(StoreError::Schema(_))), "and the lock is free again");
}

pub(super) async fn a_changed_step_is_foreign(h: &Harness) {
    let other = "(SELECT checksum FROM _sqlx_migrations WHERE version = 2)";
    h.execute(&format!("UPDATE _sqlx_migrations SET checksum = {other} WHERE version = 3")).await;
    let state = h.store.schema().await.unwrap();
    assert!(matches!(&state, SchemaState::Foreign(why) if why[0].contains("0003_records")), "{state:?}");
}

pub(super) async fn a_fresh_database_is_empty_and_answers(h: &Harness) {
    h.store.ping().await.unwrap();
    h.store.maintain().await.unwrap();
    h.store.maintain().await.unwrap();
    let counts = h.store.table_counts().await.unwrap();
    let tables = [
        "audit_log",
        "budget_windows",
        "budgets",
        "contact_properties",
        "contacts",
        "conversations",
        "dead_letters",
        "deliveries",
        "embeddings",
        "erasures",
        "events",
        "forgotten",
        "inbox",
        "llm_journal",
        "llm_ledger",
        "messages",
        "outbox",
        "parked",
        "replays",
        "results",
        "tenants",
    ];
    assert_eq!(counts.keys().map(String::as_str).collect::<Vec<_>>(), tables);
    assert!(counts.values().all(|rows| *rows == 0), "{counts:?}");
    assert_eq!(h.store.gauges().await.unwrap(), Default::default());
    assert!(h.store.outbox_next().await.unwrap().is_none());
    assert!(h.store.wakes_next().await.unwrap().is_none());
    assert!(h.store.usage(&Default::default()).await.unwrap().is_empty());
}

pub(super) async fn a_closed_store_says_so(h: &Harness) {
    h.store.close().await;
    assert!(matches!(h.store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(h.store.migrate().await, Err(StoreError::Unavailable(_))));
}
