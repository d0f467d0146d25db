//! Jobs from our own systems: CloudEvents 1.0 in JSON, signed with the internal scheme.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{reason::Reason, timestamp::Timestamp},
    signature::is_id,
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        rejection::{Fault, json_fault, mismatch},
        vendors::job_types,
    },
};

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "jobs",
    scheme: Some("longshore"),
    headers: &["webhook-id"],
    jobs: true,
    tenant_by_account: false,
    read,
};

/// The attributes that we look at; extension attributes other than ours are allowed and ignored.
#[derive(Deserialize)]
struct CloudEvent {
    id: String,
    source: String,
    r#type: String,
    time: Option<String>,
    data: Value,
    dueat: Option<String>,
    expiresat: Option<String>,
    correlationid: Option<String>,
}

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(draft(reading))]
}

fn draft(reading: &Reading<'_>) -> Result<Draft, Fault> {
    let body: Value =
        serde_json::from_slice(reading.body).map_err(|e| (Reason::PayloadMalformed, json_fault(&e)))?;
    job_types::check_cloud_event(&body)?;
    let event: CloudEvent =
        serde_json::from_value(body).map_err(|_| mismatch("", "not a CloudEvents 1.0 object"))?;
    // The signature covers the id in the header; a body with another one could be counted twice.
    if reading.request.header("webhook-id").as_deref() != Some(&event.id) {
        return Err(mismatch("/id", "differs from webhook-id"));
    }
    let fact = job_types::fact(&event.r#type, &event.data, reading.drills)?;
    let mut draft = Draft::new(event.r#type, event.source, event.id, time("/time", event.time)?, fact);
    draft.due_at = time("/dueat", event.dueat)?;
    draft.expires_at = time("/expiresat", event.expiresat)?;
    draft.correlation = event.correlationid.filter(|id| is_id(id, 128));
    Ok(draft)
}

fn time(pointer: &str, text: Option<String>) -> Result<Option<Timestamp>, Fault> {
    let read = |text: String| {
        Timestamp::parse_rfc3339(&text).ok_or_else(|| mismatch(pointer, "not an RFC 3339 time"))
    };
    text.map(read).transpose()
}
