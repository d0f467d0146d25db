//! Standard Webhooks (github.com/standard-webhooks): any sender that follows the specification, carrying our job
//! types as `{type, timestamp, data}`.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    sources::{
        contract::{Draft, Evidence, Item, Order, Proof, Reading, SignError, Vendor},
        freshness::{digits, stale},
        job_types,
        keys::{prove, usable},
        rejection::{Fault, json_fault, mismatch},
        signature::{Key, Signatures},
    },
};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// The row of the table.
pub(super) const VENDOR: Vendor =
    Vendor { name: "standard-webhooks", jobs: false, tenant_by_account: false, verify, read, sign };

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = usable(evidence.keys.iter(), evidence.now)?;
    let id = evidence.required(ID)?;
    let timestamp = evidence.required(TIMESTAMP)?;
    let signatures = Signatures::parse(&evidence.required(SIGNATURE)?);
    if id.contains('.') {
        return Err((Reason::SigInvalid, "webhook-id holds a dot".to_owned()));
    }
    let at = digits(&timestamp)
        .ok_or_else(|| (Reason::SigInvalid, "webhook-timestamp is not plain digits".to_owned()))?;
    let body = &evidence.request.body;
    let matched = prove(&candidates, |secret| signatures.prove(&Key::parse(secret)?, &id, &timestamp, body))?;
    Ok(Proof::new(matched, stale(Timestamp::from_seconds(at), evidence.now, evidence.tolerance)))
}

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
    let payload: Payload = serde_json::from_slice(&reading.request.body)
        .map_err(|e| (Reason::PayloadMalformed, json_fault(&e)))?;
    let at = Timestamp::parse_rfc3339(&payload.timestamp)
        .ok_or_else(|| mismatch("/timestamp", "not an RFC 3339 time"))?;
    let fact = job_types::fact(&payload.r#type, &payload.data, reading.drills)?;
    // The same id comes with every retry: that is what the specification has it for.
    let id = reading.request.header(ID).unwrap_or_default();
    Ok(Draft::new("", id, Some(at), fact))
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.seconds().to_string();
    let signature = Key::parse(order.secret)
        .map_err(|e| SignError::Key(e.0))?
        .sign(order.id, &timestamp, &order.body)
        .ok_or(SignError::Key("a public key cannot sign"))?;
    Ok(HttpRequest {
        method: order.method.to_owned(),
        url: order.url.to_owned(),
        headers: [
            ("content-type", "application/json".to_owned()),
            (ID, order.id.to_owned()),
            (TIMESTAMP, timestamp),
            (SIGNATURE, signature),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        body: order.body.clone(),
    })
}
