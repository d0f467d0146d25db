//! HubSpot, signature version 3: `X-HubSpot-Signature-v3`, base64 HMAC-SHA256 of method + URI + body + timestamp
//! under the app's client secret; the timestamp is in milliseconds.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::digits,
        keys::prove,
        rejection::Fault,
        signature::{base64, hmac_matches, hmac_sha256},
    },
};

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

/// Version 3.
pub(super) const V3: Scheme = Scheme {
    name: "hubspot-v3",
    headers: &[SIGNATURE, TIMESTAMP],
    handshake: Handshake::None,
    redact: None,
    verify,
    sign,
};

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
    let digest = hmac_sha256(order.secret.as_bytes(), &parts).ok_or(SignError::Key("the secret is empty"))?;
    Ok(HttpRequest {
        method: order.method.to_owned(),
        url: order.url.to_owned(),
        headers: [
            ("content-type", "application/json".to_owned()),
            (TIMESTAMP, timestamp),
            (SIGNATURE, STANDARD.encode(digest)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        body: order.body.clone(),
    })
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
