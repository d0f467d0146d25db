//! Telnyx: `telnyx-signature-ed25519`, base64 Ed25519 of `timestamp|body` under the account's public key, and
//! `telnyx-timestamp` in seconds. developers.telnyx.com, "Webhooks".

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    signature::base64,
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::digits,
        keys::prove,
        public_key::{Algorithm, PrivateKey, PublicKey},
        rejection::Fault,
        usual,
    },
};

const SIGNATURE: &str = "telnyx-signature-ed25519";
const TIMESTAMP: &str = "telnyx-timestamp";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "telnyx",
    headers: &[SIGNATURE, TIMESTAMP],
    handshake: Handshake::None,
    redact: None,
    shape: "base64 of 64 bytes: Ed25519 of timestamp|body",
    causes: &[usual::BODY, usual::AGE, "the key is not the account's public key"],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let signature = evidence.required(SIGNATURE)?;
    let timestamp = evidence.required(TIMESTAMP)?;
    let claimed = base64(&signature)
        .filter(|bytes| bytes.len() == 64)
        .ok_or_else(|| invalid(format!("{SIGNATURE} is not base64 of 64 bytes")))?;
    let at = digits(&timestamp).ok_or_else(|| invalid(format!("{TIMESTAMP} is not plain digits")))?;
    let message = signed(&timestamp, &evidence.request.body);
    let matched =
        prove(
            &candidates,
            |key| Ok(PublicKey::parse(key, Algorithm::Ed25519)?.verifies(&message, &claimed)),
        )?;
    Ok(Proof::new(matched, evidence.stale(Timestamp::from_seconds(at))))
}

fn signed(timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b"|", body].concat()
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.seconds().to_string();
    let key = PrivateKey::parse(order.secret, Algorithm::Ed25519)?;
    let signature = STANDARD.encode(key.sign(&signed(&timestamp, &order.body))?);
    let headers =
        [("content-type", "application/json".to_owned()), (TIMESTAMP, timestamp), (SIGNATURE, signature)];
    Ok(order.request(headers))
}
