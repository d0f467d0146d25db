//! Key sets: which keys count at a time, and trying all of them.

use secrecy::ExposeSecret as _;

use crate::{
    config::{KeySettings, KeyState},
    domain::{reason::Reason, timestamp::Timestamp},
    signature::BadKey,
    sources::rejection::Fault,
};

/// A key that may be tried.
pub(super) struct Candidate<'a> {
    /// Position in the configured list.
    pub(super) index: usize,
    /// Its id.
    pub(super) id: &'a str,
    key: &'a KeySettings,
    /// Replay-only, or past its `not_after`: proves origin, but only for what our store knows already.
    retired: bool,
}

/// The key that matched.
#[derive(Debug)]
pub(super) struct Matched {
    /// Position in the configured list.
    pub(super) index: usize,
    /// It counts only for what our store knows already; the text says why.
    pub(super) retired: Option<String>,
}

/// The keys that may be tried at `now`, the scheme's own. Revoked keys and keys whose time has not come are left
/// out, and so is one with a date that cannot be read: fail closed.
///
/// # Errors
/// `sig_no_key` when none is left.
pub(super) fn usable<'a>(
    keys: impl Iterator<Item = &'a KeySettings>,
    now: Timestamp,
) -> Result<Vec<Candidate<'a>>, Fault> {
    let found: Vec<_> = keys.enumerate().filter_map(|(index, key)| candidate(index, key, now)).collect();
    if found.is_empty() {
        Err((Reason::SigNoKey, "no usable key is configured".to_owned()))
    } else {
        Ok(found)
    }
}

fn candidate(index: usize, key: &KeySettings, now: Timestamp) -> Option<Candidate<'_>> {
    let begun = match &key.not_before {
        Some(text) => Timestamp::parse_rfc3339(text)? <= now,
        None => true,
    };
    let ended = match &key.not_after {
        Some(text) => Timestamp::parse_rfc3339(text)? < now,
        None => false,
    };
    let retired = ended || key.state == KeyState::ReplayOnly;
    (begun && key.state != KeyState::Revoked).then_some(Candidate { index, id: &key.id, key, retired })
}

/// Tries every candidate, without an early exit, and prefers one that is not retired.
///
/// # Errors
/// `sig_invalid` when all could be tried and none matches; `secret_unavailable`, a deferral, when none of those
/// that could be read matches and at least one could not be read.
pub(super) fn prove(
    candidates: &[Candidate<'_>],
    matches: impl Fn(&str) -> Result<bool, BadKey>,
) -> Result<Matched, Fault> {
    let (mut good, mut retired, mut unread) = (None, None, None);
    for key in candidates {
        let tried = key.key.read().map_err(|e| format!("key {}: {e}", key.id)).and_then(|secret| {
            matches(secret.expose_secret()).map_err(|e| format!("key {}: {}", key.id, e.0))
        });
        match tried {
            Ok(true) if key.retired => retired = retired.or(Some(key)),
            Ok(true) => good = good.or(Some(key)),
            Ok(false) => {}
            Err(why) => unread = unread.or(Some(why)),
        }
    }
    match (good, retired, unread) {
        (Some(key), _, _) => Ok(Matched { index: key.index, retired: None }),
        (None, Some(key), _) => {
            let why = format!("key {} is good only for what is in the store already", key.id);
            Ok(Matched { index: key.index, retired: Some(why) })
        }
        (None, None, Some(why)) => Err((Reason::SecretUnavailable, why)),
        (None, None, None) => Err((Reason::SigInvalid, format!("no match among {} keys", candidates.len()))),
    }
}
