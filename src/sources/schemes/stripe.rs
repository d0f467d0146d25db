//! Stripe: `Stripe-Signature: t=...,v1=...`, hex HMAC-SHA256 of `t.body`. The key is the whole `whsec_...` text, not
//! decoded; while a secret is rolled there are several `v1`. docs.stripe.com/webhooks, "Verify manually".

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    signature::{EMPTY, MOST_SIGNATURES, hex_digest, hmac_matches, hmac_sha256},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        freshness::digits,
        keys::prove,
        rejection::Fault,
        usual,
    },
};

const SIGNATURE: &str = "stripe-signature";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "stripe",
    headers: &[SIGNATURE],
    handshake: Handshake::None,
    redact: None,
    shape: "t=seconds,v1=64 hex digits: HMAC-SHA256 of t.body",
    causes: &[
        usual::BODY,
        "every endpoint has a secret of its own, as has the command line tool",
        "the whole whsec_ text is the key: it is not decoded",
        usual::AGE,
    ],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let header = evidence.required(SIGNATURE)?;
    let (timestamp, signatures) = elements(&header)?;
    let at = digits(timestamp).ok_or_else(|| invalid(format!("`t` of {SIGNATURE} is not plain digits")))?;
    let parts = content(timestamp, &evidence.request.body);
    let matched = prove(&candidates, |secret| {
        signatures
            .iter()
            .try_fold(false, |found, claimed| Ok(found | hmac_matches(secret.as_bytes(), &parts, claimed)?))
    })?;
    Ok(Proof::new(matched, evidence.stale(Timestamp::from_seconds(at))))
}

/// The one `t` and the `v1` signatures. Of two `t` libraries read different ones, and a value that a proxy joined
/// from two header lines (`a, b`) has two: neither counts.
fn elements(header: &str) -> Result<(&str, Vec<Vec<u8>>), Fault> {
    if header.contains(", ") {
        return Err(invalid(format!("{SIGNATURE} stands on several lines")));
    }
    let pairs = || header.split(',').filter_map(|element| element.split_once('='));
    let mut times = pairs().filter(|(name, _)| *name == "t").map(|(_, value)| value);
    let (Some(timestamp), None) = (times.next(), times.next()) else {
        return Err(invalid(format!("{SIGNATURE} does not hold exactly one `t`")));
    };
    let versions = pairs().filter(|(name, _)| *name == "v1").take(MOST_SIGNATURES);
    let signatures: Vec<_> = versions.filter_map(|(_, text)| hex_digest(text)).collect();
    if signatures.is_empty() {
        return Err(invalid(format!("{SIGNATURE} holds no `v1` of 64 hex digits")));
    }
    Ok((timestamp, signatures))
}

fn content<'a>(timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 3] {
    [timestamp.as_bytes(), b".", body]
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.seconds().to_string();
    let digest = hmac_sha256(order.secret.as_bytes(), &content(&timestamp, &order.body)).ok_or(EMPTY)?;
    Ok(order.request([
        ("content-type", "application/json; charset=utf-8".to_owned()),
        (SIGNATURE, format!("t={timestamp},v1={}", hex::encode(digest))),
    ]))
}
