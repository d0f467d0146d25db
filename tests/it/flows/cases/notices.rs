//! Senders whose events are kept as they were told, or are jobs of our own.

use serde_json::json;

use super::{Case, Key, NAME, Proof, event, message_id};

pub(super) const CLERK: Case = Case {
    source: "clerk",
    vendor: "clerk",
    scheme: "svix",
    key: Key::Shared("whsec_aGFyYm91ci1zdml4LXNlY3JldC0wMTIzNDU2Nzg="),
    account: "ins_harbour",
    settings: "{}",
    proof: Proof::Bytes { timed: true },
    body: |told| {
        let data = json!({ "id": format!("user_{}", told.number), "first_name": NAME, "object": "user" });
        json!({
            "type": "user.created", "object": "event", "instance_id": "ins_harbour", "timestamp": told.at.millis(),
            "data": data,
        })
        .to_string()
        .into_bytes()
    },
    events: |told| vec![event(message_id(told), "user.created", "notice")],
    rows: |_| Vec::new(),
};

pub(super) const STANDARD_WEBHOOKS: Case = Case {
    source: "chats",
    vendor: "standard-webhooks",
    scheme: "standard-webhooks",
    key: Key::Shared("whsec_aGFyYm91ci1jaGF0cy1zZWNyZXQtMDEyMzQ1Njc="),
    account: "",
    settings: "{}",
    proof: Proof::Bytes { timed: true },
    body: |told| {
        let at = told.at.to_string();
        let usage = json!({ "uncached_input": 900, "cache_read": 100, "output": 50 });
        let data = json!({
            "chat_id": format!("chat-{}", told.number), "user": "u_1", "specialist": NAME, "provider": "openai",
            "model": "gpt-4o-mini", "usage": usage, "latency_ms": 700, "aborted": false, "ended_at": at,
        });
        json!({ "type": "longshore.chat.usage.v1", "timestamp": at, "data": data }).to_string().into_bytes()
    },
    events: |told| vec![event(message_id(told), "longshore.chat.usage.v1", "chat_usage")],
    rows: |told| {
        let key = format!("chats::{}", message_id(told));
        vec![format!(
            "llm_ledger WHERE event_key = '{key}' AND status = 'reported' AND specialist = '{NAME}'"
        )]
    },
};

pub(super) const GENERIC_SLACK: Case = Case {
    source: "generic-slack",
    vendor: "generic",
    scheme: "slack",
    key: Key::Shared("8f14e45fceea167a"),
    account: "T0HARBOUR",
    settings: r#"{ "fields": {
        "system": "slack", "id": ["/event_id"], "event_type": "/event/type", "time": "/event_time",
        "account": "/team_id", "subject": "/event/user"
    } }"#,
    proof: Proof::Bytes { timed: true },
    body: |told| {
        let inner = json!({ "type": "app_mention", "user": "U7", "text": NAME });
        json!({
            "event_id": format!("Ev{}", told.number), "event_time": told.at.seconds(), "team_id": "T0HARBOUR",
            "event": inner,
        })
        .to_string()
        .into_bytes()
    },
    events: |told| vec![event(format!("Ev{}", told.number), "app_mention", "notice")],
    rows: |_| Vec::new(),
};

pub(super) const GENERIC_STRIPE: Case = Case {
    source: "generic-stripe",
    vendor: "generic",
    scheme: "stripe",
    key: Key::Shared("whsec_not-base64-at-all"),
    account: "acct_harbour",
    settings: r#"{ "fields": {
        "system": "stripe", "id": ["/id"], "event_type": "/type", "time": "/created", "account": "/account",
        "subject": "/data/object/id"
    } }"#,
    proof: Proof::Bytes { timed: true },
    body: |told| {
        let object = json!({ "id": format!("in_{}", told.number), "customer_name": NAME });
        json!({
            "id": format!("evt_{}", told.number), "type": "invoice.paid", "created": told.at.seconds(),
            "account": "acct_harbour", "data": { "object": object },
        })
        .to_string()
        .into_bytes()
    },
    events: |told| vec![event(format!("evt_{}", told.number), "invoice.paid", "notice")],
    rows: |_| Vec::new(),
};
