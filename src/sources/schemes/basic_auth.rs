//! HTTP basic authentication (RFC 7617), for senders that sign nothing: Pipedrive, Bandwidth. A key's secret is
//! `user:password`. It proves neither the body nor its age: use long random passwords, and TLS up to the edge.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::envelope::HttpRequest,
    signature::{BadKey, base64, same},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        rejection::Fault,
        usual,
    },
};

const CREDENTIAL: &str = "authorization";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "basic-auth",
    headers: &[CREDENTIAL],
    handshake: Handshake::None,
    redact: None,
    shape: "Basic and base64 of user:password",
    causes: &["a proxy took the authorization header away", usual::KEY],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(CREDENTIAL)?;
    let claimed = shown(&header).ok_or_else(|| invalid("authorization is not `Basic` and base64"))?;
    let matched = prove(&candidates, |secret| Ok(same(whole(secret)?, &claimed)))?;
    Ok(Proof::new(matched, None))
}

/// The bytes behind `Basic`, a word whose case does not count.
fn shown(header: &str) -> Option<Vec<u8>> {
    let (scheme, credential) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| base64(credential.trim_start_matches(' '))).flatten()
}

/// A credential without a password would be known to whoever knows the user.
fn whole(secret: &str) -> Result<&[u8], BadKey> {
    match secret.split_once(':') {
        Some((_, password)) if !password.is_empty() => Ok(secret.as_bytes()),
        _ => Err(BadKey("it must be `user:password`")),
    }
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let credential = format!("Basic {}", STANDARD.encode(whole(order.secret)?));
    Ok(order.request([("content-type", "application/json".to_owned()), (CREDENTIAL, credential)]))
}
