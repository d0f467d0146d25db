//! HighLevel marketplace webhooks: messages, contacts, opportunities, installations.

use serde_json::Value;

use crate::{
    domain::{
        event::{Channel, CrmChange, CrmChangeKind, Fact, InboundMessage, Notice},
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        records::{MOST_PROPERTIES, Properties, changed, created, properties, readable},
        rejection::{Fault, mismatch},
    },
};

/// Records that we follow: the beginning of the type, and our name.
const OBJECTS: [(&str, &str); 2] = [("Contact", "contact"), ("Opportunity", "opportunity")];
/// Members that are not the record's own.
const NOT_PROPERTIES: [&str; 9] =
    ["type", "locationId", "companyId", "id", "timestamp", "webhookId", "appId", "versionId", "customFields"];
/// Ways on which a message is plain text. Others (e-mail, calls) keep the vendor's name.
const TEXT: [&str; 10] =
    ["SMS", "RCS", "WhatsApp", "IG", "FB", "GMB", "Live_Chat", "Live Chat", "WebChat", "Custom"];

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "gohighlevel",
    scheme: Some("gohighlevel"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

/// What every webhook has.
struct Common {
    name: String,
    account: String,
    id: String,
    at: Option<Timestamp>,
}

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(fields::body(reading.body).and_then(|body| draft(reading, body)))]
}

fn draft(reading: &Reading<'_>, body: Value) -> Result<Draft, Fault> {
    let common = common(&body)?;
    let (fact, order_key) = if common.name == "InboundMessage" {
        message(reading, &common, body)?
    } else if let Some((object, change)) = change(&common.name, &body)? {
        crm_change(reading, &common, (object, change), &body)?
    } else {
        notice(body)?
    };
    let mut draft = Draft::new(common.name, common.account.clone(), common.id, common.at, fact);
    draft.order_key = order_key.map(|of| format!("gohighlevel:{}:{of}", common.account));
    Ok(draft)
}

fn common(body: &Value) -> Result<Common, Fault> {
    let name = fields::text(body, "/type")?;
    let (location, company) =
        (fields::text_or_none(body, "/locationId")?, fields::text_or_none(body, "/companyId")?);
    let account = location
        .or(company)
        .ok_or_else(|| mismatch("/locationId", "text is required, here or at /companyId"))?;
    let at = occurred_at(&name, body)?;
    let id = match fields::text_or_none(body, "/webhookId")? {
        Some(id) => id,
        None => composite(&name, at, body)?,
    };
    Ok(Common { name, account, id, at })
}

/// `timestamp` is when the webhook was made; earlier shapes lack it. `dateAdded` is when the object was made, which
/// is the event's own time only where the making of the object is the event.
fn occurred_at(name: &str, body: &Value) -> Result<Option<Timestamp>, Fault> {
    let sent = fields::optional_rfc3339(body, "/timestamp")?;
    let is_making = name.ends_with("Create") || name.ends_with("Message");
    let made = if is_making { fields::optional_rfc3339(body, "/dateAdded")? } else { None };
    Ok(made.or(sent))
}

/// For earlier shapes, which have no `webhookId`. Where the object or the time is missing, two events of one object
/// are told apart by what they say.
fn composite(name: &str, at: Option<Timestamp>, body: &Value) -> Result<String, Fault> {
    let object = match message_id(body)? {
        Some(id) => Some(id),
        None => fields::text_or_none(body, "/id")?,
    };
    Ok(match (object, at) {
        (Some(object), Some(at)) => format!("{name}:{object}:{}", at.millis()),
        _ => format!("{name}:{}", fields::digest(body)),
    })
}

fn message_id(body: &Value) -> Result<Option<String>, Fault> {
    let (plain, email) =
        (fields::text_or_none(body, "/messageId")?, fields::text_or_none(body, "/emailMessageId")?);
    Ok(plain.or(email))
}

/// A message of a person, by the type alone: `direction` is known to contradict it.
fn message(reading: &Reading<'_>, common: &Common, body: Value) -> Result<(Fact, Option<String>), Fault> {
    let from = fields::text(&body, "/contactId")?;
    let way = fields::text_or_none(&body, "/messageType")?.unwrap_or_else(|| "unknown".to_owned());
    let is_text = TEXT.iter().any(|name| name.eq_ignore_ascii_case(&way));
    let fact = InboundMessage {
        channel: Channel::Gohighlevel,
        business_id: common.account.clone(),
        from: from.clone(),
        profile_name: None,
        vendor_id: message_id(&body)?.unwrap_or_else(|| common.id.clone()),
        message_type: if is_text { "text".to_owned() } else { way.to_ascii_lowercase() },
        text: fields::text_or_none(&body, "/body")?,
        choice: None,
        sent_at: common.at.unwrap_or(reading.received_at),
        raw: body,
    };
    Ok((Fact::InboundMessage(fact), Some(from)))
}

/// Which of our objects, and what was done to it; `None` for everything else.
fn change(name: &str, body: &Value) -> Result<Option<(&'static str, CrmChangeKind)>, Fault> {
    let found = OBJECTS.iter().find_map(|(prefix, object)| Some((*object, name.strip_prefix(prefix)?)));
    let Some((object, action)) = found else { return Ok(None) };
    let kind = match action {
        "Create" => created(Some(record(body)?)),
        "Delete" => CrmChangeKind::Deleted,
        _ if action.ends_with("Update") => changed(Some(record(body)?)),
        _ => return Ok(None),
    };
    Ok(Some((object, kind)))
}

fn crm_change(
    reading: &Reading<'_>,
    common: &Common,
    (object, change): (&str, CrmChangeKind),
    body: &Value,
) -> Result<(Fact, Option<String>), Fault> {
    let object_id = fields::text(body, "/id")?;
    let order = format!("{object}:{object_id}");
    let fact = CrmChange {
        system: VENDOR.name.to_owned(),
        object: object.to_owned(),
        object_id,
        change,
        at: common.at.unwrap_or(reading.received_at),
        tie: common.id.clone(),
    };
    Ok((Fact::CrmChange(fact), Some(order)))
}

/// The record's own members; custom fields each by their id.
fn record(body: &Value) -> Result<Properties, Fault> {
    let mut whole = properties(Some(body), &NOT_PROPERTIES, "")?.unwrap_or_default();
    let custom = fields::list(body, "/customFields")?;
    if whole.len() + custom.len() > MOST_PROPERTIES {
        return Err(mismatch("/customFields", "more properties than we keep"));
    }
    for (index, field) in custom.iter().enumerate() {
        let id = fields::text(field, "/id")
            .map_err(|(reason, detail)| (reason, format!("/customFields/{index}{detail}")))?;
        whole.insert(format!("customFields.{id}"), field.get("value").and_then(readable));
    }
    Ok(whole)
}

/// Installations, messages of ours, and whatever HighLevel thinks of next.
fn notice(body: Value) -> Result<(Fact, Option<String>), Fault> {
    let subject = match fields::text_or_none(&body, "/id")? {
        Some(id) => Some(id),
        None => fields::text_or_none(&body, "/contactId")?,
    };
    let notice = Notice { system: VENDOR.name.to_owned(), subject: subject.clone(), data: body };
    Ok((Fact::Notice(notice), subject))
}
