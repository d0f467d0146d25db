//! Several workers at once on one database.

use std::{collections::BTreeMap, sync::Arc};

use longshore::{
    domain::{
        command::{CommandEnd, CommandEndState},
        event::DeliveryState,
        outcome::{Fence, Held, Settled},
    },
    store::contract::{Claim, Resolution, Store},
};

use super::{fixtures::*, harness::Harness};

/// Alternately the store under test and a second one, as another process would have.
async fn workers(h: &Harness, count: usize) -> Vec<Arc<dyn Store>> {
    let other = h.another().await;
    (0..count).map(|n| if n % 2 == 0 { h.store.clone() } else { other.clone() }).collect()
}

pub(super) async fn each_of_two_hundred_keys_is_claimed_once(h: &Harness) {
    let tasks: Vec<_> = workers(h, 8)
        .await
        .into_iter()
        .enumerate()
        .map(|(n, store)| {
            tokio::spawn(async move {
                let mut requests: Vec<_> = (0..200).map(|id| request(&format!("k{id}"), true)).collect();
                if n % 3 == 0 {
                    requests.reverse();
                }
                requests.rotate_left(n * 20);
                let mut mine = Vec::new();
                for part in requests.chunks(50) {
                    for claim in store.claim(part, LEASE).await.unwrap() {
                        match claim {
                            Claim::Mine(work) => mine.push(work.held.key),
                            Claim::Busy(_) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
                mine
            })
        })
        .collect();
    let mut owners: BTreeMap<_, usize> = BTreeMap::new();
    for task in tasks {
        for key in task.await.unwrap() {
            *owners.entry(key).or_default() += 1;
        }
    }
    assert_eq!(owners.len(), 200);
    assert!(owners.values().all(|count| *count == 1), "{owners:?}");
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!((counts["inbox"], counts["events"]), (200, 200));
}

pub(super) async fn a_lapsed_claim_has_one_heir(h: &Harness) {
    claimed(h, "a").await;
    h.elapse(LEASE * 2).await;
    let tasks: Vec<_> = workers(h, 8)
        .await
        .into_iter()
        .map(|store| {
            tokio::spawn(async move { store.claim(&[request("a", true)], LEASE).await.unwrap().remove(0) })
        })
        .collect();
    let mut heirs = 0;
    for task in tasks {
        match task.await.unwrap() {
            Claim::Mine(work) => {
                assert_eq!(work.held.ticket.0, 2);
                heirs += 1;
            }
            Claim::Busy(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heirs, 1);
}

pub(super) async fn a_wake_has_one_owner(h: &Harness) {
    settled(h, "a", defer_in(h, MINUTE, true).await).await;
    h.elapse(MINUTE * 2).await;
    let wake = h.store.wakes_due(1, MINUTE).await.unwrap().remove(0);
    let tasks: Vec<_> = workers(h, 8)
        .await
        .into_iter()
        .map(|store| {
            let wake = wake.clone();
            tokio::spawn(async move { store.claim_wakes(&[wake], LEASE, true).await.unwrap().remove(0) })
        })
        .collect();
    let mut owners = 0;
    for task in tasks {
        owners += usize::from(matches!(task.await.unwrap(), longshore::store::contract::WakeClaim::Mine(..)));
    }
    assert_eq!(owners, 1);
}

/// Members of one worker, each touching the same contacts, conversation and delivery in an order of its own.
fn members(held: Vec<Held>, worker: usize) -> Vec<Settled> {
    held.into_iter()
        .enumerate()
        .map(|(n, held)| {
            let version = (n * 8 + worker) as i64;
            let mut writes: Vec<_> = (0..10)
                .map(|c| {
                    let own = format!("w{worker}-{n}");
                    let changes = vec![
                        property("shared", Some(&version.to_string()), version, "e"),
                        property(&own, Some("x"), 0, "e"),
                    ];
                    contact(&format!("c{c}"), changes)
                })
                .collect();
            writes.push(conversation("one", version, Some(&version.to_string())));
            writes.push(status("wamid.one", DeliveryState::Delivered, None));
            writes.push(inbound("wamid.in", "same"));
            if worker.is_multiple_of(2) {
                writes.reverse();
            }
            Settled { held, verdict: done(writes) }
        })
        .collect()
}

pub(super) async fn groups_that_touch_the_same_rows_lose_nothing(h: &Harness) {
    let mut tasks = Vec::new();
    for (worker, store) in workers(h, 8).await.into_iter().enumerate() {
        let ids: Vec<String> = (0..20).map(|n| format!("w{worker}-{n}")).collect();
        let held: Vec<_> = claim_all(h, &ids).await.into_iter().map(|work| work.held).collect();
        tasks.push(tokio::spawn(async move {
            for group in members(held, worker).chunks(5) {
                let fences = store.settle(group).await.unwrap();
                assert!(fences.iter().all(|fence| *fence == Fence::Committed));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for c in 0..10 {
        let id = format!("c{c}");
        assert_eq!(stored(h, &id, "shared").await.as_deref(), Some("159"));
        for own in ["w0-0", "w3-7", "w7-19"] {
            assert_eq!(stored(h, &id, own).await.as_deref(), Some("x"));
        }
    }
    assert_eq!(h.conversation("one").await, Some((at(159), Some("159".to_owned()))));
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!((counts["contacts"], counts["contact_properties"], counts["messages"]), (10, 1610, 1));
}

pub(super) async fn rivals_for_one_ticket_commit_once(h: &Harness) {
    let ids: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    let held: Vec<_> = claim_all(h, &ids).await.into_iter().map(|work| work.held).collect();
    let tasks: Vec<_> = workers(h, 4)
        .await
        .into_iter()
        .enumerate()
        .map(|(worker, store)| {
            let mut group: Vec<_> = held
                .iter()
                .map(|held| Settled {
                    held: held.clone(),
                    verdict: done(vec![result(serde_json::json!(worker))]),
                })
                .collect();
            group.rotate_left(worker * 5);
            tokio::spawn(async move { store.settle(&group).await.unwrap() })
        })
        .collect();
    let mut committed = 0;
    for task in tasks {
        committed += task.await.unwrap().into_iter().filter(|fence| *fence == Fence::Committed).count();
    }
    assert_eq!(committed, 20);
    assert_eq!(h.store.table_counts().await.unwrap()["results"], 20);
}

/// Heads that are planned again, by a person and by a replay, while the next of their lanes is being taken.
pub(super) async fn a_lane_planned_again_while_it_is_taken_has_one_under_way(h: &Harness) {
    const LANES: usize = 60;
    let lanes = (0..LANES).map(|n| format!("lane-{n}"));
    settled(h, "a", planned(lanes.clone().map(|lane| message(&lane, "1")).collect())).await;
    settled(h, "b", planned(lanes.map(|lane| message(&lane, "1")).collect())).await;
    let refused = CommandEndState::Refused { code: "1".to_owned(), detail: "no".to_owned() };
    let unknown = CommandEndState::Unknown { detail: "reset".to_owned() };
    let taken = h.store.outbox_take(100, LEASE).await.unwrap();
    assert_eq!(taken.len(), LANES);
    let ends: Vec<_> = taken
        .iter()
        .enumerate()
        .map(|(n, taken)| {
            let end = if n % 2 == 0 { refused.clone() } else { unknown.clone() };
            CommandEnd { id: taken.id.clone(), tries: taken.tries, end }
        })
        .collect();
    h.store.outbox_settle(&ends).await.unwrap();
    let again: Vec<_> = taken.into_iter().map(|taken| taken.id).collect();
    let mut tasks = Vec::new();
    // Takers and those who plan again go through the lanes in the same order, side by side.
    for store in workers(h, 4).await {
        tasks.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..LANES {
                mine.extend(store.outbox_take(2, LEASE).await.unwrap());
            }
            mine
        }));
    }
    for (first, store) in workers(h, 3).await.into_iter().enumerate() {
        let again = again.clone();
        tasks.push(tokio::spawn(async move {
            for (n, id) in again.into_iter().enumerate().skip(first).step_by(3) {
                if n % 2 == 0 {
                    store.replay(&[id.0], "anna").await.unwrap();
                } else {
                    store.outbox_resolve(&id, Resolution::SendAgain, "anna").await.unwrap();
                }
            }
            Vec::new()
        }));
    }
    let mut under_way: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks {
        for taken in task.await.unwrap() {
            *under_way.entry(taken.command.lane).or_default() += 1;
        }
    }
    assert!(under_way.values().all(|count| *count == 1), "{under_way:?}");
}
