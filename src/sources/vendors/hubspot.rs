//! HubSpot webhooks: a list of 1 to 100 events, each with its own portal.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Fact},
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
        Ok(Value::Array(items)) if items.len() <= MOST_ITEMS => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| Item { index: Some(index), draft: event(&item), json: Some(item) })
            .collect(),
        Ok(_) => Item::unreadable((Reason::PayloadMalformed, "not a list of at most 1000 events".to_owned())),
        Err(fault) => Item::unreadable(fault),
    }
}

fn event(item: &Value) -> Result<Draft, Fault> {
    if !item.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    let subscription_type = fields::text(item, "/subscriptionType")?;
    let portal = fields::whole_number(item, "/portalId")?;
    let event_id = fields::whole_number(item, "/eventId")?;
    let at = fields::unix_millis(item, "/occurredAt")?;
    let (object, object_id, change) = change(&subscription_type, item)?;
    let property = fields::optional_text(item, "/propertyName").unwrap_or_default();
    // `eventId` alone is documented as not unique.
    let id = [
        fields::whole_number(item, "/appId")?,
        fields::whole_number(item, "/subscriptionId")?,
        event_id.clone(),
        object_id.clone(),
        at.millis().to_string(),
        property,
    ]
    .join(":");
    let order_key = format!("hubspot:{portal}:{object}:{object_id}");
    // Padded, so that ties are broken in the order of the numbers.
    let tie = format!("{event_id:0>20}");
    let fact = CrmChange { system: "hubspot".to_owned(), object, object_id, change, at, tie };
    let mut draft = Draft::new(subscription_type, portal, id, Some(at), Fact::CrmChange(fact));
    draft.order_key = Some(order_key);
    Ok(draft)
}

/// Object, its id, and what was done to it.
fn change(subscription_type: &str, item: &Value) -> Result<(String, String, CrmChangeKind), Fault> {
    let unknown = || (Reason::UnknownType, "/subscriptionType: not one that this release knows".to_owned());
    let (object, action) = subscription_type.split_once('.').ok_or_else(unknown)?;
    if !OBJECTS.contains(&object) {
        return Err(unknown());
    }
    let id = |name: &str| fields::whole_number(item, name);
    let (object_id, change) = match action {
        "creation" => (id("/objectId")?, CrmChangeKind::Created),
        // The order to forget a person also deletes the contact.
        "deletion" | "privacyDeletion" => (id("/objectId")?, CrmChangeKind::Deleted),
        "restore" => (id("/objectId")?, CrmChangeKind::Restored),
        "propertyChange" => (id("/objectId")?, CrmChangeKind::Changed(properties(item)?)),
        "merge" => (
            id("/objectId").or_else(|_| id("/primaryObjectId"))?,
            CrmChangeKind::Other(subscription_type.to_owned()),
        ),
        "associationChange" => (
            id("/objectId").or_else(|_| id("/fromObjectId"))?,
            CrmChangeKind::Other(subscription_type.to_owned()),
        ),
        "newMessage" => (id("/objectId")?, CrmChangeKind::Other(subscription_type.to_owned())),
        _ => return Err(unknown()),
    };
    Ok((object.to_owned(), object_id, change))
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
