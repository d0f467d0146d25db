//! Jobs from our own systems: CloudEvents 1.0 in JSON, signed with the internal scheme.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    sources::{
        contract::{Draft, Evidence, Item, Order, Proof, Reading, SignError, Vendor},
        job_types,
        longshore::{Signed, check, is_id},
        rejection::{Fault, json_fault, mismatch},
        signature::Key,
    },
};

/// The row of the table.
pub(super) const VENDOR: Vendor =
    Vendor { name: "jobs", jobs: true, tenant_by_account: false, verify, read, sign };

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let [id, timestamp, signature, key_id] =
        ["webhook-id", "webhook-timestamp", "webhook-signature", "webhook-key-id"]
            .map(|name| evidence.request.header(name));
    let signed = Signed {
        id: id.as_deref(),
        timestamp: timestamp.as_deref(),
        signature: signature.as_deref(),
        key_id: key_id.as_deref(),
        body: &evidence.request.body,
    };
    check(&signed, evidence.keys.iter(), evidence.now, evidence.tolerance)
}

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
    let body: Value = serde_json::from_slice(&reading.request.body)
        .map_err(|e| (Reason::PayloadMalformed, json_fault(&e)))?;
    job_types::check_cloud_event(&body)?;
    let event: CloudEvent =
        serde_json::from_value(body).map_err(|_| mismatch("", "not a CloudEvents 1.0 object"))?;
    // The signature covers the id in the header; a body with another one could be counted twice.
    if reading.request.header("webhook-id").as_deref() != Some(&event.id) {
        return Err(mismatch("/id", "differs from webhook-id"));
    }
    let fact = job_types::fact(&event.r#type, &event.data, reading.drills)?;
    let mut draft = Draft::new(event.source, event.id, time("/time", event.time)?, fact);
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

/// A job over HTTP, for an edge. On the queue: see `sources::sign`.
fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    if !is_id(order.id, 128) {
        return Err(SignError::Message("the id must be 1 to 128 letters, digits, `_` or `-`"));
    }
    let timestamp = order.at.seconds().to_string();
    let signature = Key::parse(order.secret)
        .map_err(|e| SignError::Key(e.0))?
        .sign(order.id, &timestamp, &order.body)
        .ok_or(SignError::Key("a public key cannot sign"))?;
    let mut headers = vec![
        ("content-type".to_owned(), "application/cloudevents+json".to_owned()),
        ("webhook-id".to_owned(), order.id.to_owned()),
        ("webhook-timestamp".to_owned(), timestamp),
        ("webhook-signature".to_owned(), signature),
    ];
    headers.extend(order.key_id.map(|id| ("webhook-key-id".to_owned(), id.to_owned())));
    let (method, url) = (order.method.to_owned(), order.url.to_owned());
    Ok(HttpRequest { method, url, headers, body: order.body.clone() })
}
