//! WhatsApp Cloud API webhooks (Meta): messages of people and statuses of ours.

use serde_json::Value;

use crate::{
    domain::{
        event::{Channel, DeliveryState, DeliveryStatus, Fact, InboundMessage},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, mismatch},
    },
};

/// Most items of one body: Meta batches up to 1000 changes.
const MOST_ITEMS: usize = 1_000;

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "whatsapp",
    scheme: Some("meta-sha256"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    match fields::body(reading.body).and_then(|body| items(&body)) {
        Ok(items) => items,
        Err(fault) => Item::unreadable(fault),
    }
}

/// Every message and status of every change, in the order of the body. Changes of other fields than `messages`
/// (`account_update` ...) hold nothing for us, and neither do errors that speak of no message. A part that cannot be
/// read is refused alone.
fn items(body: &Value) -> Result<Vec<Item>, Fault> {
    if body.get("object").and_then(Value::as_str) != Some("whatsapp_business_account") {
        return Err(mismatch("/object", "whatsapp_business_account is expected"));
    }
    let mut found = Vec::new();
    for entry in fields::list(body, "/entry")? {
        match changes(entry) {
            Ok(changes) => changes.for_each(|(waba, change)| items_of_change(&waba, change, &mut found)),
            Err(fault) => refuse(entry, within("/entry", fault), &mut found),
        }
    }
    if found.len() > MOST_ITEMS {
        return Err((Reason::PayloadMalformed, format!("more than {MOST_ITEMS} items in one body")));
    }
    Ok(found)
}

/// The changes of an entry that hold messages or statuses, each with the business account.
fn changes(entry: &Value) -> Result<impl Iterator<Item = (String, &Value)>, Fault> {
    let waba = fields::text(entry, "/id");
    let of_messages = |change: &&Value| change.get("field").and_then(Value::as_str) == Some("messages");
    let changes: Vec<_> = fields::list(entry, "/changes")?.iter().filter(of_messages).collect();
    let waba = if changes.is_empty() { String::new() } else { waba? };
    Ok(changes.into_iter().map(move |change| (waba.clone(), change)))
}

fn items_of_change(waba: &str, change: &Value, found: &mut Vec<Item>) {
    let empty = Value::Null;
    let value = change.get("value").unwrap_or(&empty);
    let lists = fields::list(value, "/messages").and_then(|m| Ok((m, fields::list(value, "/statuses")?)));
    let (messages, statuses) = match lists {
        Ok(lists) => lists,
        Err(fault) => return refuse(change, within("/entry/changes/value", fault), found),
    };
    let phone = fields::text(value, "/metadata/phone_number_id");
    let drafts = messages
        .iter()
        .map(|item| (item, phone.clone().and_then(|phone| message(waba, &phone, value, item))))
        .chain(
            statuses.iter().map(|item| (item, phone.clone().and_then(|phone| status(waba, &phone, item)))),
        );
    for (item, draft) in drafts {
        found.push(Item { index: Some(found.len()), json: Some(item.clone()), draft });
    }
}

fn refuse(part: &Value, fault: Fault, found: &mut Vec<Item>) {
    found.push(Item { index: Some(found.len()), json: Some(part.clone()), draft: Err(fault) });
}

fn within(place: &str, (reason, detail): Fault) -> Fault {
    (reason, format!("{place}{detail}"))
}

fn message(waba: &str, phone: &str, value: &Value, item: &Value) -> Result<Draft, Fault> {
    let id = fields::text(item, "/id")?;
    let from = fields::text(item, "/from")?;
    let sent_at = fields::unix_seconds(item, "/timestamp")?;
    let message_type = fields::text(item, "/type")?;
    let (text, choice) = readable(&message_type, item);
    let fact = Fact::InboundMessage(InboundMessage {
        channel: Channel::Whatsapp,
        business_id: phone.to_owned(),
        from: from.clone(),
        profile_name: profile_name(value, &from),
        vendor_id: id.clone(),
        message_type,
        text,
        choice,
        sent_at,
        raw: item.clone(),
    });
    Ok(draft("message", (waba, phone, &from), format!("msg:{id}"), sent_at, fact))
}

/// What a person can read of it, and the machine value of a choice. Types that we do not know have neither.
fn readable(message_type: &str, item: &Value) -> (Option<String>, Option<String>) {
    let at = |pointer: &str| fields::optional_text(item, pointer);
    match message_type {
        "text" => (at("/text/body"), None),
        "button" => (at("/button/text"), at("/button/payload")),
        "interactive" => (
            at("/interactive/button_reply/title").or_else(|| at("/interactive/list_reply/title")),
            at("/interactive/button_reply/id").or_else(|| at("/interactive/list_reply/id")),
        ),
        "image" | "video" | "document" => (at(&format!("/{message_type}/caption")), None),
        _ => (None, None),
    }
}

/// `contacts` is missing on some types and may hold several people.
fn profile_name(value: &Value, from: &str) -> Option<String> {
    value
        .get("contacts")?
        .as_array()?
        .iter()
        .find(|contact| contact.get("wa_id").and_then(Value::as_str) == Some(from))
        .and_then(|contact| fields::optional_text(contact, "/profile/name"))
        .filter(|name| !name.is_empty())
}

fn status(waba: &str, phone: &str, item: &Value) -> Result<Draft, Fault> {
    let id = fields::text(item, "/id")?;
    let name = fields::text(item, "/status")?;
    let recipient = fields::text(item, "/recipient_id")?;
    let at = fields::unix_seconds(item, "/timestamp")?;
    let state = match name.as_str() {
        "sent" => DeliveryState::Sent,
        "delivered" => DeliveryState::Delivered,
        "read" => DeliveryState::Read,
        "failed" => DeliveryState::Failed,
        _ => {
            return Err((
                Reason::UnknownType,
                "/status: a status that this release does not know".to_owned(),
            ));
        }
    };
    let fact = Fact::DeliveryStatus(DeliveryStatus {
        channel: Channel::Whatsapp,
        vendor_id: id.clone(),
        state,
        at,
        recipient: recipient.clone(),
        error_code: fields::id(item, "/errors/0/code").ok(),
        command_id: fields::optional_text(item, "/biz_opaque_callback_data"),
    });
    // A message has one id through all its states: only both together are unique.
    Ok(draft("status", (waba, phone, &recipient), format!("status:{id}:{name}"), at, fact))
}

fn draft(
    vendor_type: &str,
    (waba, phone, person): (&str, &str, &str),
    id: String,
    at: Timestamp,
    fact: Fact,
) -> Draft {
    let mut draft = Draft::new(vendor_type, format!("{waba}/{phone}"), id, Some(at), fact);
    draft.order_key = Some(format!("whatsapp:{phone}:{person}"));
    draft
}
