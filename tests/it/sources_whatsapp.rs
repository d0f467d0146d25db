//! What WhatsApp says besides plain messages.

use longshore::domain::{
    event::{DeliveryState, Fact},
    reason::Reason,
};
use serde_json::{Value, json};

use crate::taking_apart::{items, of, only, place};

fn body(value: &Value) -> Value {
    json!({ "object": "whatsapp_business_account",
        "entry": [{ "id": "420001", "changes": [{ "field": "messages", "value": value }] }] })
}

fn value(more: &str, list: Value) -> Value {
    let mut value = json!({ "metadata": { "phone_number_id": "710001" } });
    value[more] = list;
    value
}

#[test]
fn wa_25_types_that_are_only_kept_have_no_text() {
    let system = json!({ "from": "1", "id": "wamid.s", "timestamp": "1795175000", "type": "system",
        "system": { "body": "User A changed from 1 to 2", "type": "user_changed_number", "wa_id": "2" } });
    let unsupported = json!({ "from": "1", "id": "wamid.u", "timestamp": "1795175000", "type": "unsupported",
        "errors": [{ "code": 131051, "title": "?" }] });
    let found = of("whatsapp", &body(&value("messages", json!([system, unsupported]))));
    for (seen, (name, kept)) in found.iter().zip([("system", &system), ("unsupported", &unsupported)]) {
        let seen = seen.as_ref().unwrap();
        let Fact::InboundMessage(message) = &seen.fact else { panic!("{seen:?}") };
        assert_eq!((seen.vendor_type.as_str(), message.message_type.as_str()), ("message", name));
        assert_eq!((&message.text, &message.choice, &message.raw), (&None, &None, kept));
    }
}

#[test]
fn wa_25_statuses_need_no_conversation_and_errors_alone_are_no_item() {
    let status = |code: Value| {
        json!({ "id": "wamid.o", "status": "failed", "timestamp": 1_795_175_000,
        "recipient_id": "1", "errors": [{ "code": code }] })
    };
    for (code, told) in
        [(json!(131_047), Some("131047")), (json!("131026"), Some("131026")), (json!([]), None)]
    {
        let seen = only(of("whatsapp", &body(&value("statuses", json!([status(code)]))))).unwrap();
        assert_eq!((seen.account.as_str(), seen.id.as_str()), ("420001/710001", "status:wamid.o:failed"));
        let Fact::DeliveryStatus(seen) = seen.fact else { panic!() };
        assert_eq!((seen.state, seen.error_code.as_deref()), (DeliveryState::Failed, told));
    }
    assert!(of("whatsapp", &body(&value("errors", json!([{ "code": 130_429 }])))).is_empty());
}

#[test]
fn wa_25_escapes_are_read_and_ids_are_kept_as_they_are() {
    let text = r#"{"object":"whatsapp_business_account","entry":[{"id":"420001","changes":[{"field":"messages","value":
        {"metadata":{"phone_number_id":"9007199254740993"},"messages":[{"from":"1","id":"wamid.a\/b+c==","timestamp":"1795175000",
        "type":"text","text":{"body":"caf\u00e9 \ud83d\ude42 a\/b"}}]}}]}]}"#;
    let seen = only(items("whatsapp", text.as_bytes(), |_| {})).unwrap();
    assert_eq!((seen.account.as_str(), seen.id.as_str()), ("420001/9007199254740993", "msg:wamid.a/b+c=="));
    let Fact::InboundMessage(message) = seen.fact else { panic!() };
    assert_eq!(message.text.as_deref(), Some("café 🙂 a/b"));
}

#[test]
fn rce_4a_a_part_that_cannot_be_read_is_refused_alone() {
    let good = value(
        "statuses",
        json!([{ "id": "w", "status": "read", "timestamp": "1795175000", "recipient_id": "1" }]),
    );
    let mut whole = body(&good);
    let entries = whole["entry"].as_array_mut().unwrap();
    entries.push(json!({ "id": 5, "changes": [{ "field": "messages", "value": good }] }));
    entries.push(json!({ "id": "420001", "changes": 7 }));
    entries.push(json!({ "changes": [{ "field": "account_update", "value": {} }] }));
    entries.push(json!({ "id": "420001", "changes": [{ "field": "messages", "value": { "messages": "x" } },
        { "field": "messages", "value": { "messages": [{}] } }, { "field": "messages", "value": good }] }));
    let found = of("whatsapp", &whole);
    let bad = Reason::SchemaMismatch;
    let refused: Vec<_> = found.iter().filter(|item| item.is_err()).map(place).collect();
    assert_eq!(
        refused,
        [
            (bad, "/entry/id"),
            (bad, "/entry/changes"),
            (bad, "/entry/changes/value/messages"),
            (bad, "/metadata/phone_number_id")
        ]
    );
    let accepted: Vec<_> = found.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, false, false, false, true]);
}
