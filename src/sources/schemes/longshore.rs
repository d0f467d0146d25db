//! The internal scheme: Standard Webhooks headers with a key id. Seals envelopes and wakes, signs jobs.

use std::time::Duration;

use crate::{
    config::KeySettings,
    domain::{envelope::HttpRequest, ids::sha256_hex, reason::Reason, timestamp::Timestamp},
    signature::{Key, Signatures, is_id},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::{digits, stale},
        keys::{prove, usable},
        rejection::Fault,
        usual,
    },
};

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "longshore",
    headers: &["webhook-id", "webhook-timestamp", "webhook-signature", "webhook-key-id"],
    handshake: Handshake::None,
    redact: None,
    shape: "space-separated v1,base64 (HMAC-SHA256) or v1a,base64 (Ed25519) of id.timestamp.body",
    causes: &[
        usual::BODY,
        "the secret was used as text: what stands behind whsec_ must be decoded",
        usual::KEY,
        usual::AGE,
    ],
    verify,
    sign,
};

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
    check(&signed, evidence.settings.keys.iter(), evidence.now, evidence.settings.tolerance)
}

/// A signed message of the internal scheme, as received.
pub(crate) struct Signed<'a> {
    /// `webhook-id`.
    pub(crate) id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub(crate) timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub(crate) signature: Option<&'a str>,
    /// `webhook-key-id`: a selector, not signed.
    pub(crate) key_id: Option<&'a str>,
    /// The bytes as sent.
    pub(crate) body: &'a [u8],
}

/// Judges a signed message. A key id that is known restricts the search to its key; one that is not known fails.
pub(crate) fn check<'k>(
    signed: &Signed<'_>,
    keys: impl Iterator<Item = &'k KeySettings>,
    now: Timestamp,
    tolerance: Duration,
) -> Result<Proof, Fault> {
    let mut candidates = usable(keys, now)?;
    let id = required(signed.id, "webhook-id")?;
    let timestamp = required(signed.timestamp, "webhook-timestamp")?;
    let signature = required(signed.signature, "webhook-signature")?;
    if !is_id(id, 128) {
        return Err(invalid("webhook-id must be 1 to 128 letters, digits, `_` or `-`"));
    }
    let at = digits(timestamp).ok_or_else(|| invalid("webhook-timestamp is not plain digits"))?;
    if let Some(key_id) = signed.key_id {
        candidates.retain(|key| is_id(key_id, 64) && key.id == key_id);
    }
    if candidates.is_empty() {
        return Err(invalid("webhook-key-id names no usable key"));
    }
    let signatures = Signatures::parse(signature);
    let matched =
        prove(&candidates, |secret| signatures.prove(&Key::parse(secret)?, id, timestamp, signed.body))?;
    Ok(Proof::new(matched, stale(Timestamp::from_seconds(at), now, tolerance)))
}

/// What recognises a redriven copy of a signed message, whatever its new times: sender, id and body.
pub(crate) fn seal_hash(source: &str, id: &str, body: &[u8]) -> String {
    sha256_hex(&[source.as_bytes(), id.as_bytes(), body])
}

fn required<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, Fault> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| (Reason::SigMissing, format!("{name} is absent or empty")))
}

/// A job over HTTP, for an edge. On the queue: see `sources::sign`.
fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    if !is_id(order.id, 128) {
        return Err(SignError::Message("the id must be 1 to 128 letters, digits, `_` or `-`"));
    }
    let timestamp = order.at.seconds().to_string();
    let signature = Key::parse(order.secret)?
        .sign(order.id, &timestamp, &order.body)
        .ok_or(SignError::Key("a public key cannot sign"))?;
    let mut headers = vec![
        ("content-type", "application/cloudevents+json".to_owned()),
        ("webhook-id", order.id.to_owned()),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", signature),
    ];
    headers.extend(order.key_id.map(|id| ("webhook-key-id", id.to_owned())));
    Ok(order.request(headers))
}
