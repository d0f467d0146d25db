//! Dynamics 365 (Dataverse) webhooks: the serialised `RemoteExecutionContext` of one operation.

mod attributes;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Fact},
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        exact_json, fields,
        rejection::{Fault, mismatch},
        vendors::dynamics::attributes::{date, guid, input, properties},
    },
};

/// Name of the system in facts.
const SYSTEM: &str = "dynamics";
/// Set when a body of more than 256 KB lost its parameters and images.
const SIZE_EXCEEDED: &str = "x-ms-dynamics-msg-size-exceeded";
/// Host name of the organisation.
const ORGANIZATION: &str = "x-ms-dynamics-organization";

/// The row of the table. The headers are information, no credentials.
pub(super) const VENDOR: Vendor = Vendor {
    name: "dynamics",
    scheme: Some("dataverse"),
    headers: &[
        ORGANIZATION,
        "x-ms-dynamics-entity-name",
        "x-ms-dynamics-request-name",
        "x-ms-correlation-request-id",
        SIZE_EXCEEDED,
    ],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    let body = reading.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(reading.body);
    match exact_json::body(body) {
        Ok(context) => vec![Item::alone(event(&context, reading))],
        Err(fault) => Item::unreadable(fault),
    }
}

fn event(context: &Value, reading: &Reading<'_>) -> Result<Draft, Fault> {
    if !context.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    let message = fields::text(context, "/MessageName")?;
    let entity = fields::text(context, "/PrimaryEntityName")?;
    let record = guid(context, "/PrimaryEntityId")?
        .ok_or_else(|| mismatch("/PrimaryEntityId", "a GUID is required"))?;
    let organization = organization(context, reading)?;
    let correlation = guid(context, "/CorrelationId")?.filter(|id| !id.is_nil());
    // Synchronous steps have no operation of their own.
    let operation = guid(context, "/OperationId")?
        .filter(|id| !id.is_nil())
        .or(correlation)
        .ok_or_else(|| mismatch("/OperationId", "a GUID is required, here or as CorrelationId"))?;
    let stage = match context.get("Stage") {
        None | Some(Value::Null) => String::new(),
        Some(_) => fields::whole_number(context, "/Stage")?,
    };
    let occurred_at = match context.get("OperationCreatedOn") {
        None | Some(Value::Null) => None,
        Some(value) => Some(happened(value)?),
    };
    let object = entity.to_lowercase();
    let order_key = format!("{SYSTEM}:{organization}:{object}:{record}");
    let fact = Fact::CrmChange(CrmChange {
        system: SYSTEM.to_owned(),
        object,
        object_id: record.to_string(),
        change: change(context, &message, reading)?,
        at: occurred_at.unwrap_or(reading.received_at),
        tie: tie(context, operation),
    });
    let id = format!("{operation}:{message}:{record}:{stage}");
    let mut draft = Draft::new(format!("{message}.{entity}"), organization, id, occurred_at, fact);
    draft.order_key = Some(order_key);
    draft.correlation = correlation.map(|id| id.to_string());
    Ok(draft)
}

/// The organisation's id; where the body has none, its host name.
fn organization(context: &Value, reading: &Reading<'_>) -> Result<String, Fault> {
    if let Some(id) = guid(context, "/OrganizationId")? {
        return Ok(id.to_string());
    }
    reading
        .request
        .header(ORGANIZATION)
        .map(|name| name.trim().to_lowercase())
        .filter(|name| !name.is_empty())
        .ok_or_else(|| mismatch("/OrganizationId", "a GUID is required, here or as a header"))
}

fn happened(value: &Value) -> Result<Timestamp, Fault> {
    value
        .as_str()
        .and_then(date)
        .filter(|at| *at >= Timestamp::default())
        .ok_or_else(|| mismatch("/OperationCreatedOn", "a date such as /Date(0)/ is expected"))
}

/// What was done to the record. A body that lost its parameters tells only that something was.
fn change(context: &Value, message: &str, reading: &Reading<'_>) -> Result<CrmChangeKind, Fault> {
    let told = || -> Result<Option<CrmChangeKind>, Fault> {
        if reading.request.header(SIZE_EXCEEDED).is_some() {
            return Ok(None);
        }
        Ok(properties(context)?.filter(|properties| !properties.is_empty()).map(CrmChangeKind::Changed))
    };
    match message {
        "Create" | "Update" | "Upsert" => Ok(told()?.unwrap_or(CrmChangeKind::Stale)),
        "Delete" => Ok(CrmChangeKind::Deleted),
        "Restore" => Ok(CrmChangeKind::Restored),
        _ => Ok(CrmChangeKind::Other(message.to_owned())),
    }
}

/// The row's version, where told, counts up; padded, so that ties are broken in the order of the numbers.
fn tie(context: &Value, operation: Uuid) -> String {
    let version = input(context, "Target")
        .and_then(|target| fields::optional_text(target, "/RowVersion"))
        .filter(|version| version.len() <= 20 && version.bytes().all(|byte| byte.is_ascii_digit()))
        .unwrap_or_default();
    format!("{version:0>20}:{operation}")
}
