//! HubSpot webhooks: a list of 1 to 100 events, each with its own portal.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Erase, Fact},
        reason::Reason,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, mismatch},
    },
};

/// HubSpot sends up to 100 events in one body; beyond this it is not HubSpot's.
const MOST_ITEMS: usize = 1_000;
/// Objects that HubSpot names in `subscriptionType`.
const OBJECTS: [&str; 8] =
    ["contact", "company", "deal", "ticket", "product", "line_item", "object", "conversation"];

/// HubSpot's own objects by `objectTypeId`; custom ones begin with `2-`.
const OBJECT_TYPE_IDS: [(&str, &str); 6] = [
    ("0-1", "contact"),
    ("0-2", "company"),
    ("0-3", "deal"),
    ("0-5", "ticket"),
    ("0-7", "product"),
    ("0-8", "line_item"),
];

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "hubspot",
    scheme: Some("hubspot-v3"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    match fields::body(reading.body) {
        Ok(Value::Array(items)) if items.len() <= MOST_ITEMS => Item::each(items, event),
        Ok(body) if is_journal_answer(&body) => Vec::new(),
        Ok(_) => {
            Item::unreadable((Reason::PayloadMalformed, format!("not a list of at most {MOST_ITEMS} events")))
        }
        Err(fault) => Item::unreadable(fault),
    }
}

/// The answer to a poll of the journal: where the next file of events lies, and no event.
fn is_journal_answer(body: &Value) -> bool {
    ["url", "currentOffset"].iter().all(|name| body.get(name).is_some_and(Value::is_string))
}

fn event(item: &Value) -> Result<Draft, Fault> {
    if !item.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    let (vendor_type, told) = vendor_type(item)?;
    let (object, action) = object_and_action(&vendor_type, item)?;
    let portal = number(item, "/portalId")?;
    let at = fields::unix_millis(item, "/occurredAt")?;
    let object_id = object_id(item)?;
    // Events of the journal have none of these.
    let [app, subscription, event_id] = ["/appId", "/subscriptionId", "/eventId"].map(|pointer| match told {
        Told::Webhook => number(item, pointer),
        Told::Journal => Ok(number(item, pointer).unwrap_or_default()),
    });
    let event_id = event_id?;
    let last = match told {
        Told::Webhook => fields::optional_text(item, "/propertyName").unwrap_or_default(),
        Told::Journal => vendor_type.clone(),
    };
    // `eventId` alone is documented as not unique.
    let id =
        [app?, subscription?, event_id.clone(), object_id.clone(), at.millis().to_string(), last].join(":");
    let order_key = format!("hubspot:{portal}:{object}:{object_id}");
    let system = "hubspot".to_owned();
    let fact = match change(&vendor_type, action, item)? {
        Some(change) => {
            // Padded, so that ties are broken in the order of the numbers.
            let tie = format!("{event_id:0>20}");
            Fact::CrmChange(CrmChange { system, object, object_id, change, at, tie })
        }
        None => Fact::Erase(Erase { system, object, object_id }),
    };
    let mut draft = Draft::new(vendor_type, portal, id, Some(at), fact);
    draft.order_key = Some(order_key);
    Ok(draft)
}

/// How an event reached us.
#[derive(Clone, Copy)]
enum Told {
    Webhook,
    Journal,
}

/// Webhooks name `subscriptionType` (`contact.creation`), the journal `objectTypeId` and `action` (`CREATE`).
fn vendor_type(item: &Value) -> Result<(String, Told), Fault> {
    match (fields::text(item, "/subscriptionType"), fields::text(item, "/action")) {
        (Ok(whole), _) => Ok((whole, Told::Webhook)),
        (Err(_), Ok(action)) if item.get("subscriptionType").is_none() => {
            fields::text(item, "/objectTypeId")?;
            Ok((format!("object.{action}"), Told::Journal))
        }
        (Err(fault), _) => Err(fault),
    }
}

/// The generic `object.*` types tell the object apart: HubSpot's own by its usual name, custom ones by their id.
fn object_and_action<'a>(vendor_type: &'a str, item: &Value) -> Result<(String, &'a str), Fault> {
    let (object, action) = vendor_type
        .split_once('.')
        .filter(|(object, _)| OBJECTS.contains(object))
        .ok_or_else(unknown_type)?;
    let type_id = fields::optional_text(item, "/objectTypeId").filter(|_| object == "object");
    let known = |id: &str| OBJECT_TYPE_IDS.iter().find(|(known, _)| *known == id).map(|(_, name)| *name);
    let object =
        type_id.map_or_else(|| object.to_owned(), |id| known(&id).map_or_else(|| id.clone(), str::to_owned));
    Ok((object, action))
}

fn unknown_type() -> Fault {
    (Reason::UnknownType, "/subscriptionType: not one that this release knows".to_owned())
}

/// The record, or the one that is left of a merge, or both ends of an association.
fn object_id(item: &Value) -> Result<String, Fault> {
    if item.get("objectId").is_some_and(|id| !id.is_null()) {
        return number(item, "/objectId");
    }
    let primary = number(item, "/primaryObjectId").or_else(|_| number(item, "/newObjectId"));
    let ends = || Ok(format!("{}-{}", number(item, "/fromObjectId")?, number(item, "/toObjectId")?));
    primary.or_else(|_: Fault| ends()).or_else(|_: Fault| number(item, "/objectId"))
}

/// What was done to the record; `None`: it is to be forgotten.
fn change(vendor_type: &str, action: &str, item: &Value) -> Result<Option<CrmChangeKind>, Fault> {
    let change = match action {
        "creation" | "CREATE" => CrmChangeKind::Created,
        "deletion" | "DELETE" => CrmChangeKind::Deleted,
        "restore" | "RESTORE" => CrmChangeKind::Restored,
        "propertyChange" => CrmChangeKind::Changed(properties(item)?),
        "UPDATE" => CrmChangeKind::Stale,
        "merge"
        | "MERGE"
        | "associationChange"
        | "ASSOCIATION_ADDED"
        | "ASSOCIATION_REMOVED"
        | "newMessage" => CrmChangeKind::Other(vendor_type.to_owned()),
        "privacyDeletion" | "GDPR_DELETE" => return Ok(None),
        _ => return Err(unknown_type()),
    };
    Ok(Some(change))
}

/// An id of up to 64 bits, as its digits without leading zeros: a number here, text in other parts of the API.
fn number(item: &Value, pointer: &str) -> Result<String, Fault> {
    let Some(Value::String(text)) = item.pointer(pointer) else { return fields::whole_number(item, pointer) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<u64>().ok().filter(|_| digits);
    number
        .map(|number| number.to_string())
        .ok_or_else(|| mismatch(pointer, "a whole number of at most 64 bits is required"))
}

fn properties(item: &Value) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let name = fields::text(item, "/propertyName")?;
    // HubSpot clears a property with empty text.
    let value = match item.get("propertyValue") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(Value::Bool(_) | Value::Number(_)) => item.get("propertyValue").map(Value::to_string),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Err(mismatch("/propertyValue", "text is expected"));
        }
    };
    Ok(BTreeMap::from([(name, value)]))
}
