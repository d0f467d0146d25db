//! Vonage Messages and Voice: `Authorization: Bearer <JWT>`, HS256 under the account's signature secret. The claim
//! `payload_hash`, hex SHA-256 of the body, binds the body; `iat` and `exp` the time. All of it is required but `exp`:
//! the vendor's libraries check the token only. developer.vonage.com, "Signed webhooks".

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    signature::{hmac_matches, hmac_sha256},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        rejection::Fault,
        usual,
    },
};

const AUTHORIZATION: &str = "authorization";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "vonage-jwt",
    headers: &[AUTHORIZATION],
    handshake: Handshake::None,
    redact: None,
    shape: "Bearer and a JWT of three parts, HS256, with iat and payload_hash",
    causes: &[usual::BODY, "the key must be the signature secret, not the API secret", usual::AGE],
    verify,
    sign,
};

#[derive(Deserialize)]
struct Head {
    alg: String,
    /// Extensions that a receiver must understand; we understand none.
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: Option<i64>,
    nbf: Option<i64>,
    payload_hash: String,
}

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(AUTHORIZATION)?;
    let token = bearer(&header).ok_or_else(|| invalid("the authorization is no bearer token"))?;
    let (content, signature) = token.rsplit_once('.').ok_or_else(|| invalid("the token is not a JWT"))?;
    let (head, claims) = content.split_once('.').ok_or_else(|| invalid("the token is not a JWT"))?;
    let head: Head = part(head).ok_or_else(|| invalid("the token's header cannot be read"))?;
    // The token does not choose: `none`, HS512 or RS256 are refused before any key is tried.
    if head.alg != "HS256" || head.crit.is_some() {
        return Err(invalid("the token's algorithm is not HS256"));
    }
    let claimed =
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| invalid("the token's signature is not base64url"))?;
    let matched =
        prove(&candidates, |secret| hmac_matches(secret.as_bytes(), &[content.as_bytes()], &claimed))?;
    let claims: Claims = part(claims)
        .ok_or_else(|| invalid("the claims lack `iat` or `payload_hash`, or are of another type"))?;
    let hash = hex::decode(&claims.payload_hash).unwrap_or_default();
    if !bool::from(Sha256::digest(&evidence.request.body).as_slice().ct_eq(&hash)) {
        return Err(invalid("`payload_hash` is not the hash of this body"));
    }
    Ok(Proof::new(matched, stale(evidence, &claims)))
}

/// The token of a bearer authorization; the scheme's name is case-insensitive (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// One part of the token; `None` for what is neither base64url nor JSON of this shape.
fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn stale(evidence: &Evidence<'_>, claims: &Claims) -> Option<String> {
    let now = evidence.now.seconds();
    if claims.exp.is_some_and(|end| end <= now) {
        return Some("the token's `exp` had passed when it was received".to_owned());
    }
    if claims.nbf.is_some_and(|start| start > now) {
        return Some("the token's `nbf` had not come when it was received".to_owned());
    }
    // Within the years that a timestamp can hold; anything else is far outside any tolerance.
    if (0..=253_402_300_799).contains(&claims.iat) {
        evidence.stale(Timestamp::from_seconds(claims.iat))
    } else {
        Some("the token's `iat` is not a time".to_owned())
    }
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(&json!({"alg": "HS256", "typ": "JWT"}));
    let claims = part(&json!({
        "iat": order.at.seconds(),
        "jti": order.id,
        "iss": "Vonage",
        "payload_hash": hex::encode(Sha256::digest(&order.body)),
    }));
    let content = format!("{head}.{claims}");
    let digest = hmac_sha256(order.secret.as_bytes(), &[content.as_bytes()])
        .ok_or(SignError::Key("the secret is empty"))?;
    let token = format!("Bearer {content}.{}", URL_SAFE_NO_PAD.encode(digest));
    let headers = [("content-type", "application/json".to_owned()), (AUTHORIZATION, token)];
    Ok(order.request(headers))
}
