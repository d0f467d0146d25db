//! WhatsApp's webhook bodies. All people and numbers are invented (555-01xx is kept free for that).

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        call::Call,
        workbench::{Draft, WABA, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        timestamp::Timestamp,
    },
    sources::sign::SignedMessage,
};

/// The source's name in the settings of `dev`.
pub(crate) const SOURCE: &str = "whatsapp";
/// Number of the tenant `acme`.
pub(crate) const ACME: &str = "106540352242922";
/// Number of the tenant `quiet`, whose automatic replies are off.
pub(crate) const QUIET: &str = "106540352242933";
/// Number of the tenant `standin`, whose model is the loopback stand-in.
pub(crate) const STANDIN: &str = "106540352242944";

/// A person writes: who, from where, when.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    /// Digits of the number.
    pub(crate) number: &'static str,
    /// The name that WhatsApp shows.
    pub(crate) name: &'static str,
}

/// Ada, who asks most of the questions.
pub(crate) const ADA: Person = Person { number: "15555550101", name: "Ada" };

/// Vendor's id of a message.
pub(crate) fn message_id(name: &str) -> String {
    format!("wamid.{name}")
}

/// Key of a message's event.
pub(crate) fn message_key(phone: &str, name: &str) -> EventKey {
    key(phone, &format!("msg:{}", message_id(name)))
}

/// Key of an event of this number.
pub(crate) fn key(phone: &str, id: &str) -> EventKey {
    EventKey::new(&SourceName::from(SOURCE), &format!("{WABA}/{phone}"), id)
}

/// A message object of this type, without what belongs to the type.
fn bare(person: Person, name: &str, at: Timestamp, message_type: &str) -> Value {
    json!({
        "from": person.number,
        "id": message_id(name),
        "timestamp": at.seconds().to_string(),
        "type": message_type,
    })
}

/// A text.
pub(crate) fn text(person: Person, name: &str, at: Timestamp, words: &str) -> Value {
    typed(person, name, at, "text", json!({ "body": words }))
}

/// A message of any type, with its object.
pub(crate) fn typed(person: Person, name: &str, at: Timestamp, message_type: &str, object: Value) -> Value {
    let mut message = bare(person, name, at, message_type);
    message[message_type] = object;
    message
}

/// A change with messages of one person.
pub(crate) fn messages(phone: &str, person: Person, messages: &[Value]) -> Value {
    json!({
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15555550100", "phone_number_id": phone },
            "contacts": [{ "profile": { "name": person.name }, "wa_id": person.number }],
            "messages": messages,
        }
    })
}

/// A change with statuses.
pub(crate) fn statuses(phone: &str, statuses: &[Value]) -> Value {
    json!({
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15555550100", "phone_number_id": phone },
            "statuses": statuses,
        }
    })
}

/// A whole body of these changes, each in an entry of its own.
pub(crate) fn body(changes: &[Value]) -> Vec<u8> {
    let entries: Vec<Value> =
        changes.iter().map(|change| json!({ "id": WABA, "changes": [change] })).collect();
    json!({ "object": "whatsapp_business_account", "entry": entries }).to_string().into_bytes()
}

/// A body for the edge.
pub(crate) fn posted(bench: &Workbench<'_>, id: &str, changes: &[Value]) -> anyhow::Result<Call> {
    bench.call(&draft(id, changes))
}

/// One text of one person, for the edge.
pub(crate) fn posted_text(
    bench: &Workbench<'_>,
    phone: &str,
    person: Person,
    name: &str,
    words: &str,
) -> anyhow::Result<Call> {
    let message = text(person, name, bench.ago(2), words);
    posted(bench, name, &[messages(phone, person, &[message])])
}

/// A signed body in an envelope.
pub(crate) fn sealed(bench: &Workbench<'_>, id: &str, changes: &[Value]) -> anyhow::Result<SignedMessage> {
    bench.vendor(&draft(id, changes))
}

/// The same, not signed yet.
pub(crate) fn draft<'a>(id: &'a str, changes: &[Value]) -> Draft<'a> {
    Draft { source: SOURCE, id, body: body(changes) }
}
