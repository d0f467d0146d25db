//! HubSpot, all under the app's client secret. Version 3: base64 HMAC-SHA256 of method + URI + body + timestamp (in
//! milliseconds). Versions 1 and 2: hex SHA-256 of secret + body, and of secret + method + URI + body.
//!
//! Whoever holds a valid pair of version 1 or 2 can append to its body (length extension): the appended bytes are
//! not JSON, which the vendor's reading insists on. Prefer version 3.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    signature::{BadKey, EMPTY, base64, hex_digest, hmac_matches, hmac_sha256, same},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::digits,
        keys::prove,
        rejection::Fault,
        usual,
    },
};

const PLAIN: &str = "x-hubspot-signature";
const VERSION: &str = "x-hubspot-signature-version";
const SIGNATURE: &str = "x-hubspot-signature-v3";
const TIMESTAMP: &str = "x-hubspot-request-timestamp";
/// The escapes that HubSpot undoes before it signs; every other one stays as it is.
/// developers.hubspot.com, "Request validation".
const DECODED: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];

/// Version 1.
pub(super) const V1: Scheme = Scheme {
    name: "hubspot-v1",
    headers: &[PLAIN, VERSION],
    handshake: Handshake::None,
    redact: None,
    shape: "64 hex digits: SHA-256 of secret and body",
    causes: &[usual::BODY, usual::KEY, "the app sends v3 by now: use hubspot-v3"],
    verify: |evidence| verify_plain(evidence, "v1", &[&evidence.request.body]),
    sign: |order| sign_plain(order, "v1", &[&order.body]),
};

/// Version 2: the URI as it stands, nothing decoded.
pub(super) const V2: Scheme = Scheme {
    name: "hubspot-v2",
    shape: "64 hex digits: SHA-256 of secret, method, URL and body",
    causes: &[usual::URL, usual::BODY, usual::KEY],
    verify: |evidence| {
        let request = evidence.request;
        let parts = [request.method.as_bytes(), evidence.url().as_bytes(), &request.body].concat();
        verify_plain(evidence, "v2", &[&parts])
    },
    sign: |order| sign_plain(order, "v2", &[order.method.as_bytes(), order.url.as_bytes(), &order.body]),
    ..V1
};

/// Version 3.
pub(super) const V3: Scheme = Scheme {
    name: "hubspot-v3",
    headers: &[SIGNATURE, TIMESTAMP],
    handshake: Handshake::None,
    redact: None,
    shape: "base64 of 32 bytes: HMAC-SHA256 of method, URL, body and the timestamp in milliseconds",
    causes: &[usual::URL, usual::BODY, usual::KEY, usual::AGE],
    verify,
    sign,
};

fn verify_plain(evidence: &Evidence<'_>, version: &str, parts: &[&[u8]]) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(PLAIN)?;
    if evidence.required(VERSION)? != version {
        return Err(invalid(format!("{VERSION} is not {version}")));
    }
    let claimed = hex_digest(&header).ok_or_else(|| invalid(format!("{PLAIN} is not 64 hex digits")))?;
    let matched = prove(&candidates, |secret| Ok(same(&plain_hash(secret, parts)?, &claimed)))?;
    Ok(Proof::new(matched, None))
}

fn sign_plain(order: &Order<'_>, version: &str, parts: &[&[u8]]) -> Result<HttpRequest, SignError> {
    Ok(order.request([
        ("content-type", "application/json".to_owned()),
        (VERSION, version.to_owned()),
        (PLAIN, hex::encode(plain_hash(order.secret, parts)?)),
    ]))
}

/// Not keyed: the secret is simply the first part.
fn plain_hash(secret: &str, parts: &[&[u8]]) -> Result<[u8; 32], BadKey> {
    if secret.is_empty() {
        return Err(EMPTY);
    }
    let hash = parts.iter().fold(Sha256::new_with_prefix(secret), |hash, part| hash.chain_update(part));
    Ok(hash.finalize().into())
}

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(SIGNATURE)?;
    let timestamp = evidence.required(TIMESTAMP)?;
    let claimed = base64(&header).ok_or_else(|| invalid("the v3 signature is not base64"))?;
    let at = digits(&timestamp).ok_or_else(|| invalid("the timestamp is not plain digits"))?;
    let request = evidence.request;
    let uri = signed_uri(&evidence.url());
    let parts = [request.method.as_bytes(), uri.as_bytes(), &request.body, timestamp.as_bytes()];
    let matched = prove(&candidates, |secret| hmac_matches(secret.as_bytes(), &parts, &claimed))?;
    Ok(Proof::new(matched, evidence.stale(Timestamp::from_millis(at))))
}

/// The URI as HubSpot signs it: the table decoded once.
fn signed_uri(url: &str) -> String {
    let mut decoded = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        decoded.push_str(before);
        let hit = DECODED.iter().find(|(escape, _)| tail.starts_with(escape));
        let (plain, taken) = hit.map_or(('%', 1), |(escape, plain)| (*plain, escape.len()));
        decoded.push(plain);
        rest = &tail[taken..];
    }
    decoded + rest
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.millis().to_string();
    let uri = signed_uri(order.url);
    let parts = [order.method.as_bytes(), uri.as_bytes(), &order.body, timestamp.as_bytes()];
    let digest = hmac_sha256(order.secret.as_bytes(), &parts).ok_or(EMPTY)?;
    Ok(order.request([
        ("content-type", "application/json".to_owned()),
        (TIMESTAMP, timestamp),
        (SIGNATURE, STANDARD.encode(digest)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::signed_uri;

    #[test]
    fn decodes_the_table_once_and_nothing_else() {
        let cases = [
            (
                "https://a.example/h?x=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B",
                "https://a.example/h?x=:/?@!$'()*,;",
            ),
            ("https://a.example/%20%25%26%3D%2B%23%3a", "https://a.example/%20%25%26%3D%2B%23%3a"),
            ("https://a.example/%253A%", "https://a.example/%253A%"),
            ("https://a.example/é%3Aü", "https://a.example/é:ü"),
        ];
        for (url, signed) in cases {
            assert_eq!(signed_uri(url), signed);
        }
    }
}
