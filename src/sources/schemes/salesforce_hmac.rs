//! Salesforce, where it signs: base64 HMAC-SHA256 of the body, no timestamp. The key is text and not decoded.
//! Marketing Cloud event notifications (ENS) and Data Cloud data action targets differ in the header's name.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    config::SourceSettings,
    domain::envelope::HttpRequest,
    signature::{EMPTY, base64, hmac_matches, hmac_sha256},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        rejection::Fault,
        usual,
    },
};

const ENS_SIGNATURE: &str = "x-sfmc-ens-signature";
const DATACLOUD_SIGNATURE: &str = "x-signature";

/// Marketing Cloud event notification service. The first request of a callback is not signed: an edge answers it,
/// and here it is `sig_missing`.
pub(super) const ENS: Scheme = Scheme {
    name: "salesforce-ens",
    headers: &[ENS_SIGNATURE],
    handshake: Handshake::EnsConfirmation,
    redact: None,
    shape: "base64 of 32 bytes: HMAC-SHA256 of the body under the key as text",
    causes: &[usual::BODY, usual::KEY, "the first request after registration is not signed"],
    verify: |evidence| verify(evidence, ENS_SIGNATURE, &evidence.request.body),
    sign: |order| sign(order, ENS_SIGNATURE, &order.body),
};

/// Data Cloud (Data 360) data action targets.
pub(super) const DATACLOUD: Scheme = Scheme {
    name: "salesforce-datacloud",
    headers: &[DATACLOUD_SIGNATURE],
    handshake: Handshake::None,
    redact: None,
    shape: "base64 of 32 bytes: HMAC-SHA256 of the body",
    causes: &[usual::BODY, "a new key takes up to 15 minutes to count", "the other value of escaped_body"],
    verify: |evidence| {
        let signed = signed_form(evidence.settings, &evidence.request.body)
            .ok_or_else(|| invalid("the body is not text and cannot have been escaped"))?;
        verify(evidence, DATACLOUD_SIGNATURE, &signed)
    },
    sign: |order| {
        let signed = signed_form(order.settings, &order.body)
            .ok_or(SignError::Message("a body that is not text cannot be escaped"))?;
        sign(order, DATACLOUD_SIGNATURE, &signed)
    },
};

/// The body as sent; with `escaped_body` as it would stand inside a JSON string: the vendor's page asks for that
/// without saying more.
fn signed_form<'a>(settings: &SourceSettings, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if !settings.escaped_body {
        return Some(Cow::Borrowed(body));
    }
    let quoted = serde_json::to_string(str::from_utf8(body).ok()?).ok()?;
    let escaped = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(Cow::Owned(escaped.as_bytes().to_vec()))
}

fn verify(evidence: &Evidence<'_>, header: &'static str, signed: &[u8]) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let claimed =
        base64(&evidence.required(header)?).ok_or_else(|| invalid(format!("{header} is not base64")))?;
    let matched = prove(&candidates, |secret| hmac_matches(secret.as_bytes(), &[signed], &claimed))?;
    Ok(Proof::new(matched, None))
}

fn sign(order: &Order<'_>, header: &'static str, signed: &[u8]) -> Result<HttpRequest, SignError> {
    let digest = hmac_sha256(order.secret.as_bytes(), &[signed]).ok_or(EMPTY)?;
    Ok(order.request([("content-type", "application/json".to_owned()), (header, STANDARD.encode(digest))]))
}
