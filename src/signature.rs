//! How requests are signed, by whoever signs or proves one: keyed digests, and the signature list of Standard Webhooks.

use aws_lc_rs::{
    hmac::{self as legacy, HMAC_SHA1_FOR_LEGACY_USE_ONLY},
    signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// A secret that is not a key for what it is to sign. Says nothing about its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadKey(pub(crate) &'static str);

/// Most entries of a signature list that are looked at: a long header must not buy processor time.
pub(crate) const MOST_SIGNATURES: usize = 16;

/// An empty secret, which everybody knows.
pub(crate) const EMPTY: BadKey = BadKey("the secret is empty");

/// HMAC-SHA256 over parts in a row. `None` for an empty key, which everybody knows.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
    if key.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}

/// Is this the HMAC of the parts? Constant time; another length is simply wrong.
pub(crate) fn hmac_matches(key: &[u8], parts: &[&[u8]], claimed: &[u8]) -> Result<bool, BadKey> {
    let digest = hmac_sha256(key, parts).ok_or(EMPTY)?;
    Ok(same(&digest, claimed))
}

/// HMAC-SHA1 over parts in a row, for vendors that still sign so. `None` for an empty key.
pub(crate) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
    if key.is_empty() {
        return None;
    }
    let mut mac = legacy::Context::with_key(&legacy::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
    for part in parts {
        mac.update(part);
    }
    Some(mac.sign().as_ref().to_vec())
}

/// Are the bytes the same? Constant time; another length is simply wrong.
pub(crate) fn same(expected: &[u8], claimed: &[u8]) -> bool {
    expected.ct_eq(claimed).into()
}

/// A SHA-256 digest as 64 hex digits.
pub(crate) fn hex_digest(text: &str) -> Option<Vec<u8>> {
    Some(text).filter(|text| text.len() == 64).and_then(|text| hex::decode(text).ok())
}

/// Strict base64 with padding.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A key of Standard Webhooks and of the internal scheme.
pub(crate) enum Key {
    /// `whsec_` + base64, or base64 alone: HMAC-SHA256.
    Shared(Vec<u8>),
    /// `whpk_` + base64 of 32 bytes: Ed25519, verifies only.
    Public(Vec<u8>),
    /// `whsk_` + base64 of seed and public key: Ed25519, signs and verifies.
    Pair(Vec<u8>, Vec<u8>),
}

impl Key {
    /// Reads a key as the vendor ships it.
    pub(crate) fn parse(text: &str) -> Result<Self, BadKey> {
        let bytes = |rest| base64(rest).ok_or(BadKey("not base64 behind its prefix"));
        if let Some(rest) = text.strip_prefix("whpk_") {
            return match bytes(rest)? {
                key if key.len() == 32 => Ok(Self::Public(key)),
                _ => Err(BadKey("a public key has 32 bytes")),
            };
        }
        if let Some(rest) = text.strip_prefix("whsk_") {
            return match bytes(rest)? {
                both if both.len() == 64 => Ok(Self::Pair(both[..32].to_vec(), both[32..].to_vec())),
                _ => Err(BadKey("a signing key has 32 bytes of seed and 32 of public key")),
            };
        }
        match bytes(text.strip_prefix("whsec_").unwrap_or(text))? {
            key if key.is_empty() => Err(EMPTY),
            key => Ok(Self::Shared(key)),
        }
    }

    /// One `version,base64` entry over `id.timestamp.body`; `None` for a public key.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
        match self {
            Self::Shared(key) => {
                let digest = hmac_sha256(key, &content(id, timestamp, body))?;
                Some(format!("v1,{}", STANDARD.encode(digest)))
            }
            Self::Pair(seed, public) => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
                Some(format!("v1a,{}", STANDARD.encode(pair.sign(&content(id, timestamp, body).concat()))))
            }
            Self::Public(_) => None,
        }
    }
}

/// The signatures of a `webhook-signature` header that have a version we know.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    hmac: Vec<Vec<u8>>,
    ed25519: Vec<Vec<u8>>,
}

impl Signatures {
    /// Reads a space-separated list. Entries of unknown versions and broken ones are skipped. A value that a proxy
    /// joined from two header lines (`a, b`) holds none: which of them the sender meant is anybody's guess.
    pub(crate) fn parse(header: &str) -> Self {
        let mut found = Self::default();
        if header.contains(", ") {
            return found;
        }
        for entry in header.split(' ').take(MOST_SIGNATURES) {
            match entry.split_once(',') {
                Some(("v1", text)) => found.hmac.extend(base64(text)),
                Some(("v1a", text)) => found.ed25519.extend(base64(text)),
                _ => {}
            }
        }
        found
    }

    /// Does any of them prove this content under this key? Each is tried; the key decides the algorithm.
    pub(crate) fn prove(&self, key: &Key, id: &str, timestamp: &str, body: &[u8]) -> Result<bool, BadKey> {
        let parts = content(id, timestamp, body);
        match key {
            Key::Shared(secret) => self
                .hmac
                .iter()
                .try_fold(false, |found, claimed| Ok(found | hmac_matches(secret, &parts, claimed)?)),
            Key::Public(public) | Key::Pair(_, public) => {
                // Copied only where there is something to check.
                let whole = if self.ed25519.is_empty() { Vec::new() } else { parts.concat() };
                let key = UnparsedPublicKey::new(&ED25519, public);
                Ok(self
                    .ed25519
                    .iter()
                    .fold(false, |found, claimed| found | key.verify(&whole, claimed).is_ok()))
            }
        }
    }
}

fn content<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// No dots: `id.timestamp.body` could otherwise be cut in two ways.
pub(crate) fn is_id(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
