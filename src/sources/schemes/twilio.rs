//! Twilio: `X-Twilio-Signature`, base64 HMAC-SHA1 of the URL and the sorted form fields under the auth token, no
//! timestamp. Anything but a form is bound by its hash in the URL (`bodySHA256`). With a SharedKey a second header
//! names key and algorithm. twilio.com/docs/usage/webhooks, "Webhooks security" and "Webhook shared keys".

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded::parse;

use crate::{
    domain::envelope::HttpRequest,
    signature::{BadKey, EMPTY, base64, hex_digest, hmac_sha1, hmac_sha256, same},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        rejection::Fault,
        schemes::form::{FORM, JSON, media_type, signed_fields},
        usual,
    },
};

const SIGNATURE: &str = "x-twilio-signature";
const SHARED_KEY: &str = "x-twilio-webhooks-signature-settings";
const BODY_HASH: &str = "bodySHA256";
/// How the ids of SharedKeys begin.
const SHARED_KEY_ID: &str = "webhooks_sharedkey_";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "twilio",
    headers: &[SIGNATURE, SHARED_KEY, "content-type"],
    handshake: Handshake::None,
    redact: None,
    shape: "base64 of 20 bytes (SharedKey: 32): HMAC of the URL and the sorted form fields",
    causes: &[usual::URL, "a form field was lost, decoded or re-ordered", usual::KEY],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let mut candidates = evidence.candidates()?;
    let claimed = base64(&evidence.required(SIGNATURE)?)
        .ok_or_else(|| invalid(format!("{SIGNATURE} is not base64")))?;
    let mut algorithm = Algorithm::Sha1;
    if let Some(header) = evidence.request.header(SHARED_KEY) {
        // Not signed itself: it may only select one of this source's keys.
        let (id, named) = shared_key(&header).ok_or_else(|| {
            invalid(format!("{SHARED_KEY} is not `key=...,algorithm=...` with an algorithm that we know"))
        })?;
        candidates.retain(|key| key.id == id);
        algorithm = named;
    }
    if candidates.is_empty() {
        return Err(invalid(format!("{SHARED_KEY} names no usable key")));
    }
    let fields = fields(evidence.request)?;
    let urls = with_and_without_port(&evidence.url());
    let matched = prove(&candidates, |secret| {
        urls.iter().try_fold(false, |found, url| {
            Ok(found | same(&algorithm.digest(secret, url, &fields)?, &claimed))
        })
    })?;
    Ok(Proof::new(matched, None))
}

#[derive(Clone, Copy)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    fn digest(self, secret: &str, url: &str, fields: &str) -> Result<Vec<u8>, BadKey> {
        let parts = [url.as_bytes(), fields.as_bytes()];
        let digest = match self {
            Self::Sha1 => hmac_sha1(secret.as_bytes(), &parts),
            Self::Sha256 => hmac_sha256(secret.as_bytes(), &parts).map(|digest| digest.to_vec()),
        };
        digest.ok_or(EMPTY)
    }
}

/// Key id and algorithm, each named once and nothing else.
fn shared_key(header: &str) -> Option<(&str, Algorithm)> {
    let (one, other) = header.split_once(',')?;
    let (key, algorithm) = if one.starts_with("key=") { (one, other) } else { (other, one) };
    let algorithm = match algorithm.strip_prefix("algorithm=")? {
        "HMAC_SHA1" => Algorithm::Sha1,
        "HMAC_SHA256" => Algorithm::Sha256,
        _ => return None,
    };
    key.strip_prefix("key=").filter(|id| !id.is_empty()).map(|id| (id, algorithm))
}

/// What follows the URL: the fields of a form. Of any other body nothing does; its hash must stand in the URL.
fn fields(request: &HttpRequest) -> Result<String, Fault> {
    let media_type = request.header("content-type").unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(FORM) {
        return Ok(signed_fields(&request.body));
    }
    let mut hashes = parse(query(&request.url).as_bytes()).filter(|(name, _)| name == BODY_HASH);
    match (hashes.next(), hashes.next()) {
        (None, _) if request.body.is_empty() => Ok(String::new()),
        (None, _) => Err(invalid(format!("nothing binds the body: no form, and no {BODY_HASH} in the URL"))),
        (Some((_, hash)), None) if bound(&hash, &request.body) => Ok(String::new()),
        _ => Err(invalid(format!("{BODY_HASH} is not the body's"))),
    }
}

fn bound(hash: &str, body: &[u8]) -> bool {
    hex_digest(hash).is_some_and(|claimed| same(&Sha256::digest(body), &claimed))
}

fn query(url: &str) -> &str {
    url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query)
}

/// The URL as it is, and with the default port added or taken away: whether that is signed is not consistent.
fn with_and_without_port(url: &str) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return urls };
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return urls,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // Colons also stand in user info and inside the brackets of IPv6 addresses.
    let host = authority.rsplit(['@', ']']).next().unwrap_or_default();
    if let Some(bare) = authority.strip_suffix(port) {
        urls.push(format!("{scheme}://{bare}{path}"));
    } else if !host.contains(':') {
        urls.push(format!("{scheme}://{authority}{port}{path}"));
    }
    urls
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let mut order = order.clone();
    let mut headers = Vec::new();
    let hashed = media_type(&order.body) == JSON;
    let joint = if order.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{joint}{BODY_HASH}={}", order.url, hex::encode(Sha256::digest(&order.body)));
    let fields = if hashed {
        order.url = &url;
        headers.push(("content-type", JSON.to_owned()));
        String::new()
    } else {
        headers.push(("content-type", format!("{FORM}; charset=UTF-8")));
        signed_fields(&order.body)
    };
    let shared = order.key_id.filter(|id| id.starts_with(SHARED_KEY_ID));
    let algorithm = if shared.is_some() { Algorithm::Sha256 } else { Algorithm::Sha1 };
    headers.extend(shared.map(|id| (SHARED_KEY, format!("key={id},algorithm=HMAC_SHA256"))));
    let digest = algorithm.digest(order.secret, order.url, &fields)?;
    headers.push((SIGNATURE, STANDARD.encode(digest)));
    Ok(order.request(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_comes_and_goes_and_no_other() {
        let cases = [
            ("https://a.test/p?q", Some("https://a.test:443/p?q")),
            ("https://a.test:443/p", Some("https://a.test/p")),
            ("https://a.test", Some("https://a.test:443")),
            ("https://a.test?x=:1", Some("https://a.test:443?x=:1")),
            ("http://a.test/p", Some("http://a.test:80/p")),
            ("http://a.test:80/p", Some("http://a.test/p")),
            ("https://u:p@a.test/p", Some("https://u:p@a.test:443/p")),
            ("https://[2001:db8::1]/p", Some("https://[2001:db8::1]:443/p")),
            ("https://[2001:db8::1]:443/p", Some("https://[2001:db8::1]/p")),
            ("https://a.test:8443/p", None),
            ("https://a.test:80/p", None),
            ("ftp://a.test/p", None),
            ("nonsense", None),
        ];
        for (url, other) in cases {
            let expected: Vec<&str> = [Some(url), other].into_iter().flatten().collect();
            assert_eq!(with_and_without_port(url), expected);
        }
    }

    #[test]
    fn a_shared_key_is_named_once() {
        let cases = [
            ("key=k1,algorithm=HMAC_SHA256", true),
            ("algorithm=HMAC_SHA1,key=k1", true),
            ("key=k1,algorithm=HMAC_MD5", false),
            ("key=,algorithm=HMAC_SHA256", false),
            ("key=k1", false),
            ("", false),
            ("key=k1,algorithm=HMAC_SHA256,key=k2", false),
            ("key=k1,algorithm=HMAC_SHA256, key=k1,algorithm=HMAC_SHA256", false),
        ];
        for (header, good) in cases {
            assert_eq!(shared_key(header).map(|(id, _)| id), good.then_some("k1"), "{header}");
        }
    }
}
