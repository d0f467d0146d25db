//! Events that came through Amazon EventBridge: Event Relay keeps the fields in `detail.payload`, AppFlow in `detail`.

use serde_json::{Value, json};

use crate::{
    domain::{
        event::{Fact, Notice},
        salesforce_id::SalesforceId,
    },
    sources::{
        contract::{Draft, Item, Reading},
        fields,
        rejection::{Fault, mismatch},
        vendors::salesforce::{
            change_event,
            record::{SYSTEM, id, only_organization, order_key, time, without_sessions},
            relayed::Relayed,
        },
    },
};

/// Is it an event of EventBridge, as it is or with the usual transformer in between (`type` for `detail-type`)?
pub(super) fn is_wrapped(body: &Value) -> bool {
    body.get("detail").is_some() && (body.get("detail-type").is_some() || body.get("source").is_some())
}

/// A platform event is one item, a change event one for each record.
pub(super) fn items(body: &Value, reading: &Reading<'_>) -> Result<Vec<Item>, Fault> {
    let place = if body.pointer("/detail/payload").is_some() { "/detail/payload" } else { "/detail" };
    let fields = body.pointer(place).and_then(Value::as_object);
    let fields = fields.ok_or_else(|| mismatch(place, "an object is expected"))?;
    let name =
        fields::text(body, "/detail-type").or_else(|fault| fields::text(body, "/type").map_err(|_| fault));
    let relayed = Relayed { body, place, organization: organization(body, reading)? };
    // The fields tell, where a transformer dropped the name.
    let change = fields.contains_key("ChangeEventHeader")
        || name.as_ref().is_ok_and(|name| name.ends_with("ChangeEvent"));
    if change {
        return change_event::items(&relayed, reading);
    }
    Ok(vec![Item::alone(name.and_then(|name| platform_event(&relayed, &name)))])
}

/// `source` is `aws.partner/salesforce.com/{organisation}/{channel}`. AppFlow names no organisation: then the
/// configured one, else the name of the event source stands for it.
fn organization(body: &Value, reading: &Reading<'_>) -> Result<String, Fault> {
    let source = fields::text(body, "/source");
    let of_source = |source: &String| {
        let mut ids = source.split('/').filter_map(|part| SalesforceId::parse(part).ok());
        ids.find(|id| id.as_str().starts_with("00D")).map(String::from)
    };
    source
        .as_ref()
        .ok()
        .and_then(of_source)
        .or_else(|| only_organization(reading.settings))
        .map_or(source, Ok)
}

fn platform_event(relayed: &Relayed<'_>, name: &str) -> Result<Draft, Fault> {
    let (body, place) = (relayed.body, relayed.place);
    let event_id = fields::text(body, "/id")?;
    let created = time(body, &format!("{place}/CreatedDate"))?;
    let at = created.map_or_else(|| time(body, "/time"), |at| Ok(Some(at)))?;
    let fields = body.pointer(place).cloned().unwrap_or_default();
    let subject = subject(&fields, place)?;
    let order_key =
        subject.as_ref().and_then(|subject| order_key(&relayed.organization, &name.to_lowercase(), subject));
    let data = json!({ "event": name, "payload": without_sessions(fields) });
    let fact = Fact::Notice(Notice { system: SYSTEM.to_owned(), subject, data });
    let mut draft =
        Draft::new("platform_event", relayed.organization.as_str(), format!("eb:{event_id}"), at, fact);
    draft.order_key = order_key;
    Ok(draft)
}

/// The record that it is about, where a field says so by its name: the customer made the fields.
fn subject(fields: &Value, place: &str) -> Result<Option<String>, Fault> {
    let name =
        ["Record_Id__c", "RecordId__c", "RecordId"].into_iter().find(|name| fields.get(name).is_some());
    match name.map(|name| (name, &fields[name])) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((name, Value::String(text))) => id(text, &format!("{place}/{name}")).map(|id| Some(id.into())),
        Some((name, _)) => Err(mismatch(&format!("{place}/{name}"), "a record id is expected")),
    }
}
