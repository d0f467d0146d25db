//! The internal scheme: Standard Webhooks headers with a key id. Seals envelopes and wakes, signs jobs.

use std::time::Duration;

use crate::{
    config::KeySettings,
    domain::{ids::sha256_hex, reason::Reason, timestamp::Timestamp},
    sources::{
        contract::Proof,
        freshness::{digits, stale},
        keys::{prove, usable},
        rejection::Fault,
        signature::{Key, Signatures},
    },
};

/// A signed message of the internal scheme, as received.
pub(super) struct Signed<'a> {
    /// `webhook-id`.
    pub(super) id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub(super) timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub(super) signature: Option<&'a str>,
    /// `webhook-key-id`: a selector, not signed.
    pub(super) key_id: Option<&'a str>,
    /// The bytes as sent.
    pub(super) body: &'a [u8],
}

/// Judges a signed message. A key id that is known restricts the search to its key; one that is not known fails.
pub(super) fn check<'k>(
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
pub(super) fn seal_hash(source: &str, id: &str, body: &[u8]) -> String {
    sha256_hex(&[source.as_bytes(), id.as_bytes(), body])
}

fn required<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, Fault> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| (Reason::SigMissing, format!("{name} is absent or empty")))
}

fn invalid(why: &str) -> Fault {
    (Reason::SigInvalid, why.to_owned())
}

/// No dots: `id.timestamp.body` could otherwise be cut in two ways.
pub(super) fn is_id(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
