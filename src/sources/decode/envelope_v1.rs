//! `envelope.v1`: a vendor's request, sealed by an edge.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    domain::{
        envelope::{BodyRef, Form, HttpRequest, Peer},
        ids::SourceName,
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        decode::{
            loaded::is_name,
            request::{LONGEST_URL, MOST_HEADERS, is_absolute, is_method},
        },
        rejection::{Rejection, json_fault, malformed},
    },
};

#[derive(Deserialize)]
struct Version {
    v: Option<serde_json::Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeWire {
    #[serde(rename = "v")]
    _version: u64,
    id: String,
    source: String,
    received_at_ms: u64,
    request: RequestWire,
    #[serde(default)]
    peer: Option<Peer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestWire {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_base64: Option<String>,
    #[serde(default)]
    body_ref: Option<BodyRef>,
}

/// Reads the JSON of an envelope, no longer compressed.
pub(super) fn decode(body: &str) -> Result<Form, Rejection> {
    let version: Version = serde_json::from_str(body).map_err(|e| malformed(json_fault(&e)))?;
    match version.v {
        Some(v) if v.as_u64() == Some(1) => {}
        Some(_) => return Err(Rejection::new(Reason::UnknownVersion, "envelope `v` is not 1")),
        None => return Err(malformed("`v` is missing")),
    }
    let wire: EnvelopeWire = serde_json::from_str(body).map_err(|e| malformed(json_fault(&e)))?;
    if !is_name(&wire.source) {
        return Err(malformed("`source` is not a source's name"));
    }
    let source = SourceName(wire.source);
    let (received_at, (request, body_ref)) = received(&wire.id, wire.received_at_ms)
        .and_then(|at| http_request(wire.request).map(|request| (at, request)))
        .map_err(|rejection| rejection.claimed_by(&source))?;
    let peer = wire.peer.unwrap_or_default();
    Ok(Form::Request { id: wire.id, source, received_at, request, body_ref, peer })
}

fn received(id: &str, at: u64) -> Result<Timestamp, Rejection> {
    if !is_name(id) {
        return Err(malformed("`id` must be 1 to 128 letters, digits, `_`, `-` or `.`"));
    }
    // The calendar of the store ends in 9999; microseconds must fit as well.
    i64::try_from(at)
        .ok()
        .filter(|ms| *ms <= 253_402_300_799_000)
        .map(Timestamp::from_millis)
        .ok_or_else(|| malformed("`received_at_ms` is not a time"))
}

fn http_request(wire: RequestWire) -> Result<(HttpRequest, Option<BodyRef>), Rejection> {
    let body = match (&wire.body_ref, wire.body_base64) {
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| malformed("`body_base64` is not base64"))?,
        (Some(place), None) if is_sha256(&place.sha256) => Vec::new(),
        (Some(_), None) => return Err(malformed("`body_ref.sha256` is not 64 hexadecimal digits")),
        (Some(_), Some(_)) => return Err(malformed("both `body_base64` and `body_ref`")),
        (None, None) => return Err(malformed("neither `body_base64` nor `body_ref`")),
    };
    if !is_method(&wire.method) || !is_absolute(&wire.url) || wire.url.len() > LONGEST_URL {
        return Err(malformed("`method` must be upper case and `url` absolute, at most 16 KiB"));
    }
    if wire.headers.len() > MOST_HEADERS {
        return Err(malformed("more than 100 headers"));
    }
    let request = HttpRequest { method: wire.method, url: wire.url, headers: wire.headers, body };
    Ok((request, wire.body_ref))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
