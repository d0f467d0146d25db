//! GoHighLevel (LeadConnector): `X-GHL-Signature`, base64 Ed25519 of the body under the vendor's published key. The
//! retired `X-WH-Signature` (RSA, SHA-256) counts only alone, under keys of its own and up to a date of the
//! configuration: for replays of old messages.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    signature::base64,
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::{prove, usable},
        public_key::{Algorithm, PrivateKey, PublicKey},
        rejection::Fault,
        usual,
    },
};

const SIGNATURE: &str = "x-ghl-signature";
const RETIRED: &str = "x-wh-signature";
/// What the vendor puts into the header when it did not sign.
const UNSIGNED: &str = "N/A";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "gohighlevel",
    headers: &[SIGNATURE, RETIRED],
    handshake: Handshake::None,
    redact: None,
    shape: "x-ghl-signature, base64 of 64 bytes: Ed25519 of the body",
    causes: &[
        usual::BODY,
        "the key is not the vendor's published Ed25519 key",
        "only the retired x-wh-signature is there: it counts up to legacy_until only",
    ],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    match (header(evidence, SIGNATURE), header(evidence, RETIRED)) {
        (Some(current), _) => check(evidence, &current, Algorithm::Ed25519),
        (None, Some(retired)) => {
            if !retired_counts(evidence) {
                return Err(invalid(format!("{RETIRED} alone no longer counts: {SIGNATURE} is needed")));
            }
            check(evidence, &retired, Algorithm::RsaSha256)
        }
        (None, None) => {
            evidence.candidates()?;
            Err((Reason::SigMissing, format!("{SIGNATURE} is absent, empty or `{UNSIGNED}`")))
        }
    }
}

fn header(evidence: &Evidence<'_>, name: &str) -> Option<String> {
    evidence.request.header(name).filter(|value| !value.is_empty() && value != UNSIGNED)
}

/// Not without keys and a date that can be read: fail closed.
fn retired_counts(evidence: &Evidence<'_>) -> bool {
    let until = evidence.settings.legacy_until.as_deref().and_then(Timestamp::parse_rfc3339);
    !evidence.settings.legacy_keys.is_empty() && until.is_some_and(|until| evidence.now <= until)
}

/// The header decides the algorithm, and the algorithm the keys.
fn check(evidence: &Evidence<'_>, header: &str, algorithm: Algorithm) -> Result<Proof, Fault> {
    let candidates = match algorithm {
        Algorithm::Ed25519 => evidence.candidates()?,
        _ => usable(evidence.settings.legacy_keys.iter(), evidence.now)?,
    };
    let claimed = base64(header).ok_or_else(|| invalid("the signature is not base64"))?;
    let body = &evidence.request.body;
    let matched = prove(&candidates, |key| Ok(PublicKey::parse(key, algorithm)?.verifies(body, &claimed)))?;
    Ok(Proof::new(matched, None))
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let signature = PrivateKey::parse(order.secret, Algorithm::Ed25519)?.sign(&order.body)?;
    let headers = [("content-type", "application/json".to_owned()), (SIGNATURE, STANDARD.encode(signature))];
    Ok(order.request(headers))
}
