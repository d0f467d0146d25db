//! Outbound messages: SOAP with 1 to 100 notifications, each with the latest data of one record.

use roxmltree::Node;
use serde_json::{Value, json};

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Fact},
        salesforce_id::SalesforceId,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item},
        records::Properties,
        rejection::{Fault, mismatch},
        soap::{self, PLACE},
        vendors::salesforce::record::{SYSTEM, id, is_session, order_key, parse_time},
    },
};

/// Notifications of one body, by the vendor's word.
const MOST_ITEMS: usize = 100;
/// Compound fields: an address, a location.
const DEEPEST_FIELD: usize = 4;
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// One item for each notification. The envelope's `SessionId` is never looked at.
pub(super) fn items(body: &[u8], received_at: Timestamp) -> Result<Vec<Item>, Fault> {
    let document = soap::document(body)?;
    let message = soap::notifications(&document)?;
    let organization =
        id(&soap::text_of(message, PLACE, "OrganizationId")?, &format!("{PLACE}/OrganizationId"))?;
    let notifications: Vec<Node<'_, '_>> =
        soap::named(message, "Notification").take(MOST_ITEMS + 1).collect();
    if !(1..=MOST_ITEMS).contains(&notifications.len()) {
        return Err(mismatch(&format!("{PLACE}/Notification"), "1 to 100 are expected"));
    }
    let item = |(index, notification): (usize, Node<'_, '_>)| {
        let place = format!("{PLACE}/Notification[{index}]");
        let draft = event(organization.as_str(), notification, &place, received_at);
        let json = draft.is_err().then(|| as_json(notification, &place));
        Item { index: Some(index), json, draft }
    };
    Ok(notifications.into_iter().enumerate().map(item).collect())
}

fn event(
    organization: &str,
    notification: Node<'_, '_>,
    place: &str,
    received_at: Timestamp,
) -> Result<Draft, Fault> {
    let notification_id = id(&soap::text_of(notification, place, "Id")?, &format!("{place}/Id"))?;
    let record = record(notification, place)?;
    let place = format!("{place}/sObject");
    let object = object(record, &place)?;
    let record_id = record_id(record, &place)?;
    let mut properties = Properties::new();
    add_fields(record, "", &place, &mut properties)?;
    // The envelope has no time: only the record can tell.
    let told = ["LastModifiedDate", "SystemModstamp"]
        .into_iter()
        .find_map(|name| properties.get(name)?.as_deref().map(|text| (name, text)));
    let at = told.map(|(name, text)| parse_time(text.trim(), &format!("{place}/{name}"))).transpose()?;
    let order_key = order_key(organization, &object, record_id.as_str());
    let fact = Fact::CrmChange(CrmChange {
        system: SYSTEM.to_owned(),
        object,
        object_id: record_id.into(),
        change: CrmChangeKind::Changed(properties),
        at: at.unwrap_or(received_at),
        // Counted up by Salesforce.
        tie: notification_id.to_string(),
    });
    let mut draft = Draft::new("outbound_message", organization, format!("om:{notification_id}"), at, fact);
    draft.order_key = order_key;
    Ok(draft)
}

fn record<'a, 'i>(notification: Node<'a, 'i>, place: &str) -> Result<Node<'a, 'i>, Fault> {
    let mut found = soap::named(notification, "sObject");
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        _ => Err(mismatch(&format!("{place}/sObject"), "exactly one is expected")),
    }
}

/// `xsi:type="sf:Contact"`: the prefix is the sender's choice.
fn object(record: Node<'_, '_>, place: &str) -> Result<String, Fault> {
    let typed = record.attribute((SCHEMA_INSTANCE, "type")).unwrap_or_default().trim();
    let name = typed.rsplit(':').next().unwrap_or_default();
    if name.is_empty() {
        return Err(mismatch(&format!("{place}/@type"), "the name of an object is required"));
    }
    Ok(name.to_lowercase())
}

/// Some schemas write the id twice; then both must be the same.
fn record_id(record: Node<'_, '_>, place: &str) -> Result<SalesforceId, Fault> {
    let place = format!("{place}/Id");
    let mut ids = record.children().filter(|node| node.tag_name().name() == "Id");
    let first = ids.next().ok_or_else(|| mismatch(&place, "a record id is required"))?;
    let record_id = id(soap::text(first).trim(), &place)?;
    if ids.all(|other| id(soap::text(other).trim(), &place).as_ref() == Ok(&record_id)) {
        Ok(record_id)
    } else {
        Err(mismatch(&place, "two different ids"))
    }
}

/// Fields under their own names, whatever their prefix; parts of a compound one as `MailingAddress.City`.
fn add_fields(
    parent: Node<'_, '_>,
    prefix: &str,
    place: &str,
    properties: &mut Properties,
) -> Result<(), Fault> {
    if prefix.matches('.').count() >= DEEPEST_FIELD {
        return Err(mismatch(place, "a field is nested too deep"));
    }
    for field in parent.children().filter(Node::is_element) {
        let name = field.tag_name().name();
        if is_session(name) || (prefix.is_empty() && name == "Id") {
            continue;
        }
        let name = format!("{prefix}{name}");
        let nil = field.attribute((SCHEMA_INSTANCE, "nil")).map(str::trim);
        if matches!(nil, Some("true" | "1")) {
            properties.insert(name, None);
        } else if field.children().any(|child| child.is_element()) {
            add_fields(field, &format!("{name}."), place, properties)?;
        } else {
            properties.insert(name, Some(soap::text(field)));
        }
    }
    Ok(())
}

/// A notification that cannot be worked, for whoever mends it.
fn as_json(notification: Node<'_, '_>, place: &str) -> Value {
    let mut fields = Properties::new();
    for record in soap::named(notification, "sObject") {
        // What was read before it got too deep is shown.
        let _ = add_fields(record, "", place, &mut fields);
    }
    let ids = |parent: Node<'_, '_>| -> Vec<String> {
        parent.children().filter(|node| node.tag_name().name() == "Id").map(soap::text).collect()
    };
    let record_ids: Vec<String> = soap::named(notification, "sObject").flat_map(ids).collect();
    json!({ "Id": ids(notification), "sObject": { "Id": record_ids, "fields": fields } })
}
