//! Verdicts: committed under the ticket, or not at all.

use longshore::domain::{
    event::DeliveryState,
    outcome::{Failure, Fence, Outcome, Settled, Verdict},
    reason::Reason,
    record::Write,
};
use longshore::store::contract::Claim;

use super::{fixtures::*, harness::Harness};

/// One of every kind of row.
fn every_write() -> Vec<Write> {
    vec![
        contact("49170", vec![property("name", Some("Ann"), 0, "e1")]),
        conversation("acme/whatsapp/1555/49170", 0, Some("hi")),
        inbound("wamid.1", "hello"),
        result(serde_json::json!({ "intent": "buy" })),
        status("wamid.out", DeliveryState::Delivered, None),
        reported("reported-1", "a"),
    ]
}

pub(super) async fn done_writes_every_kind_of_row(h: &Harness) {
    let verdict = Verdict::Done(Outcome { writes: every_write(), commands: vec![message("l", "49170")] });
    settled(h, "a", verdict).await;
    let counts = h.store.table_counts().await.unwrap();
    for table in ["conversations", "messages", "results", "deliveries", "llm_ledger", "outbox"] {
        assert_eq!(counts[table], 1, "{table}");
    }
    assert_eq!(stored(h, "49170", "name").await.as_deref(), Some("Ann"));
    let past = h.store.event_history(&key("a")).await.unwrap().unwrap();
    assert_eq!((past.state.as_str(), past.tenant.as_str(), past.kind.as_str()), ("done", TENANT, "drill"));
    assert_eq!(past.results.len(), 1);
    assert_eq!(past.results[0]["body"], serde_json::json!({ "intent": "buy" }));
    assert_eq!(past.commands[0].id, command_of("a", 0).0);
    assert_eq!(past.audit.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["done"]);
    assert_eq!(claim(h, "a", true).await, Claim::Done);
}

pub(super) async fn who_lost_the_ticket_writes_nothing(h: &Harness) {
    let a = claimed(h, "a").await.held;
    h.elapse(LEASE * 2).await;
    let b = claimed(h, "a").await.held;
    let before = h.store.table_counts().await.unwrap();
    let late = [
        Verdict::Done(Outcome { writes: every_write(), commands: vec![message("l", "49170")] }),
        retry_in(h, MINUTE, true).await,
        defer_in(h, MINUTE, true).await,
        bury(Reason::InvalidOutput),
        Verdict::HandBack,
    ];
    for verdict in late {
        assert_eq!(settle_one(h, &a, verdict).await, Fence::Lost);
    }
    assert_eq!(h.store.table_counts().await.unwrap(), before);
    assert!(!h.store.settled_by(&a).await.unwrap());
    assert_eq!(settle_one(h, &b, done(every_write())).await, Fence::Committed);
    let after = h.store.table_counts().await.unwrap();
    assert_eq!(settle_one(h, &a, done(every_write())).await, Fence::Lost, "also after B finished");
    assert_eq!(settle_one(h, &b, done(every_write())).await, Fence::Lost, "a settlement counts once");
    assert_eq!(h.store.table_counts().await.unwrap(), after);
    assert!(h.store.settled_by(&b).await.unwrap());
    assert!(!h.store.settled_by(&a).await.unwrap());
}

pub(super) async fn a_group_commits_its_members_and_not_the_lost_one(h: &Harness) {
    let ids: Vec<String> = (0..7).map(|n| format!("g{n}")).collect();
    let held: Vec<_> = claim_all(h, &ids).await.into_iter().map(|work| work.held).collect();
    h.expire_lease(&key("g3")).await;
    claimed(h, "g3").await;
    let verdicts = vec![
        done(vec![result(serde_json::json!(1))]),
        retry_in(h, MINUTE, false).await,
        retry_in(h, MINUTE, true).await,
        done(every_write()),
        defer_in(h, MINUTE, true).await,
        bury(Reason::SchemaMismatch),
        Verdict::HandBack,
    ];
    let group: Vec<_> =
        held.into_iter().zip(verdicts).map(|(held, verdict)| Settled { held, verdict }).collect();
    let mut expected = vec![Fence::Committed; 7];
    expected[3] = Fence::Lost;
    assert_eq!(h.store.settle(&group).await.unwrap(), expected);
    let requests: Vec<_> = ids.iter().map(|id| request(id, false)).collect();
    let answers = h.store.claim(&requests, LEASE).await.unwrap();
    assert_eq!(answers[0], Claim::Done);
    assert!(matches!(answers[1], Claim::RetryAt(_)));
    assert_eq!(answers[2], Claim::Parked);
    assert!(matches!(answers[3], Claim::Busy(_)));
    assert_eq!(answers[4], Claim::Parked);
    assert_eq!(answers[5], Claim::Buried);
    assert!(matches!(answers[6], Claim::Mine(_)));
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!(
        (counts["results"], counts["messages"], counts["parked"], counts["dead_letters"]),
        (1, 0, 2, 1)
    );
}

pub(super) async fn panics_are_failures_and_counted_apart(h: &Harness) {
    let now = h.store.now().await.unwrap();
    let panicked = Verdict::Retry { at: now, failure: failure(Reason::HandlerPanic), park: false };
    settled(h, "a", panicked).await;
    let again = claimed(h, "a").await;
    assert_eq!((again.failures, again.panics, again.deferrals), (1, 1, 0));
}

pub(super) async fn handed_back_is_claimable_at_once_and_uncounted(h: &Harness) {
    let first = settled(h, "a", Verdict::HandBack).await;
    assert!(h.store.settled_by(&first).await.unwrap());
    let again = claimed(h, "a").await;
    assert_eq!((again.failures, again.panics, again.deferrals), (0, 0, 0));
    assert!(!again.suspect);
    assert!(again.held.ticket > first.ticket);
}

pub(super) async fn every_verdict_says_that_its_ticket_settled(h: &Harness) {
    let verdicts = [
        done(vec![]),
        retry_in(h, MINUTE, false).await,
        retry_in(h, MINUTE, true).await,
        defer_in(h, MINUTE, false).await,
        bury(Reason::Expired),
        Verdict::HandBack,
    ];
    for (n, verdict) in verdicts.into_iter().enumerate() {
        let id = format!("v{n}");
        let held = claimed(h, &id).await.held;
        assert!(!h.store.settled_by(&held).await.unwrap(), "{verdict:?}");
        assert_eq!(settle_one(h, &held, verdict.clone()).await, Fence::Committed);
        assert!(h.store.settled_by(&held).await.unwrap(), "{verdict:?}");
        let mut older = held.clone();
        older.ticket.0 -= 1;
        assert!(!h.store.settled_by(&older).await.unwrap(), "{verdict:?}");
    }
}

pub(super) async fn the_past_is_told_in_order(h: &Harness) {
    settled(h, "a", retry_in(h, MINUTE, false).await).await;
    h.elapse(MINUTE * 2).await;
    settled(h, "a", defer_in(h, MINUTE, true).await).await;
    h.elapse(MINUTE * 2).await;
    let wakes = h.store.wakes_due(10, MINUTE).await.unwrap();
    let woken = super::parking::woken(h, &wakes[0]).await;
    let refused = Failure { raw: Some("raw words".to_owned()), ..failure(Reason::LlmRefused) };
    assert_eq!(settle_one(h, &woken.held, Verdict::Bury(refused)).await, Fence::Committed);
    let past = h.store.event_history(&key("a")).await.unwrap().unwrap();
    assert_eq!(
        past.audit.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(),
        ["retry", "park", "bury"]
    );
    assert_eq!(past.reason.as_deref(), Some("llm_refused"));
    assert_eq!((past.failures, past.deferrals, past.ticket), (1, 1, 3));
    assert!(past.audit[2].detail.contains("what happened"), "{:?}", past.audit);
    assert!(past.audit.iter().all(|row| row.actor == "worker"));
    assert!(h.store.event_history(&key("nobody")).await.unwrap().is_none());
}

pub(super) async fn many_events_may_touch_one_entity(h: &Harness) {
    let ids: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    let group: Vec<_> = claim_all(h, &ids)
        .await
        .into_iter()
        .zip(0..)
        .map(|(work, n): (_, i64)| Settled {
            held: work.held,
            verdict: Verdict::Done(Outcome {
                writes: vec![
                    contact(
                        "49170",
                        vec![
                            property("name", Some(&format!("v{n}")), n, "e"),
                            property("name", Some("older in the same write"), n - 1, "a"),
                            property(&format!("own-{n}"), Some("x"), 0, "e"),
                        ],
                    ),
                    conversation("acme/whatsapp/1555/49170", n, Some(&format!("r{n}"))),
                    inbound("wamid.same", &format!("t{n}")),
                    status("wamid.out", DeliveryState::Sent, None),
                    status("wamid.out", DeliveryState::Read, None),
                    status("wamid.out", DeliveryState::Delivered, None),
                ],
                commands: vec![message("one lane", "49170"), message("one lane", "49170")],
            }),
        })
        .collect();
    assert!(h.store.settle(&group).await.unwrap().iter().all(|fence| *fence == Fence::Committed));
    assert_eq!(stored(h, "49170", "name").await.as_deref(), Some("v19"));
    assert_eq!(stored(h, "49170", "own-7").await.as_deref(), Some("x"));
    assert_eq!(h.delivery_state("wamid.out").await.as_deref(), Some("read"));
    let (last, intent) = h.conversation("acme/whatsapp/1555/49170").await.unwrap();
    assert_eq!((last, intent.as_deref()), (at(19), Some("r19")));
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!((counts["messages"], counts["conversations"], counts["deliveries"]), (1, 1, 1));
    assert_eq!(counts["outbox"], 40);
}
