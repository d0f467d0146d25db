//! Slack: `X-Slack-Signature: v0=` + hex HMAC-SHA256 of `v0:timestamp:body` under the app's signing secret.
//! docs.slack.dev, "Verifying requests from Slack".

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    signature::{EMPTY, hex_digest, hmac_matches, hmac_sha256},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::digits,
        keys::prove,
        rejection::Fault,
        schemes::form::media_type,
        usual,
    },
};

const SIGNATURE: &str = "x-slack-signature";
const TIMESTAMP: &str = "x-slack-request-timestamp";
const PREFIX: &str = "v0=";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "slack",
    headers: &[SIGNATURE, TIMESTAMP],
    handshake: Handshake::None,
    redact: None,
    shape: "v0= and 64 hex digits: HMAC-SHA256 of v0:timestamp:body",
    causes: &["the form was decoded before it was captured", usual::KEY, usual::AGE],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(SIGNATURE)?;
    let timestamp = evidence.required(TIMESTAMP)?;
    let claimed = header
        .strip_prefix(PREFIX)
        .and_then(hex_digest)
        .ok_or_else(|| invalid(format!("{SIGNATURE} is not `v0=` and 64 hex digits")))?;
    let at = digits(&timestamp).ok_or_else(|| invalid(format!("{TIMESTAMP} is not plain digits")))?;
    let parts = content(&timestamp, &evidence.request.body);
    let matched = prove(&candidates, |secret| hmac_matches(secret.as_bytes(), &parts, &claimed))?;
    Ok(Proof::new(matched, evidence.stale(Timestamp::from_seconds(at))))
}

fn content<'a>(timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 4] {
    [b"v0:", timestamp.as_bytes(), b":", body]
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.seconds().to_string();
    let digest = hmac_sha256(order.secret.as_bytes(), &content(&timestamp, &order.body)).ok_or(EMPTY)?;
    Ok(order.request([
        ("content-type", media_type(&order.body).to_owned()),
        (TIMESTAMP, timestamp),
        (SIGNATURE, format!("{PREFIX}{}", hex::encode(digest))),
    ]))
}
