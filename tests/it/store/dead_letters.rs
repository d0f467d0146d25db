//! What could not be processed, and its second chance.

use std::time::Duration;

use longshore::{
    domain::{
        command::{Action, CommandEnd, CommandEndState},
        dead_letter::{DeadDelivery, DeadLetterFilter, DeadLetterKind, DeadLetterState},
        event::Event,
        ids::Revision,
        outcome::{Failure, Fence, Verdict},
        reason::Reason,
    },
    store::contract::{Claim, Replayed, Wake, WakeClaim, event_dead_letter_id},
};

use super::{fixtures::*, harness::Harness};

pub(super) fn all() -> DeadLetterFilter {
    DeadLetterFilter { limit: 100, closed: true, ..Default::default() }
}

fn open() -> DeadLetterFilter {
    DeadLetterFilter { limit: 100, ..Default::default() }
}

fn delivery(id: &str, reason: Reason) -> DeadDelivery {
    DeadDelivery {
        id: id.to_owned(),
        source: Some("whatsapp-main".to_owned()),
        reason,
        detail: "no key fits".to_owned(),
        body: "the whole body".to_owned(),
        attributes: serde_json::json!({ "longshore-form": { "text": "envelope.v1" } }),
        item: Some(serde_json::json!({ "n": 1 })),
    }
}

pub(super) async fn a_buried_event_is_kept_whole(h: &Harness) {
    let failure = Failure { raw: Some("raw words".to_owned()), ..failure(Reason::InvalidOutput) };
    settled(h, "a", Verdict::Bury(failure)).await;
    let letters = h.store.dead_letters(&open()).await.unwrap();
    let letter = &letters[0];
    assert_eq!(letter.id, event_dead_letter_id(&key("a"), Revision(0)));
    assert_eq!((letter.kind, letter.state), (DeadLetterKind::Event, DeadLetterState::Open));
    assert_eq!(
        (letter.reason, letter.detail.as_str(), letter.seen),
        (Reason::InvalidOutput, "what happened", 1)
    );
    assert_eq!((letter.source.as_deref(), letter.event_key.as_ref()), (Some("jobs"), Some(&key("a"))));
    assert_eq!(serde_json::from_str::<Event>(&letter.body).unwrap(), event("a"));
    assert_eq!(letter.extra, Some(serde_json::json!("raw words")));
    let copies = h.store.outbox_take(10, LEASE).await.unwrap();
    assert_eq!(copies[0].command.lane, format!("dlq/{}", letter.id));
    assert_eq!(copies[0].command.action, Action::CopyDeadLetter { dead_letter: letter.id.clone() });
    assert_eq!(h.store.gauges().await.unwrap().dead_letters["invalid_output"], 1);
}

pub(super) async fn a_second_burial_only_raises_seen(h: &Harness) {
    let twice = [delivery("hash-1", Reason::SigInvalid), delivery("hash-2#1", Reason::SchemaMismatch)];
    h.store.bury(&twice).await.unwrap();
    h.store.bury(&twice[..1]).await.unwrap();
    h.store.bury(&twice[..1]).await.unwrap();
    let letters =
        h.store.dead_letters(&DeadLetterFilter { ids: vec!["hash-1".to_owned()], ..open() }).await.unwrap();
    assert_eq!((letters.len(), letters[0].seen), (1, 3));
    assert_eq!((letters[0].body.as_str(), letters[0].kind), ("the whole body", DeadLetterKind::Delivery));
    assert_eq!(letters[0].attributes, delivery("x", Reason::SigInvalid).attributes);
    assert_eq!(letters[0].extra, Some(serde_json::json!({ "n": 1 })));
    assert!(letters[0].last_at >= letters[0].first_at);
    assert_eq!(h.store.table_counts().await.unwrap()["dead_letters"], 2);
    assert_eq!(h.store.table_counts().await.unwrap()["outbox"], 2, "one copy each");
}

pub(super) async fn the_same_delivery_twice_in_one_burial(h: &Harness) {
    h.store
        .bury(&[delivery("same", Reason::SigInvalid), delivery("same", Reason::SigInvalid)])
        .await
        .unwrap();
    let letters = h.store.dead_letters(&open()).await.unwrap();
    assert_eq!((letters.len(), letters[0].seen), (1, 2));
}

pub(super) async fn filters_narrow_the_list(h: &Harness) {
    let mut other = delivery("b", Reason::SigExpired);
    other.source = None;
    h.store.bury(&[delivery("a", Reason::SigInvalid)]).await.unwrap();
    h.store.bury(&[other]).await.unwrap();
    settled(h, "e", bury(Reason::Expired)).await;
    let ids = async |filter: DeadLetterFilter| {
        let found = h.store.dead_letters(&filter).await.unwrap();
        found.into_iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    let event_id = format!("{}@0", key("e"));
    assert_eq!(ids(open()).await, [event_id.as_str(), "b", "a"], "newest first");
    assert_eq!(ids(DeadLetterFilter { limit: 1, ..open() }).await, [event_id.as_str()]);
    assert_eq!(ids(DeadLetterFilter { reason: Some(Reason::SigExpired), ..open() }).await, ["b"]);
    assert_eq!(ids(DeadLetterFilter { source: Some("whatsapp-main".to_owned()), ..open() }).await, ["a"]);
    h.store.replay(&["a".to_owned()], "anna").await.unwrap();
    assert_eq!(ids(open()).await, [event_id.as_str(), "b"]);
    assert_eq!(ids(all()).await.len(), 3);
}

pub(super) async fn a_replayed_event_starts_afresh(h: &Harness) {
    settled(h, "a", retry_in(h, Duration::ZERO, false).await).await;
    let held = claimed(h, "a").await.held;
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    h.store.journal_finish(&[answered("a", 1, "kept")]).await.unwrap();
    assert_eq!(settle_one(h, &held, bury(Reason::AttemptsExhausted)).await, Fence::Committed);
    let id = event_dead_letter_id(&key("a"), Revision(0));
    let answers = h.store.replay(&[id.clone(), "nothing".to_owned()], "anna").await.unwrap();
    assert_eq!(answers, [Replayed::Event(key("a"), Revision(1)), Replayed::NotOpen]);
    assert_eq!(h.store.replay(&[id], "anna").await.unwrap(), [Replayed::NotOpen]);
    assert_eq!(claim(h, "a", true).await, Claim::Parked);
    let wake = Wake { key: key("a"), revision: Revision(1) };
    assert_eq!(h.store.wakes_due(10, MINUTE).await.unwrap().as_slice(), std::slice::from_ref(&wake));
    let mut answers = h.store.claim_wakes(&[wake], LEASE, true).await.unwrap();
    let WakeClaim::Mine(stored, work) = answers.remove(0) else { panic!("not mine") };
    assert_eq!(*stored, event("a"));
    assert_eq!(work.held.revision, Revision(1));
    assert!(work.held.ticket > held.ticket, "an older owner stays fenced out");
    assert_eq!((work.failures, work.deferrals, work.panics, work.lone_deaths), (0, 0, 0, 0));
    assert!(!work.suspect);
    assert_eq!(h.store.journal_find(&step("a")).await.unwrap()[0].text.as_deref(), Some("kept"));
    assert_eq!(settle_one(h, &work.held, planned(vec![message("l", "1")])).await, Fence::Committed);
    let past = h.store.event_history(&key("a")).await.unwrap().unwrap();
    let effects: Vec<_> = past.commands.iter().map(|command| command.id.as_str()).collect();
    assert_eq!(
        effects,
        [&format!("copy:{}@0:1", key("a")), &format!("{}@1#0", key("a"))],
        "the copy is one, too"
    );
    assert!(past.audit.iter().any(|row| row.action == "replay" && row.actor == "anna"), "{:?}", past.audit);
    assert_eq!(h.store.table_counts().await.unwrap()["replays"], 1);
}

pub(super) async fn buried_again_after_a_replay_is_another_letter(h: &Harness) {
    settled(h, "a", bury(Reason::Expired)).await;
    let first = event_dead_letter_id(&key("a"), Revision(0));
    h.store.replay(std::slice::from_ref(&first), "anna").await.unwrap();
    let wake = h.store.wakes_due(1, MINUTE).await.unwrap().remove(0);
    let work = super::parking::woken(h, &wake).await;
    settle_one(h, &work.held, bury(Reason::Expired)).await;
    let open: Vec<_> =
        h.store.dead_letters(&open()).await.unwrap().into_iter().map(|letter| letter.id).collect();
    assert_eq!(open, [event_dead_letter_id(&key("a"), Revision(1))]);
}

pub(super) async fn a_replayed_delivery_goes_back_on_the_queue(h: &Harness) {
    h.store.bury(&[delivery("hash-1", Reason::SigExpired)]).await.unwrap();
    assert!(!h.store.seal_known("none", "hash-1").await.unwrap());
    assert_eq!(h.store.replay(&["hash-1".to_owned()], "anna").await.unwrap(), [Replayed::Delivery]);
    assert!(h.store.seal_known("none", "hash-1").await.unwrap());
    let taken = h.store.outbox_take(10, LEASE).await.unwrap();
    let requeue = taken.iter().find(|taken| taken.command.lane == "requeue/hash-1").unwrap();
    assert_eq!(requeue.command.action, Action::Requeue { dead_letter: "hash-1".to_owned() });
    // It fails again: open once more, and can be replayed once more.
    h.store.bury(&[delivery("hash-1", Reason::SigExpired)]).await.unwrap();
    let letters = h.store.dead_letters(&open()).await.unwrap();
    assert_eq!((letters.len(), letters[0].seen), (1, 2));
    for taken in taken {
        let sent = CommandEndState::Sent { vendor_id: None };
        h.store.outbox_settle(&[CommandEnd { id: taken.id, tries: taken.tries, end: sent }]).await.unwrap();
    }
    assert_eq!(h.store.replay(&["hash-1".to_owned()], "anna").await.unwrap(), [Replayed::Delivery]);
    let again = h.store.outbox_take(10, LEASE).await.unwrap();
    assert!(again.iter().any(|taken| taken.command.lane == "requeue/hash-1"), "{again:?}");
}

/// Copies are harmless in any order: a flood of burials drains side by side.
pub(super) async fn copies_and_requeues_go_side_by_side(h: &Harness) {
    let ids: Vec<String> = (0..20).map(|n| format!("hash-{n}")).collect();
    let dead: Vec<_> = ids.iter().map(|id| delivery(id, Reason::SigExpired)).collect();
    h.store.bury(&dead).await.unwrap();
    for n in 0..5 {
        settled(h, &format!("e{n}"), bury(Reason::Expired)).await;
    }
    assert_eq!(h.store.outbox_take(100, LEASE).await.unwrap().len(), 25, "all copies at once");
    h.store.replay(&ids, "anna").await.unwrap();
    assert_eq!(h.store.outbox_take(100, LEASE).await.unwrap().len(), 20, "all requeues at once");
    // Of one letter the copies stay in order: a second waits for the first.
    h.store.bury(&dead[..1]).await.unwrap();
    assert!(h.store.outbox_take(100, LEASE).await.unwrap().is_empty());
}

pub(super) async fn a_replayed_command_is_carried_out_again_alone(h: &Harness) {
    settled(h, "a", planned(vec![message("l", "1")])).await;
    let id = command_of("a", 0);
    h.store.outbox_take(10, LEASE).await.unwrap();
    let refused = CommandEndState::Refused { code: "131047".to_owned(), detail: "window".to_owned() };
    let end = |tries| CommandEnd { id: id.clone(), tries, end: refused.clone() };
    h.store.outbox_settle(&[end(1)]).await.unwrap();
    let answers = h.store.replay(std::slice::from_ref(&id.0), "anna").await.unwrap();
    assert_eq!(answers, [Replayed::Command(id.clone())]);
    assert_eq!(h.store.replay(std::slice::from_ref(&id.0), "anna").await.unwrap(), [Replayed::NotOpen]);
    assert_eq!(claim(h, "a", true).await, Claim::Done, "the event stays done");
    let again = h.store.outbox_take(10, LEASE).await.unwrap();
    let again = again.iter().find(|taken| taken.id == id).expect("taken again");
    assert_eq!(again.command, message("l", "1"));
    h.store.outbox_settle(&[end(2)]).await.unwrap();
    let letters = h.store.dead_letters(&open()).await.unwrap();
    assert_eq!((letters.len(), letters[0].seen), (1, 2), "refused again: open again");
}
