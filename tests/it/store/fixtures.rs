//! Events, rows and commands to feed a store with.

use std::time::Duration;

use longshore::{
    domain::{
        call::{CallEnd, CallId, CallResult, CallStart, Opens, StepKey},
        command::{Action, Command},
        event::{Channel, DeliveryState, Drill, Event, Fact},
        ids::{CommandId, CorrelationId, EventKey, Revision, SourceName, TenantId, sha256_hex},
        money::Money,
        outcome::{Failure, Fence, Held, Outcome, Settled, Verdict},
        reason::Reason,
        record::{
            ContactWrite, ConversationWrite, LedgerRow, LedgerStatus, MessageWrite, PropertyWrite, Reading,
            ResultWrite, StatusWrite, Write,
        },
        timestamp::Timestamp,
        usage::{Usage, UsageSource},
    },
    store::contract::{Claim, ClaimRequest, Work},
};

use super::harness::Harness;

pub(super) const LEASE: Duration = Duration::from_secs(60);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const TENANT: &str = "acme";

/// A fixed time for rows whose times are the sender's.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds)
}

pub(super) fn tenant() -> TenantId {
    TENANT.into()
}

pub(super) fn key(id: &str) -> EventKey {
    EventKey::new(&SourceName::from("jobs"), "account", id)
}

pub(super) fn event(id: &str) -> Event {
    Event {
        vendor_type: "rehearsal".to_owned(),
        key: key(id),
        source: "jobs".into(),
        account: "account".to_owned(),
        tenant: tenant(),
        occurred_at: Some(at(0)),
        received_at: at(1),
        due_at: None,
        expires_at: None,
        order_key: None,
        correlation_id: CorrelationId(format!("cor-{id}")),
        fact: Fact::Drill(Drill::Work { millis: 0 }),
    }
}

pub(super) fn request(id: &str, start: bool) -> ClaimRequest {
    ClaimRequest { event: event(id), seal: None, start }
}

/// Claims one event with its start and insists on getting it.
pub(super) async fn claimed(h: &Harness, id: &str) -> Work {
    mine(claim(h, id, true).await)
}

pub(super) async fn claim(h: &Harness, id: &str, start: bool) -> Claim {
    let mut answers = h.store.claim(&[request(id, start)], LEASE).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

pub(super) async fn claim_all(h: &Harness, ids: &[String]) -> Vec<Work> {
    let requests: Vec<_> = ids.iter().map(|id| request(id, true)).collect();
    h.store.claim(&requests, LEASE).await.unwrap().into_iter().map(mine).collect()
}

pub(super) fn mine(claim: Claim) -> Work {
    match claim {
        Claim::Mine(work) => work,
        other => panic!("expected Mine, got {other:?}"),
    }
}

pub(super) async fn settle_one(h: &Harness, held: &Held, verdict: Verdict) -> Fence {
    let group = [Settled { held: held.clone(), verdict }];
    let mut answers = h.store.settle(&group).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Claims, settles, and insists that it counted.
pub(super) async fn settled(h: &Harness, id: &str, verdict: Verdict) -> Held {
    let held = claimed(h, id).await.held;
    assert_eq!(settle_one(h, &held, verdict).await, Fence::Committed);
    held
}

pub(super) fn done(writes: Vec<Write>) -> Verdict {
    Verdict::Done(Outcome { writes, commands: vec![] })
}

pub(super) fn planned(commands: Vec<Command>) -> Verdict {
    Verdict::Done(Outcome { writes: vec![], commands })
}

pub(super) fn failure(reason: Reason) -> Failure {
    Failure::new(reason, "what happened")
}

pub(super) fn bury(reason: Reason) -> Verdict {
    Verdict::Bury(failure(reason))
}

pub(super) async fn retry_in(h: &Harness, wait: Duration, park: bool) -> Verdict {
    let at = h.store.now().await.unwrap().plus(wait);
    Verdict::Retry { at, failure: failure(Reason::HandlerFailed), park }
}

pub(super) async fn defer_in(h: &Harness, wait: Duration, park: bool) -> Verdict {
    let at = h.store.now().await.unwrap().plus(wait);
    Verdict::Defer { at, failure: failure(Reason::NotDue), park }
}

pub(super) fn message(lane: &str, to: &str) -> Command {
    Command {
        tenant: tenant(),
        correlation_id: "cor".into(),
        lane: lane.to_owned(),
        expires_at: None,
        action: Action::Message {
            channel: Channel::Whatsapp,
            business_id: "1555".to_owned(),
            to: to.to_owned(),
            text: "hello".to_owned(),
            reply_to: None,
            automatic: true,
        },
    }
}

/// The n-th command of a first revision.
pub(super) fn command_of(id: &str, position: usize) -> CommandId {
    CommandId(format!("{}@0#{position}", key(id)))
}

pub(super) fn property(name: &str, value: Option<&str>, seconds: i64, tie: &str) -> PropertyWrite {
    PropertyWrite {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        at: at(seconds),
        tie: tie.to_owned(),
    }
}

pub(super) fn contact(id: &str, properties: Vec<PropertyWrite>) -> Write {
    Write::Contact(ContactWrite {
        tenant: tenant(),
        system: "whatsapp".to_owned(),
        external_id: id.to_owned(),
        properties,
    })
}

pub(super) async fn stored(h: &Harness, id: &str, name: &str) -> Option<String> {
    h.store.contact_property(&tenant(), "whatsapp", id, name).await.unwrap()
}

pub(super) fn reading(intent: &str) -> Reading {
    Reading {
        intent: intent.to_owned(),
        lead_stage: "warm".to_owned(),
        sentiment: "good".to_owned(),
        reply: "hello".to_owned(),
        confidence: 0.5,
        language: "en".to_owned(),
    }
}

pub(super) fn conversation(id: &str, seconds: i64, intent: Option<&str>) -> Write {
    Write::Conversation(ConversationWrite {
        id: id.to_owned(),
        tenant: tenant(),
        channel: Channel::Whatsapp,
        business_id: "1555".to_owned(),
        contact: "49170".to_owned(),
        last_inbound_at: at(seconds),
        reading: intent.map(reading),
    })
}

pub(super) fn inbound(vendor_id: &str, text: &str) -> Write {
    Write::Message(MessageWrite {
        tenant: tenant(),
        channel: Channel::Whatsapp,
        vendor_id: vendor_id.to_owned(),
        conversation: "acme/whatsapp/1555/49170".to_owned(),
        message_type: "text".to_owned(),
        text: Some(text.to_owned()),
        raw: serde_json::json!({ "text": { "body": text } }),
        sent_at: at(0),
    })
}

pub(super) fn result(body: serde_json::Value) -> Write {
    Write::Result(ResultWrite {
        tenant: tenant(),
        kind: "message_reading".to_owned(),
        body,
        confidence: Some(0.75),
        model: "gpt".to_owned(),
        prompt: "reply@1".to_owned(),
        prompt_hash: "0".to_owned(),
        quality: Some(0.5),
        identical: None,
        truncated: false,
        calls: vec!["call-1".to_owned()],
    })
}

pub(super) fn status(vendor_id: &str, state: DeliveryState, command: Option<&CommandId>) -> Write {
    Write::DeliveryStatus(StatusWrite {
        channel: Channel::Whatsapp,
        vendor_id: vendor_id.to_owned(),
        state,
        at: at(i64::from(state.rank())),
        error_code: (state == DeliveryState::Failed).then(|| "131026".to_owned()),
        command_id: command.map(|id| id.0.clone()),
    })
}

pub(super) fn ledger(id: &str, event: &str) -> LedgerRow {
    LedgerRow {
        id: id.to_owned(),
        tenant: tenant(),
        at: at(0),
        event_key: key(event),
        step: "reply".to_owned(),
        status: LedgerStatus::Answered,
        provider: "openai".to_owned(),
        requested_model: "gpt".to_owned(),
        served_model: Some("gpt-2026".to_owned()),
        usage: Usage {
            uncached_input: 100,
            cache_read: 20,
            cache_write: 3,
            output: 40,
            reasoning: 5,
            cache_write_1h: 0,
        },
        usage_source: UsageSource::Provider,
        cost: Some(Money(1_234_567)),
        price_version: Some("2026-11-01".to_owned()),
        latency_ms: 321,
        user: Some("u1".to_owned()),
        specialist: None,
        request_id: Some("req-1".to_owned()),
        prompt: Some("reply@1".to_owned()),
        prompt_hash: Some("0".to_owned()),
        requested_tier: None,
        served_tier: None,
    }
}

/// A ledger row that another system reports.
pub(super) fn reported(id: &str, event: &str) -> Write {
    Write::Ledger(Box::new(ledger(id, event)))
}

pub(super) fn step(event: &str) -> StepKey {
    StepKey { event: key(event), step: "reply".to_owned(), input_hash: sha256_hex(&[b"input"]) }
}

pub(super) fn call_start(event: &str, attempt: i32) -> CallStart {
    CallStart {
        step: step(event),
        revision: Revision(0),
        attempt,
        tenant: tenant(),
        provider: "openai".to_owned(),
        model: "gpt".to_owned(),
        worst_cost: Some(Money(9_000_000)),
        hold: Some(Money(9_000_000)),
        opens: Opens::Sent,
        timeout: MINUTE,
    }
}

/// A first call that may stay reserved for half a minute.
pub(super) fn reserved(event: &str) -> CallStart {
    CallStart { opens: Opens::Reserved(MINUTE / 2), ..call_start(event, 1) }
}

pub(super) fn call_id(event: &str) -> CallId {
    CallId { step: step(event), attempt: 1 }
}

pub(super) fn call_end(event: &str, attempt: i32, end: CallResult) -> CallEnd {
    CallEnd { step: step(event), revision: Revision(0), attempt, charge: Money(1_234_567), end }
}

/// An answer with a ledger row of its own.
pub(super) fn answered(event: &str, attempt: i32, text: &str) -> CallEnd {
    let row = ledger(&format!("{event}-{attempt}"), event);
    call_end(event, attempt, CallResult::Answered { text: text.to_owned(), ledger: row })
}
