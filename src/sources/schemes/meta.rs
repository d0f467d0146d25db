//! Meta (WhatsApp Cloud API): `X-Hub-Signature-256: sha256=` + hex HMAC-SHA256 of the body's bytes under the app
//! secret, no timestamp. Meta escapes non-ASCII and slashes; those bytes are what is signed and what arrives.

use crate::{
    domain::{envelope::HttpRequest, reason::Reason},
    signature::{EMPTY, hex_digest, hmac_matches, hmac_sha256},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError},
        keys::prove,
        rejection::Fault,
        usual,
    },
};

const SIGNATURE: &str = "x-hub-signature-256";
const PREFIX: &str = "sha256=";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "meta-sha256",
    headers: &[SIGNATURE],
    handshake: Handshake::MetaChallenge,
    redact: None,
    shape: "sha256= and 64 hex digits: HMAC-SHA256 of the body",
    causes: &[usual::BODY, usual::KEY, "the key must be the app secret, not an access or verify token"],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(SIGNATURE)?;
    let claimed = header
        .strip_prefix(PREFIX)
        .and_then(hex_digest)
        .ok_or_else(|| (Reason::SigInvalid, format!("{SIGNATURE} is not `sha256=` and 64 hex digits")))?;
    let body = &evidence.request.body;
    let matched = prove(&candidates, |secret| hmac_matches(secret.as_bytes(), &[body], &claimed))?;
    Ok(Proof::new(matched, None))
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let digest = hmac_sha256(order.secret.as_bytes(), &[&order.body]).ok_or(EMPTY)?;
    Ok(order.request([
        ("content-type", "application/json".to_owned()),
        (SIGNATURE, format!("{PREFIX}{}", hex::encode(digest))),
    ]))
}
