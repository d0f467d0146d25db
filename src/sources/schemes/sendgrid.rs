//! SendGrid's event webhook: base64 of an ECDSA signature (P-256, SHA-256, ASN.1 DER) of timestamp + body. The body
//! usually ends with CRLF. No age is checked, as in the vendor's own libraries: retries may come a day later.
//! twilio.com/docs/sendgrid, "Getting started with the event webhook security features".

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::envelope::HttpRequest,
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

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "sendgrid",
    headers: &[SIGNATURE, TIMESTAMP],
    handshake: Handshake::None,
    redact: None,
    shape: "base64 of an ASN.1 signature (about 70 bytes): ECDSA on P-256 of timestamp and body",
    causes: &["the line end (CRLF) behind the body was lost", usual::BODY, "the public key was regenerated"],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let signature = evidence.required(SIGNATURE)?;
    let timestamp = evidence.required(TIMESTAMP)?;
    let claimed = base64(&signature).ok_or_else(|| invalid(format!("{SIGNATURE} is not base64")))?;
    // Nothing stands between timestamp and body: only digits can be told apart from JSON.
    digits(&timestamp).ok_or_else(|| invalid(format!("{TIMESTAMP} is not plain digits")))?;
    let message = [timestamp.as_bytes(), &evidence.request.body].concat();
    let matched = prove(&candidates, |key| {
        Ok(PublicKey::parse(key, Algorithm::EcdsaP256)?.verifies(&message, &claimed))
    })?;
    Ok(Proof::new(matched, None))
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.seconds().to_string();
    let key = PrivateKey::parse(order.secret, Algorithm::EcdsaP256)?;
    let signature = STANDARD.encode(key.sign(&[timestamp.as_bytes(), &order.body].concat())?);
    let headers =
        [("content-type", "application/json".to_owned()), (TIMESTAMP, timestamp), (SIGNATURE, signature)];
    Ok(order.request(headers))
}
