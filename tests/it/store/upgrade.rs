//! A database that worked before this release keeps what it holds.

use longshore::{
    domain::{call::CallState, command::CommandState, money::Money, record::LedgerStatus},
    store::contract::{LedgerQuery, SchemaState},
};

use super::{fixtures::*, harness::Empty};

/// The last step before budgets.
const BEFORE: i64 = 8;

pub(super) async fn a_filled_database_keeps_its_calls_and_commands(empty: &Empty) {
    empty.migrate_to(BEFORE).await;
    assert_eq!(empty.one.schema().await.unwrap(), SchemaState::Behind(vec!["0009_llm_money".to_owned()]));
    fill(empty).await;
    assert_eq!(empty.one.migrate().await.unwrap(), ["0009_llm_money"]);
    assert_eq!(empty.two.schema().await.unwrap(), SchemaState::Current);
    let store = &empty.one;
    let calls = store.journal_find(&step("a")).await.unwrap();
    let states: Vec<_> = calls.iter().map(|call| (call.attempt, call.state, call.text.as_deref())).collect();
    assert_eq!(
        states,
        [(1, CallState::Failed, None), (2, CallState::Answered, Some("yes")), (3, CallState::Sent, None)]
    );
    assert!(calls.iter().all(|call| call.worst_cost == Some(Money(9)) && call.hold.is_none()));
    let ledger = store.ledger(&LedgerQuery { limit: 10, ..LedgerQuery::default() }).await.unwrap();
    let rows: Vec<_> = ledger.iter().map(|row| (row.id.as_str(), row.status, row.usage.input())).collect();
    assert_eq!(
        rows,
        [
            ("l1", LedgerStatus::Failed, 6),
            ("l2", LedgerStatus::Answered, 6),
            ("l3", LedgerStatus::Reported, 6)
        ]
    );
    assert_eq!((ledger[0].user.as_deref(), ledger[0].latency_ms, &ledger[0].prompt), (Some("u"), 6, &None));
    let planned = store.outbox_list(Some(CommandState::Planned), 10).await.unwrap();
    assert_eq!(planned.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["c9", "c7"]);
    assert_eq!(store.outbox_take(1, LEASE).await.unwrap()[0].id.as_str(), "c7", "a lane keeps its order");
    assert_eq!(store.table_counts().await.unwrap()["results"], 1);

    // And it works on: the call under way ends, a new one begins.
    store.journal_finish(&[answered("a", 3, "late")]).await.unwrap();
    assert_eq!(store.journal_find(&step("a")).await.unwrap()[2].state, CallState::Answered);
    store.journal_begin(&[reserved("b")]).await.unwrap();
    assert_eq!(store.gauges().await.unwrap().calls, 1);
}

/// As the release before this one wrote it.
async fn fill(empty: &Empty) {
    let key = key("a");
    let hash = step("a").input_hash;
    let t = |seconds: i64| empty.time(1_790_000_000 + seconds);
    for (attempt, state, text) in [(1, "failed", "NULL"), (2, "answered", "'yes'"), (3, "sent", "NULL")] {
        empty
            .execute(&format!(
                "INSERT INTO llm_journal (event_key, step, input_hash, attempt, revision, tenant, state, provider,
                    model, worst_cost, sent_at, timeout_us, ended_at, text, detail, ledger_id)
                 VALUES ('{key}', 'reply', '{hash}', {attempt}, 0, 'acme', '{state}', 'openai', 'gpt', 9, {}, 60000000,
                    {}, {text}, NULL, 'l{attempt}')",
                t(0),
                t(attempt)
            ))
            .await;
    }
    for (id, status) in [("l1", "failed"), ("l2", "answered"), ("l3", "reported")] {
        empty
            .execute(&format!(
                "INSERT INTO llm_ledger (id, at, tenant, event_key, step, status, provider, requested_model,
                    served_model, uncached_input, cache_read, cache_write, output, reasoning, usage_source, cost,
                    price_version, latency_ms, chat_user, specialist, request_id)
                 VALUES ('{id}', {}, 'acme', '{key}', 'reply', '{status}', 'openai', 'gpt', NULL, 1, 2, 3, 4, 0,
                    'provider', 5, '2026-11-01', 6, 'u', 's', 'r')",
                t(0)
            ))
            .await;
    }
    for (seq, id) in [(7, "c7"), (9, "c9")] {
        empty
            .execute(&format!(
                "INSERT INTO outbox (seq, id, event_key, tenant, kind, lane, state, not_before, body, created_at,
                    updated_at)
                 VALUES ({seq}, '{id}', '{key}', 'acme', 'copy_dead_letter', 'lane', 'planned', {}, '{}', {}, {})",
                t(0),
                r#"{"tenant":"acme","correlation_id":"c","lane":"lane","expires_at":null,
                    "action":{"action":"copy_dead_letter","dead_letter":"d"}}"#,
                t(0),
                t(0)
            ))
            .await;
    }
    empty
        .execute(&format!(
            "INSERT INTO results (event_key, revision, kind, tenant, body, confidence, model, prompt, calls, created_at)
             VALUES ('{key}', 0, 'email_draft', 'acme', '{{}}', 0.5, 'gpt', 'draft@1', '[]', {})",
            t(0)
        ))
        .await;
}
