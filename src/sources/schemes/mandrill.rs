//! Mandrill: `X-Mandrill-Signature`, base64 HMAC-SHA1 of the URL, exactly as it was typed in, and the sorted form
//! fields under the webhook's own key. No timestamp. mailchimp.com/developer, "Authenticate webhook requests".

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::envelope::HttpRequest,
    signature::{BadKey, EMPTY, base64, hmac_sha1, same},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        rejection::Fault,
        schemes::form::{FORM, signed_fields},
        usual,
    },
};

const SIGNATURE: &str = "x-mandrill-signature";
/// Signs the vendor's check of a new URL; everybody knows it.
const PUBLIC_KEY: &str = "test-webhook";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "mandrill",
    headers: &[SIGNATURE],
    handshake: Handshake::None,
    redact: None,
    shape: "base64 of 20 bytes: HMAC-SHA1 of the URL and the sorted form fields",
    causes: &[usual::URL, "the slash at the end of the URL counts", usual::KEY],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let claimed = base64(&evidence.required(SIGNATURE)?)
        .ok_or_else(|| invalid(format!("{SIGNATURE} is not base64")))?;
    let (url, fields) = (evidence.url(), signed_fields(&evidence.request.body));
    let matched = prove(&candidates, |secret| Ok(same(&digest(secret, &url, &fields)?, &claimed)))?;
    Ok(Proof::new(matched, None))
}

fn digest(secret: &str, url: &str, fields: &str) -> Result<Vec<u8>, BadKey> {
    if secret == PUBLIC_KEY {
        return Err(BadKey("it is the vendor's public test key"));
    }
    hmac_sha1(secret.as_bytes(), &[url.as_bytes(), fields.as_bytes()]).ok_or(EMPTY)
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let digest = digest(order.secret, order.url, &signed_fields(&order.body))?;
    Ok(order.request([("content-type", FORM.to_owned()), (SIGNATURE, STANDARD.encode(digest))]))
}
