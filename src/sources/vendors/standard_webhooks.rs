//! Standard Webhooks (github.com/standard-webhooks): any sender that follows the specification, carrying our job
//! types as `{type, timestamp, data}`.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{reason::Reason, timestamp::Timestamp},
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        rejection::{Fault, json_fault, mismatch},
        vendors::job_types,
    },
};

const ID: &str = "webhook-id";

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "standard-webhooks",
    scheme: Some("standard-webhooks"),
    headers: &[ID],
    jobs: false,
    tenant_by_account: false,
    read,
};

#[derive(Deserialize)]
struct Payload {
    r#type: String,
    timestamp: String,
    data: Value,
}

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(draft(reading))]
}

fn draft(reading: &Reading<'_>) -> Result<Draft, Fault> {
    let payload: Payload =
        serde_json::from_slice(reading.body).map_err(|e| (Reason::PayloadMalformed, json_fault(&e)))?;
    let at = Timestamp::parse_rfc3339(&payload.timestamp)
        .ok_or_else(|| mismatch("/timestamp", "not an RFC 3339 time"))?;
    let fact = job_types::fact(&payload.r#type, &payload.data, reading.drills)?;
    // The same id comes with every retry: that is what the specification has it for.
    let id = reading.request.header(ID).unwrap_or_default();
    Ok(Draft::new(payload.r#type, "", id, Some(at), fact))
}
