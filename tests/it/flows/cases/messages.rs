//! Senders of messages, and of what became of ours.

use serde_json::json;

use super::{Case, Key, NAME, Proof, contact, delivery, event, property, read_message};

const WABA: &str = "5501002003";
const PHONE: &str = "5504005006";

pub(super) const WHATSAPP: Case = Case {
    source: "whatsapp",
    vendor: "whatsapp",
    scheme: "meta-sha256",
    key: Key::Shared("a quay with 7 cranes"),
    account: "5501002003/5504005006",
    settings: "{}",
    proof: Proof::Bytes { timed: false },
    body: |told| {
        let (person, seconds) = (format!("3461200{:04}", told.number), told.at.seconds().to_string());
        let message = json!({
            "from": person, "id": format!("wamid.FLOW{}", told.number), "timestamp": seconds, "type": "text",
            "text": { "body": "¿Cuánto cuesta? \u{1f6a2}" },
        });
        let status = json!({
            "id": format!("wamid.SENT{}", told.number), "status": "delivered", "timestamp": seconds,
            "recipient_id": person,
        });
        let value = json!({
            "messaging_product": "whatsapp", "metadata": { "phone_number_id": PHONE },
            "contacts": [{ "profile": { "name": NAME }, "wa_id": person }],
            "messages": [message], "statuses": [status],
        });
        let change = json!({ "field": "messages", "value": value });
        let entry = json!({ "id": WABA, "changes": [change] });
        json!({ "object": "whatsapp_business_account", "entry": [entry] }).to_string().into_bytes()
    },
    events: |told| {
        vec![
            event(format!("msg:wamid.FLOW{}", told.number), "message", "inbound_message"),
            event(format!("status:wamid.SENT{}:delivered", told.number), "status", "delivery_status"),
        ]
    },
    rows: |told| {
        let (person, id) = (format!("3461200{:04}", told.number), format!("wamid.FLOW{}", told.number));
        let key = format!("whatsapp:{WABA}/{PHONE}:msg:{id}");
        let mut rows = read_message("whatsapp", &id, &key).to_vec();
        rows.push(contact("whatsapp", &person));
        rows.push(property("whatsapp", &person, "name", NAME));
        rows.push(delivery("whatsapp", &format!("wamid.SENT{}", told.number), "delivered"));
        rows
    },
};

pub(super) const GOHIGHLEVEL: Case = Case {
    source: "gohighlevel",
    vendor: "gohighlevel",
    scheme: "gohighlevel",
    key: Key::Pair("harbour-ed25519"),
    account: "loc_Pier9",
    settings: "{}",
    proof: Proof::Bytes { timed: false },
    body: |told| {
        let at = told.at.to_string();
        json!({
            "type": "InboundMessage", "locationId": "loc_Pier9", "contactId": format!("con_{}", told.number),
            "messageId": format!("ghl_{}", told.number), "webhookId": format!("hook_{}", told.number),
            "messageType": "SMS", "direction": "inbound", "body": "Are you open on Sunday?", "dateAdded": at,
            "timestamp": at, "conversationId": NAME,
        })
        .to_string()
        .into_bytes()
    },
    events: |told| vec![event(format!("hook_{}", told.number), "InboundMessage", "inbound_message")],
    rows: |told| {
        let key = format!("gohighlevel:loc_Pier9:hook_{}", told.number);
        let mut rows = read_message("gohighlevel", &format!("ghl_{}", told.number), &key).to_vec();
        rows.push(contact("gohighlevel", &format!("con_{}", told.number)));
        rows
    },
};

pub(super) const TWILIO: Case = Case {
    source: "twilio",
    vendor: "twilio",
    scheme: "twilio",
    key: Key::Shared("5c0a7e1d9b"),
    account: "AC0harbour",
    settings: "{}",
    proof: Proof::Form,
    body: |told| {
        format!(
            "ToCountry=ES&SmsStatus=received&MessageSid={}&AccountSid=AC0harbour&From=%2B3461300{:04}&To=%2B34900&\
             Body=Caf%C3%A9+%26+{NAME}%3F&NumMedia=0&ApiVersion=2010-04-01&Empty=",
            sid(told.number),
            told.number
        )
        .into_bytes()
    },
    events: |told| vec![event(sid(told.number), "inbound", "inbound_message")],
    rows: |told| {
        let key = format!("twilio:AC0harbour:{}", sid(told.number));
        let mut rows = read_message("sms", &sid(told.number), &key).to_vec();
        rows.push(contact("sms", &format!("+3461300{:04}", told.number)));
        rows
    },
};

fn sid(number: u64) -> String {
    format!("SM{number:032}")
}

pub(super) const SENDGRID: Case = Case {
    source: "sendgrid",
    vendor: "sendgrid",
    scheme: "sendgrid",
    key: Key::Pair("harbour-p256"),
    account: "mail-of-the-harbour",
    settings: "{}",
    // It signs a time, which its own libraries do not look at: retries may come a day later.
    proof: Proof::Bytes { timed: false },
    body: |told| {
        let of = |event: &str, letter: &str| {
            json!({
                "event": event, "email": "ines@example.test", "timestamp": told.at.seconds(),
                "sg_event_id": format!("sg-{letter}-{}", told.number),
                "sg_message_id": format!("mail-{}.filter0001.17.0", told.number), "tenant": "mail-of-the-harbour",
            })
        };
        let mut click = of("click", "c");
        click["useragent"] = json!(NAME);
        format!("{}\r\n", json!([of("delivered", "d"), click])).into_bytes()
    },
    events: |told| {
        vec![
            event(format!("sg-d-{}", told.number), "delivered", "delivery_status"),
            event(format!("sg-c-{}", told.number), "click", "notice"),
        ]
    },
    rows: |told| vec![delivery("email", &format!("mail-{}", told.number), "delivered")],
};
