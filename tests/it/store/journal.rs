//! What was paid is never forgotten and never paid again.

use std::{collections::BTreeSet, time::Duration};

use longshore::domain::{
    call::{Begun, CallResult, CallState, RecentAnswer},
    money::Money,
    outcome::{Failure, Verdict},
    reason::Reason,
    record::LedgerStatus,
};

use super::{fixtures::*, harness::Harness};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn a_call_is_sent_then_answered(h: &Harness) {
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    let sent = h.store.journal_find(&step("a")).await.unwrap();
    assert_eq!((sent.len(), sent[0].state, sent[0].attempt), (1, CallState::Sent, 1));
    assert!(!sent[0].overdue && sent[0].overdue_in <= MINUTE && sent[0].overdue_in > MINUTE / 2);
    assert_eq!((sent[0].provider.as_str(), sent[0].model.as_str()), ("openai", "gpt"));
    assert_eq!(sent[0].worst_cost, call_start("a", 1).worst_cost);
    h.elapse(MINUTE * 2).await;
    assert!(h.store.journal_find(&step("a")).await.unwrap()[0].overdue);
    h.store.journal_finish(&[answered("a", 1, "yes")]).await.unwrap();
    let entry = &h.store.journal_find(&step("a")).await.unwrap()[0];
    assert_eq!(
        (entry.state, entry.text.as_deref(), entry.rejected),
        (CallState::Answered, Some("yes"), false)
    );
    assert!(h.store.journal_find(&step("b")).await.unwrap().is_empty());
}

pub(super) async fn an_attempt_begins_once(h: &Harness) {
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    let mut other_revision = call_start("a", 1);
    other_revision.revision.0 = 1;
    let again = [call_start("b", 1), call_start("a", 1), call_start("b", 1), other_revision];
    let begun = h.store.journal_begin(&again).await.unwrap();
    assert_eq!(begun, [Begun::Written, Begun::Taken, Begun::Taken, Begun::Taken], "over all revisions");
    assert_eq!(h.store.journal_find(&step("b")).await.unwrap().len(), 1, "one that is there harms no other");
    assert_eq!(h.store.journal_find(&step("a")).await.unwrap()[0].revision.0, 0);
}

pub(super) async fn a_reserved_call_is_sent_within_its_time(h: &Harness) {
    let begun = h.store.journal_begin(&[reserved("a"), reserved("b"), call_start("c", 1)]).await.unwrap();
    assert_eq!(begun, [Begun::Written, Begun::Written, Begun::Written]);
    let entry = &h.store.journal_find(&step("a")).await.unwrap()[0];
    assert_eq!(
        (entry.state, entry.overdue, entry.hold),
        (CallState::Reserved, false, Some(Money(9_000_000)))
    );
    assert!(entry.overdue_in <= MINUTE / 2 + SECOND * 2 && entry.overdue_in > MINUTE / 4);
    let asked = [call_id("c"), call_id("a"), call_id("a"), call_id("nobody")];
    assert_eq!(h.store.journal_send(&asked).await.unwrap(), [false, true, false, false]);
    let entry = &h.store.journal_find(&step("a")).await.unwrap()[0];
    assert!(entry.state == CallState::Sent && entry.overdue_in > MINUTE / 2, "its own time has begun");
    h.elapse(MINUTE / 2).await;
    assert_eq!(h.store.journal_send(&[call_id("b")]).await.unwrap(), [false]);
    let entry = &h.store.journal_find(&step("b")).await.unwrap()[0];
    assert!(!entry.overdue && entry.overdue_in <= SECOND * 2, "a sending may be under way");
    h.elapse(SECOND * 2).await;
    assert!(h.store.journal_find(&step("b")).await.unwrap()[0].overdue, "another may buy it now");
}

pub(super) async fn what_lapsed_is_given_up_or_told(h: &Harness) {
    h.store.journal_begin(&[reserved("a"), call_start("b", 1), call_start("c", 1)]).await.unwrap();
    assert!(h.store.journal_lapsed(10).await.unwrap().is_empty());
    h.elapse(MINUTE / 2).await;
    assert!(h.store.journal_lapsed(10).await.unwrap().is_empty(), "a given up one is not to be ended");
    assert_eq!(h.store.journal_find(&step("a")).await.unwrap()[0].state, CallState::Failed);
    h.elapse(MINUTE).await;
    h.store.journal_begin(&[call_start("d", 1)]).await.unwrap();
    let lapsed = h.store.journal_lapsed(10).await.unwrap();
    let steps: BTreeSet<_> = lapsed.iter().map(|call| call.step.event.clone()).collect();
    assert_eq!(steps, BTreeSet::from([key("b"), key("c")]));
    assert_eq!((lapsed[0].tenant.clone(), lapsed[0].entry.state), (tenant(), CallState::Sent));
    assert!(lapsed[0].entry.overdue && lapsed[0].entry.worst_cost.is_some());
    assert_eq!(h.store.journal_lapsed(1).await.unwrap().len(), 1);
    h.store.journal_finish(&[answered("b", 1, "late"), answered("c", 1, "late")]).await.unwrap();
    assert!(h.store.journal_lapsed(10).await.unwrap().is_empty());
}

pub(super) async fn a_reserved_call_can_end_unsent(h: &Harness) {
    h.store.journal_begin(&[reserved("a")]).await.unwrap();
    let given_up = CallResult::Failed { detail: "no room".to_owned(), ledger: None };
    h.store.journal_finish(&[call_end("a", 1, given_up)]).await.unwrap();
    assert_eq!(h.store.journal_find(&step("a")).await.unwrap()[0].state, CallState::Failed);
    assert_eq!(h.store.journal_send(&[call_id("a")]).await.unwrap(), [false]);
}

pub(super) async fn an_equal_question_finds_the_newest_good_answer(h: &Harness) {
    let recent = async |tenant: &str, within: Duration| {
        let hash = step("a").input_hash;
        h.store.journal_recent(&tenant.into(), "reply", &hash, within).await.unwrap()
    };
    assert_eq!(recent(TENANT, MINUTE).await, None);
    for (id, text) in [("a", "first"), ("b", "second"), ("c", "rejected"), ("d", "")] {
        h.store.journal_begin(&[call_start(id, 1)]).await.unwrap();
        let end = match text {
            "" => call_end(id, 1, CallResult::Failed { detail: "503".to_owned(), ledger: None }),
            text => answered(id, 1, text),
        };
        h.store.journal_finish(&[end]).await.unwrap();
        h.shift_ended(Duration::from_secs(1)).await;
    }
    h.store.journal_reject(&step("c"), 1).await.unwrap();
    let expected = RecentAnswer { text: "second".to_owned(), ledger_id: "b-1".to_owned() };
    assert_eq!(recent(TENANT, MINUTE).await, Some(expected.clone()));
    assert_eq!(recent("another", MINUTE).await, None, "nobody sees another's answers");
    assert_eq!(recent(TENANT, Duration::MAX).await, Some(expected));
    h.shift_ended(MINUTE).await;
    assert_eq!(recent(TENANT, MINUTE).await, None);
}

pub(super) async fn finishing_twice_changes_nothing(h: &Harness) {
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    let end = answered("a", 1, "first");
    h.store.journal_finish(&[end.clone(), end.clone()]).await.unwrap();
    h.store.journal_finish(&[end]).await.unwrap();
    let late = CallResult::Failed { detail: "late".to_owned(), ledger: Some(ledger("late", "a")) };
    h.store.journal_finish(&[call_end("a", 1, late)]).await.unwrap();
    let entry = &h.store.journal_find(&step("a")).await.unwrap()[0];
    assert_eq!((entry.state, entry.text.as_deref()), (CallState::Answered, Some("first")));
    assert_eq!(h.store.table_counts().await.unwrap()["llm_ledger"], 1);
}

pub(super) async fn an_unknown_fate_is_charged_once(h: &Harness) {
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    let mut row = ledger("a-1", "a");
    row.status = LedgerStatus::Ambiguous;
    let lost = CallResult::Ambiguous { detail: "reset".to_owned(), ledger: row };
    h.store.journal_finish(&[call_end("a", 1, lost)]).await.unwrap();
    h.store.journal_finish(&[answered("a", 1, "late answer")]).await.unwrap();
    let entry = &h.store.journal_find(&step("a")).await.unwrap()[0];
    assert_eq!((entry.state, entry.text.as_deref()), (CallState::Ambiguous, None));
    let usage = h.store.usage(&Default::default()).await.unwrap();
    assert_eq!((usage[0].calls, usage[0].ambiguous), (1, 1));
}

pub(super) async fn a_failed_call_has_a_ledger_row_only_when_billed(h: &Harness) {
    h.store.journal_begin(&[call_start("a", 1), call_start("a", 2), call_start("a", 3)]).await.unwrap();
    let free = CallResult::Failed { detail: "503".to_owned(), ledger: None };
    let billed = CallResult::Failed { detail: "cut".to_owned(), ledger: Some(ledger("a-2", "a")) };
    let ends = [answered("a", 3, "yes"), call_end("a", 1, free), call_end("a", 2, billed)];
    h.store.journal_finish(&ends).await.unwrap();
    let entries = h.store.journal_find(&step("a")).await.unwrap();
    let states: Vec<_> = entries.iter().map(|entry| (entry.attempt, entry.state)).collect();
    assert_eq!(states, [(1, CallState::Failed), (2, CallState::Failed), (3, CallState::Answered)]);
    assert_eq!(h.store.table_counts().await.unwrap()["llm_ledger"], 2);
    let past = h.store.event_history(&key("a")).await.unwrap();
    assert!(past.is_none(), "the journal alone makes no event");
}

pub(super) async fn the_journal_is_not_fenced(h: &Harness) {
    claimed(h, "a").await;
    h.store.journal_begin(&[call_start("a", 1)]).await.unwrap();
    h.elapse(LEASE * 2).await;
    let second = claimed(h, "a").await;
    settle_one(h, &second.held, done(vec![])).await;
    h.store.journal_finish(&[answered("a", 1, "paid")]).await.unwrap();
    assert_eq!(h.store.journal_find(&step("a")).await.unwrap()[0].text.as_deref(), Some("paid"));
    let past = h.store.event_history(&key("a")).await.unwrap().unwrap();
    assert_eq!((past.calls.len(), past.calls[0].state.as_str()), (1, "answered"));
    assert_eq!((past.calls[0].input, past.calls[0].output), (123, 40));
    assert_eq!(past.calls[0].cost, ledger("x", "a").cost);
}

pub(super) async fn an_answer_can_be_rejected(h: &Harness) {
    h.store.journal_begin(&[call_start("a", 1), call_start("a", 2)]).await.unwrap();
    h.store.journal_finish(&[answered("a", 1, "bad"), answered("a", 2, "good")]).await.unwrap();
    h.store.journal_reject(&step("a"), 1).await.unwrap();
    let rejected: Vec<_> =
        h.store.journal_find(&step("a")).await.unwrap().iter().map(|entry| entry.rejected).collect();
    assert_eq!(rejected, [true, false]);
}

pub(super) async fn burying_an_unusable_answer_rejects_it(h: &Harness) {
    for (id, reason, spoiled) in
        [("a", Reason::InvalidOutput, true), ("b", Reason::LlmRefused, true), ("c", Reason::Expired, false)]
    {
        let held = claimed(h, id).await.held;
        h.store.journal_begin(&[call_start(id, 1)]).await.unwrap();
        h.store.journal_finish(&[answered(id, 1, "{}")]).await.unwrap();
        let failure = Failure { raw: Some("{}".to_owned()), ..failure(reason) };
        settle_one(h, &held, Verdict::Bury(failure)).await;
        let entry = &h.store.journal_find(&step(id)).await.unwrap()[0];
        assert_eq!((entry.rejected, entry.text.as_deref()), (spoiled, Some("{}")), "{reason}");
    }
}
