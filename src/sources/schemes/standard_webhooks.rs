//! Standard Webhooks (github.com/standard-webhooks) and Svix, where it comes from and whose headers have other
//! names (Clerk, Resend): `id.timestamp.body` under a list of signatures.

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    signature::{Key, Signatures},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::digits,
        keys::prove,
        rejection::Fault,
        usual,
    },
};

/// Names of the three headers: id, timestamp, signatures.
type Names = [&'static str; 3];

const STANDARD_NAMES: Names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const SVIX_NAMES: Names = ["svix-id", "svix-timestamp", "svix-signature"];

/// Standard Webhooks.
pub(super) const STANDARD: Scheme = Scheme {
    name: "standard-webhooks",
    headers: &STANDARD_NAMES,
    handshake: Handshake::None,
    redact: None,
    shape: "space-separated v1,base64 (HMAC-SHA256) or v1a,base64 (Ed25519) of id.timestamp.body",
    causes: &[
        usual::BODY,
        "the secret was used as text: what stands behind whsec_ must be decoded",
        usual::KEY,
        usual::AGE,
    ],
    verify: |evidence| verify(evidence, STANDARD_NAMES),
    sign: |order| sign(order, STANDARD_NAMES),
};

/// Svix, under its own header names. A white-labelled sender uses the standard ones.
pub(super) const SVIX: Scheme = Scheme {
    name: "svix",
    headers: &SVIX_NAMES,
    verify: |evidence| verify(evidence, SVIX_NAMES),
    sign: |order| sign(order, SVIX_NAMES),
    ..STANDARD
};

fn verify(evidence: &Evidence<'_>, [id, timestamp, signature]: Names) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let told_id = evidence.required(id)?;
    let told_time = evidence.required(timestamp)?;
    let signatures = Signatures::parse(&evidence.required(signature)?);
    // `id.timestamp.body` could otherwise be cut in two ways.
    if told_id.contains('.') {
        return Err(invalid(format!("{id} holds a dot")));
    }
    let at = digits(&told_time).ok_or_else(|| invalid(format!("{timestamp} is not plain digits")))?;
    let body = &evidence.request.body;
    let matched =
        prove(&candidates, |secret| signatures.prove(&Key::parse(secret)?, &told_id, &told_time, body))?;
    Ok(Proof::new(matched, evidence.stale(Timestamp::from_seconds(at))))
}

fn sign(order: &Order<'_>, [id, timestamp, signature]: Names) -> Result<HttpRequest, SignError> {
    if order.id.is_empty() || order.id.contains('.') {
        return Err(SignError::Message("the id must not be empty or hold a dot"));
    }
    let at = order.at.seconds().to_string();
    let signed = Key::parse(order.secret)?
        .sign(order.id, &at, &order.body)
        .ok_or(SignError::Key("a public key cannot sign"))?;
    Ok(order.request([
        ("content-type", "application/json".to_owned()),
        (id, order.id.to_owned()),
        (timestamp, at),
        (signature, signed),
    ]))
}
