//! Apex callouts: JSON of the customer's own making. Agreed are `eventId`, `orgId`, `recordId` and `occurredAt`.

use serde_json::Value;

use crate::{
    config::SourceSettings,
    domain::event::{Fact, Notice},
    sources::{
        contract::Draft,
        fields,
        rejection::{Fault, mismatch},
        vendors::salesforce::record::{
            SYSTEM, id, only_organization, order_key, time, whole_number, without_sessions,
        },
    },
};

/// The whole body is one event.
pub(super) fn event(body: Value, settings: &SourceSettings) -> Result<Draft, Fault> {
    if !body.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    let event_id = fields::text(&body, "/eventId")
        .or_else(|fault| whole_number(&body, "/eventId").ok().flatten().ok_or(fault))?;
    let organization = organization(&body, settings)?;
    let at = time(&body, "/occurredAt")?;
    let subject = given(&body, "/recordId")?.map(|text| id(text, "/recordId")).transpose()?.map(String::from);
    // By custom `opportunity.closed_won`.
    let object = fields::optional_text(&body, "/event")
        .and_then(|event| event.split_once('.').map(|(object, _)| object.to_lowercase()))
        .unwrap_or_else(|| "record".to_owned());
    let order_key = subject.as_ref().and_then(|subject| order_key(&organization, &object, subject));
    let data = without_sessions(body);
    let fact = Fact::Notice(Notice { system: SYSTEM.to_owned(), subject, data });
    let mut draft = Draft::new("apex_callout", organization, format!("apex:{event_id}"), at, fact);
    draft.order_key = order_key;
    Ok(draft)
}

/// `orgId` of 15 or 18 characters; the only configured one, where the body names none.
fn organization(body: &Value, settings: &SourceSettings) -> Result<String, Fault> {
    match given(body, "/orgId")? {
        Some(text) => id(text, "/orgId").map(String::from),
        None => only_organization(settings).ok_or_else(|| {
            mismatch("/orgId", "an organisation is required where not just one is configured")
        }),
    }
}

/// Text, or nothing; anything else is refused.
fn given<'a>(body: &'a Value, pointer: &str) -> Result<Option<&'a str>, Fault> {
    match body.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(mismatch(pointer, "text is expected")),
    }
}
