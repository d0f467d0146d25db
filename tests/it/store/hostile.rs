//! Text that somebody else wrote: whatever it holds, it is stored or changed in a known way, never refused.

use longshore::{
    domain::{
        call::CallResult,
        command::{CommandEnd, CommandEndState},
        dead_letter::DeadDelivery,
        event::{Channel, Event, Fact, InboundMessage},
        outcome::{Failure, Fence, Outcome, Verdict},
        reason::Reason,
        record::{PropertyWrite, Write},
        timestamp::Timestamp,
    },
    store::contract::{ClaimRequest, Wake, WakeClaim},
};

use super::{fixtures::*, harness::Harness};

/// Quotes, patterns, escapes, right-to-left marks, emoji, control characters, a lone replacement mark.
const NASTY: &[&str] = &[
    "",
    "'; DROP TABLE inbox; --",
    "\"quoted\" \\ back \\u0000 slash \\\\u0000",
    "100%_{}[],NULL,\u{7f}\u{1}\u{1f}\r\n\t",
    "👩‍👩‍👧‍👦 \u{202e}rtl\u{202c} ﷽ \u{10ffff}\u{feff}\u{fffd}",
    "{\"a\":[1,2,{\"b\":null}]}",
];

fn nasty_event(id: &str, text: &str) -> Event {
    let fact = Fact::InboundMessage(InboundMessage {
        channel: Channel::Whatsapp,
        business_id: text.to_owned(),
        from: text.to_owned(),
        profile_name: Some(text.to_owned()),
        vendor_id: text.to_owned(),
        message_type: text.to_owned(),
        text: Some(text.to_owned()),
        choice: None,
        sent_at: at(0),
        raw: serde_json::json!({ text: [text, 1.5, -0.25, null, 9_007_199_254_740_993_i64] }),
    });
    Event { fact, account: text.to_owned(), ..event(id) }
}

/// Everything a handler can write, with this text wherever text is allowed.
fn nasty_outcome(text: &str) -> Outcome {
    let Write::Message(mut stored_message) = inbound(&format!("id {text}"), text) else { unreachable!() };
    stored_message.raw = serde_json::json!({ text: text });
    stored_message.message_type = text.to_owned();
    let mut row = ledger(&format!("ledger {text}"), text);
    row.user = Some(text.to_owned());
    row.request_id = Some(text.to_owned());
    let writes = vec![
        contact(text, vec![property(&format!("name {text}"), Some(text), 0, text)]),
        conversation(&format!("conversation {text}"), 0, Some(text)),
        Write::Message(stored_message),
        result(serde_json::json!({ text: text })),
        Write::Ledger(Box::new(row)),
    ];
    let mut command = message(&format!("lane {text}"), text);
    command.correlation_id = text.into();
    Outcome { writes, commands: vec![command] }
}

pub(super) async fn hostile_text_comes_back_as_it_was(h: &Harness) {
    let long = "ä€𝄞'\"\\".repeat(20_000);
    for (n, text) in NASTY.iter().copied().chain([long.as_str()]).enumerate() {
        let stored_event = nasty_event(&format!("{n} {}", text.chars().take(50).collect::<String>()), text);
        let claim = ClaimRequest {
            event: stored_event.clone(),
            seal: Some(text.chars().take(64).collect()),
            start: true,
        };
        let held = mine(h.store.claim(&[claim], LEASE).await.unwrap().remove(0)).held;
        // What stands in keys is short; what stands in values may be long.
        let short: String = text.chars().take(80).collect();
        assert_eq!(
            settle_one(h, &held, Verdict::Done(nasty_outcome(&short))).await,
            Fence::Committed,
            "{short}"
        );
        assert_eq!(stored(h, &short, &format!("name {short}")).await.as_deref(), Some(short.as_str()));
        let taken = h.store.outbox_take(10, LEASE).await.unwrap();
        assert_eq!(taken[0].command, nasty_outcome(&short).commands[0]);
        let detail = CommandEndState::Unknown { detail: text.to_owned() };
        h.store
            .outbox_settle(&[CommandEnd { id: taken[0].id.clone(), tries: 1, end: detail }])
            .await
            .unwrap();
        let past = h.store.event_history(&stored_event.key).await.unwrap().unwrap();
        assert_eq!(past.results[0]["body"], serde_json::json!({ short.as_str(): short }));
        assert_eq!(past.commands[0].detail.as_deref(), Some(text));
    }
}

pub(super) async fn long_values_are_kept_whole(h: &Harness) {
    let long = "ä€𝄞'\"\\\n".repeat(60_000);
    let stored_event = nasty_event("long", &long);
    let claim = ClaimRequest { event: stored_event.clone(), seal: None, start: true };
    let held = mine(h.store.claim(&[claim], LEASE).await.unwrap().remove(0)).held;
    h.store.journal_begin(&[call_start("long", 1)]).await.unwrap();
    h.store.journal_finish(&[answered("long", 1, &long)]).await.unwrap();
    assert_eq!(h.store.journal_find(&step("long")).await.unwrap()[0].text.as_deref(), Some(long.as_str()));
    let failure = Failure { detail: long.clone(), raw: Some(long.clone()), ..failure(Reason::InvalidOutput) };
    assert_eq!(settle_one(h, &held, Verdict::Bury(failure)).await, Fence::Committed);
    let letters = h.store.dead_letters(&super::dead_letters::all()).await.unwrap();
    assert_eq!(serde_json::from_str::<Event>(&letters[0].body).unwrap(), stored_event);
    assert_eq!(letters[0].extra, Some(serde_json::json!(long)));
    let write = contact("c", vec![property("p", Some(&long), 0, "e")]);
    settled(h, "w", done(vec![write])).await;
    assert_eq!(stored(h, "c", "p").await.as_deref(), Some(long.as_str()));
}

/// Postgres has no NUL in text. Both databases store U+FFFD in its place, so that it can neither wedge a
/// group nor cut a text short.
pub(super) async fn a_nul_becomes_a_replacement_mark(h: &Harness) {
    let text = "a\0b\\u0000";
    let clean = "a\u{fffd}b\\u0000";
    let claim =
        ClaimRequest { event: nasty_event("nul\0key", text), seal: Some(text.to_owned()), start: true };
    let held = mine(h.store.claim(&[claim], LEASE).await.unwrap().remove(0)).held;
    assert!(h.store.seal_known(text, "x").await.unwrap());
    let neighbour = claimed(h, "neighbour").await.held;
    h.store.journal_begin(&[call_start("nul\0key", 1)]).await.unwrap();
    h.store.journal_finish(&[answered("nul\0key", 1, text)]).await.unwrap();
    assert_eq!(h.store.journal_find(&step("nul\0key")).await.unwrap()[0].text.as_deref(), Some(clean));
    let group = [
        longshore::domain::outcome::Settled { held: neighbour, verdict: done(vec![]) },
        longshore::domain::outcome::Settled {
            held: held.clone(),
            verdict: Verdict::Done(nasty_outcome(text)),
        },
    ];
    assert_eq!(h.store.settle(&group).await.unwrap(), [Fence::Committed; 2]);
    assert!(h.store.settled_by(&held).await.unwrap());
    assert_eq!(stored(h, text, &format!("name {text}")).await.as_deref(), Some(clean));
    let taken = h.store.outbox_take(10, LEASE).await.unwrap();
    assert_eq!(taken[0].command, nasty_outcome(clean).commands[0]);
    let refused = CommandEndState::Refused { code: text.to_owned(), detail: text.to_owned() };
    h.store.outbox_settle(&[CommandEnd { id: taken[0].id.clone(), tries: 1, end: refused }]).await.unwrap();
    let past = h.store.event_history(&key("nul\0key")).await.unwrap().unwrap();
    assert_eq!(past.results[0]["body"], serde_json::json!({ clean: clean }));
    assert_eq!(past.commands[0].state, "refused");
}

pub(super) async fn a_nul_can_be_buried_and_replayed(h: &Harness) {
    let text = "a\0b";
    let dead = DeadDelivery {
        id: "hash".to_owned(),
        source: Some(text.to_owned()),
        reason: Reason::EnvelopeMalformed,
        detail: text.to_owned(),
        body: text.to_owned(),
        attributes: serde_json::json!({ text: { "text": text } }),
        item: Some(serde_json::json!(text)),
    };
    h.store.bury(&[dead]).await.unwrap();
    let letters = h.store.dead_letters(&super::dead_letters::all()).await.unwrap();
    assert_eq!(
        (letters[0].body.as_str(), &letters[0].extra),
        ("a\u{fffd}b", &Some(serde_json::json!("a\u{fffd}b")))
    );
    let claim = ClaimRequest { event: nasty_event("e", text), seal: None, start: true };
    let held = mine(h.store.claim(&[claim], LEASE).await.unwrap().remove(0)).held;
    let failure =
        Failure { detail: text.to_owned(), raw: Some(text.to_owned()), ..failure(Reason::LlmRefused) };
    settle_one(h, &held, Verdict::Bury(failure)).await;
    h.store.replay(&[format!("{}@0", key("e"))], text).await.unwrap();
    let wake = Wake { key: key("e"), revision: longshore::domain::ids::Revision(1) };
    let mut answers = h.store.claim_wakes(&[wake], LEASE, true).await.unwrap();
    let WakeClaim::Mine(stored, _) = answers.remove(0) else { panic!("not mine") };
    assert_eq!(*stored, nasty_event("e", "a\u{fffd}b"));
}

pub(super) async fn a_failed_call_with_any_detail_is_recorded(h: &Harness) {
    for (n, text) in NASTY.iter().chain(&["a\0b"]).enumerate() {
        let id = format!("f{n}");
        h.store.journal_begin(&[call_start(&id, 1)]).await.unwrap();
        let end = CallResult::Failed { detail: (*text).to_owned(), ledger: None };
        h.store.journal_finish(&[call_end(&id, 1, end)]).await.unwrap();
        let state = h.store.journal_find(&step(&id)).await.unwrap()[0].state;
        assert_eq!(state, longshore::domain::call::CallState::Failed);
    }
}

pub(super) async fn times_beyond_the_calendar_do_not_wedge(h: &Harness) {
    let (never, long_ago) = (Timestamp(i64::MAX), Timestamp(i64::MIN));
    let stored_event = Event { received_at: long_ago, expires_at: Some(never), ..event("a") };
    let claim = ClaimRequest { event: stored_event.clone(), seal: None, start: true };
    let held = mine(h.store.claim(&[claim], LEASE).await.unwrap().remove(0)).held;
    let mut command = message("l", "1");
    command.expires_at = Some(never);
    let change = |value: &str, at| PropertyWrite { at, ..property("p", Some(value), 0, "e") };
    let writes =
        vec![contact("c", vec![change("late", never)]), contact("c", vec![change("early", long_ago)])];
    let outcome = Outcome { writes, commands: vec![command.clone()] };
    assert_eq!(settle_one(h, &held, Verdict::Done(outcome)).await, Fence::Committed);
    assert_eq!(stored(h, "c", "p").await.as_deref(), Some("late"));
    let taken = h.store.outbox_take(1, LEASE).await.unwrap();
    assert_eq!(taken[0].command, command, "it has not expired");
    let at_last = Verdict::Retry { at: never, failure: failure(Reason::HandlerFailed), park: true };
    settled(h, "b", at_last).await;
    assert!(h.store.wakes_next().await.unwrap().unwrap() > MINUTE);
    settled(h, "d", Verdict::Retry { at: long_ago, failure: failure(Reason::HandlerFailed), park: false })
        .await;
    assert_eq!(claimed(h, "d").await.failures, 1);
}
