//! Rows that change: older never overwrites newer, whatever the order.

use std::collections::BTreeMap;

use longshore::{
    domain::{
        event::{Channel, DeliveryState},
        ids::TenantId,
        money::Money,
        outcome::{Fence, Settled},
        record::{LedgerStatus, PropertyWrite, StatusWrite, Write},
    },
    store::contract::{UsageFilter, UsageRow},
};
use proptest::prelude::*;
use serde_json::json;

use super::{fixtures::*, harness::Harness};

async fn write(h: &Harness, id: &str, writes: Vec<Write>) {
    settled(h, id, done(writes)).await;
}

pub(super) async fn the_greater_version_wins(h: &Harness) {
    let steps = [
        (property("p", Some("old"), 10, "b"), Some("old")),
        (property("p", Some("older"), 9, "z"), Some("old")),
        (property("p", Some("tie lost"), 10, "a"), Some("old")),
        (property("p", Some("same again"), 10, "b"), Some("old")),
        (property("p", Some("tie won"), 10, "c"), Some("tie won")),
        (property("p", None, 20, "a"), None),
        (property("p", Some("before the deletion"), 15, "z"), None),
        (property("p", Some("new"), 21, "a"), Some("new")),
    ];
    for (n, (change, expected)) in steps.into_iter().enumerate() {
        write(h, &format!("s{n}"), vec![contact("c", vec![change])]).await;
        assert_eq!(stored(h, "c", "p").await.as_deref(), expected, "step {n}");
    }
    assert_eq!(stored(h, "c", "other").await, None);
    assert_eq!(stored(h, "other", "p").await, None);
    let other: TenantId = "other".into();
    assert_eq!(h.store.contact_property(&other, "whatsapp", "c", "p").await.unwrap(), None);
}

pub(super) async fn ties_are_compared_byte_by_byte(h: &Harness) {
    // Upper before lower case, and no locale: both databases must agree on it.
    write(h, "1", vec![contact("c", vec![property("p", Some("lower"), 0, "a")])]).await;
    write(h, "2", vec![contact("c", vec![property("p", Some("upper"), 0, "B")])]).await;
    assert_eq!(stored(h, "c", "p").await.as_deref(), Some("lower"));
    write(h, "3", vec![contact("c", vec![property("p", Some("umlaut"), 0, "ä")])]).await;
    assert_eq!(stored(h, "c", "p").await.as_deref(), Some("umlaut"));
}

pub(super) async fn opting_out_is_a_property(h: &Harness) {
    assert!(!h.store.opted_out(&tenant(), "whatsapp", "1").await.unwrap());
    write(h, "1", vec![contact("1", vec![property("$opted_out", Some("true"), 5, "a")])]).await;
    assert!(h.store.opted_out(&tenant(), "whatsapp", "1").await.unwrap());
    write(h, "2", vec![contact("1", vec![property("$opted_out", Some("false"), 4, "a")])]).await;
    assert!(h.store.opted_out(&tenant(), "whatsapp", "1").await.unwrap(), "an older START");
    write(h, "3", vec![contact("1", vec![property("$opted_out", Some("false"), 6, "a")])]).await;
    assert!(!h.store.opted_out(&tenant(), "whatsapp", "1").await.unwrap());
}

pub(super) async fn a_conversation_keeps_its_newest_message_and_reading(h: &Harness) {
    let id = "acme/whatsapp/1555/49170";
    write(h, "1", vec![conversation(id, 10, Some("ten"))]).await;
    write(h, "2", vec![conversation(id, 5, Some("five"))]).await;
    assert_eq!(h.conversation(id).await, Some((at(10), Some("ten".to_owned()))));
    write(h, "3", vec![conversation(id, 20, None)]).await;
    assert_eq!(
        h.conversation(id).await,
        Some((at(20), Some("ten".to_owned()))),
        "unread: the last reading stays"
    );
    write(h, "4", vec![conversation(id, 30, Some("thirty"))]).await;
    assert_eq!(h.conversation(id).await, Some((at(30), Some("thirty".to_owned()))));
}

pub(super) async fn a_message_is_stored_once_as_it_was(h: &Harness) {
    write(h, "1", vec![inbound("wamid.1", "first"), inbound("wamid.1", "second")]).await;
    write(h, "2", vec![inbound("wamid.1", "third"), inbound("wamid.2", "other")]).await;
    assert_eq!(h.store.table_counts().await.unwrap()["messages"], 2);
    assert_eq!(h.message_text("wamid.1").await.as_deref(), Some("first"));
}

pub(super) async fn automatic_replies_can_be_switched(h: &Harness) {
    assert!(h.store.auto_replies(&tenant()).await.unwrap());
    h.store.set_auto_replies(&tenant(), false, "anna").await.unwrap();
    assert!(!h.store.auto_replies(&tenant()).await.unwrap());
    assert!(h.store.auto_replies(&"other".into()).await.unwrap());
    h.store.set_auto_replies(&tenant(), true, "anna").await.unwrap();
    assert!(h.store.auto_replies(&tenant()).await.unwrap());
    assert_eq!(h.store.table_counts().await.unwrap()["audit_log"], 2);
}

pub(super) async fn reported_usage_is_one_ledger_row(h: &Harness) {
    write(h, "1", vec![reported("chat-1", "1"), reported("chat-1", "1")]).await;
    write(h, "2", vec![reported("chat-1", "2")]).await;
    let usage = h.store.usage(&UsageFilter::default()).await.unwrap();
    assert_eq!((usage.len(), usage[0].calls), (1, 1));
}

pub(super) async fn usage_sums_are_exact(h: &Harness) {
    let mut rows = Vec::new();
    for n in 0..9_i64 {
        let mut row = ledger(&format!("l{n}"), "e");
        row.cost = (n != 4).then_some(Money(1_000_000_000_000_000 + n));
        row.at = at(if n < 3 { -86_400 } else { 0 });
        row.status = if n == 5 { LedgerStatus::Ambiguous } else { LedgerStatus::Answered };
        if n == 8 {
            row.tenant = "other".into();
            row.served_model = None;
        }
        rows.push(Write::Ledger(Box::new(row)));
    }
    write(h, "e", rows).await;
    let usage = h.store.usage(&UsageFilter::default()).await.unwrap();
    let day = |seconds| at(seconds).to_string()[..10].to_owned();
    let row = |tenant: &str, model: &str, seconds, calls: i64, ambiguous, unpriced, cost| UsageRow {
        tenant: tenant.to_owned(),
        prompt: "reply@1".to_owned(),
        model: model.to_owned(),
        day: day(seconds),
        calls,
        ambiguous,
        unpriced,
        input: 123 * calls,
        cached: 20 * calls,
        output: 40 * calls,
        cost: Money(cost),
    };
    let base = 1_000_000_000_000_000;
    let expected = [
        row(TENANT, "gpt-2026", -86_400, 3, 0, 0, 3 * base + 3),
        row(TENANT, "gpt-2026", 0, 5, 1, 1, 4 * base + 21),
        row("other", "gpt", 0, 1, 0, 0, base + 8),
    ];
    let by_name = |rows: Vec<UsageRow>| {
        rows.into_iter().map(|row| ((row.tenant.clone(), row.day.clone()), row)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(by_name(usage), by_name(expected.to_vec()));
    let only = UsageFilter { tenant: Some("other".to_owned()), ..Default::default() };
    assert_eq!(h.store.usage(&only).await.unwrap(), expected[2..]);
    let yesterday = UsageFilter { until: Some(at(0)), ..Default::default() };
    assert_eq!(h.store.usage(&yesterday).await.unwrap(), expected[..1]);
    let today = UsageFilter { from: Some(at(0)), tenant: Some(TENANT.to_owned()), until: None, prompt: None };
    assert_eq!(h.store.usage(&today).await.unwrap(), expected[1..2]);
}

/// Runs an asynchronous property for a few generated cases.
fn check<T: std::fmt::Debug>(
    cases: u32,
    strategy: impl Strategy<Value = T>,
    property: impl Fn(T) -> Result<(), TestCaseError>,
) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    tokio::task::block_in_place(|| {
        proptest::test_runner::TestRunner::new(config).run(&strategy, property).unwrap();
    });
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}

/// Distinct versions of three properties; the value follows from the version.
fn changes() -> impl Strategy<Value = Vec<PropertyWrite>> {
    let one = (0_usize..3, 0_i64..4, 0_usize..3);
    prop::collection::btree_set(one, 1..12).prop_map(|versions| {
        let change = |(name, seconds, tie): (usize, i64, usize)| {
            let value = format!("{seconds}/{tie}");
            let value = ((tie as i64 + seconds) % 3 != 0).then_some(value.as_str());
            property(["p", "q", "$deleted"][name], value, seconds, ["a", "b", "c"][tie])
        };
        versions.into_iter().map(change).collect()
    })
}

/// Writes the changes in groups of a few events, one change each.
async fn write_in_groups(h: &Harness, run: &str, id: &str, changes: &[PropertyWrite], size: usize) {
    let ids: Vec<String> = (0..changes.len()).map(|n| format!("{run}-{id}-{n}")).collect();
    let works = claim_all(h, &ids).await;
    let members: Vec<_> = works
        .into_iter()
        .zip(changes)
        .map(|(work, change)| Settled {
            held: work.held,
            verdict: done(vec![contact(id, vec![change.clone()])]),
        })
        .collect();
    for group in members.chunks(size) {
        assert!(h.store.settle(group).await.unwrap().iter().all(|fence| *fence == Fence::Committed));
    }
}

pub(super) async fn any_order_of_changes_ends_the_same(h: &Harness) {
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let orders = changes().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle(), 1_usize..5));
    check(24, orders, |(first, second, size)| {
        let run = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        block_on(async {
            let (one, two) = (format!("one-{run}"), format!("two-{run}"));
            write_in_groups(h, &run, &one, &first, size).await;
            write_in_groups(h, &run, &two, &second, 5 - size).await;
            for name in ["p", "q", "$deleted"] {
                let newest = first.iter().filter(|c| c.name == name).max_by_key(|c| (c.at, c.tie.clone()));
                let expected = newest.and_then(|change| change.value.clone());
                prop_assert_eq!(stored(h, &one, name).await, expected.clone());
                prop_assert_eq!(stored(h, &two, name).await, expected);
            }
            Ok(())
        })
    });
}

pub(super) async fn a_delivery_only_moves_forward(h: &Harness) {
    use DeliveryState::{Delivered, Failed, Read, Sent};
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let state = prop::sample::select(vec![Sent, Failed, Delivered, Read]);
    check(24, (prop::collection::vec(state, 1..7), 1_usize..4), |(states, size)| {
        let run = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = format!("wamid.{run}");
        block_on(async {
            let mut highest: Option<DeliveryState> = None;
            for (n, group) in states.chunks(size).enumerate() {
                let writes = group.iter().map(|state| status(&id, *state, None)).collect();
                write(h, &format!("{run}-{n}"), writes).await;
                highest = highest.max(group.iter().copied().max());
                let state = h.delivery_state(&id).await;
                prop_assert_eq!(state.as_deref(), highest.map(DeliveryState::name));
            }
            Ok(())
        })
    });
}

pub(super) async fn every_channel_and_state_of_a_delivery_is_kept(h: &Harness) {
    use DeliveryState::{Delivered, Failed, Queued, Read, Sent};
    for channel in Channel::ALL {
        let id = |state: DeliveryState| format!("{}-{}", channel.name(), state.name());
        for state in [Queued, Sent, Failed, Delivered, Read] {
            let write = |state| {
                let Write::DeliveryStatus(row) = status(&id(state), state, None) else { unreachable!() };
                Write::DeliveryStatus(StatusWrite { channel, ..row })
            };
            settled(h, &id(state), done(vec![write(state)])).await;
            assert_eq!(h.delivery_state(&id(state)).await.as_deref(), Some(state.name()));
        }
    }
    for (n, (state, expected)) in [
        (Queued, "queued"),
        (Sent, "sent"),
        (Queued, "sent"),
        (Delivered, "delivered"),
        (Queued, "delivered"),
    ]
    .into_iter()
    .enumerate()
    {
        settled(h, &format!("rank-{n}"), done(vec![status("one", state, None)])).await;
        assert_eq!(h.delivery_state("one").await.as_deref(), Some(expected), "step {n}");
    }
}

pub(super) async fn a_result_says_what_made_it_and_how_good_it_is(h: &Harness) {
    let mut write = result(json!({ "subject": "hello" }));
    let Write::Result(row) = &mut write else { panic!("a result") };
    (row.prompt_hash, row.quality, row.identical, row.truncated) =
        ("ab".repeat(32), Some(0.25), Some(true), true);
    settled(h, "a", done(vec![write])).await;
    settled(h, "b", done(vec![result(json!(1))])).await;
    let told =
        "SELECT concat_ws(' ', CAST(quality AS TEXT), CAST(identical AS TEXT), CAST(truncated AS TEXT),
                prompt_hash) FROM results WHERE event_key = $1";
    let says = async |id: &str| {
        h.told(told, key(id).as_str()).await.unwrap().replace("true", "1").replace("false", "0")
    };
    assert_eq!(says("a").await, format!("0.25 1 1 {}", "ab".repeat(32)));
    assert_eq!(says("b").await, "0.5 0 0");
}
