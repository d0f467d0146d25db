//! Standard Webhooks (github.com/standard-webhooks): `id.timestamp.body` under a list of signatures.

use crate::{
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError},
        freshness::digits,
        keys::prove,
        rejection::Fault,
        signature::{Key, Signatures},
    },
};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "standard-webhooks",
    headers: &[ID, TIMESTAMP, SIGNATURE],
    handshake: Handshake::None,
    redact: None,
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
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
    Ok(Proof::new(matched, evidence.stale(Timestamp::from_seconds(at))))
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
