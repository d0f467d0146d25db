//! Receipt handles: which queue, which message, which receive of it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

const MARK: &[u8; 4] = b"lsq1";

/// What a receipt handle says. The token is drawn anew at every receive: a superseded handle names a
/// message but settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) queue: i64,
    pub(super) seq: i64,
    pub(super) token: i64,
}

impl Handle {
    pub(super) fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend_from_slice(MARK);
        for part in [self.queue, self.seq, self.token] {
            bytes.extend_from_slice(&part.to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Nothing for a text that no receive of ours gave out.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let parts = bytes.strip_prefix(MARK)?;
        if parts.len() != 24 {
            return None;
        }
        let part = |at: usize| Some(i64::from_be_bytes(parts.get(at..at + 8)?.try_into().ok()?));
        Some(Self { queue: part(0)?, seq: part(8)?, token: part(16)? })
    }
}

/// A token nobody can guess and no other receive has.
pub(super) fn fresh_token() -> i64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // Rotated, so that the fixed version and variant bits of one half meet random bits of the other.
    i64::from_be_bytes((high ^ low.rotate_left(32)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let handle = Handle { queue: 3, seq: i64::MAX, token: -7 };
        assert_eq!(Handle::decode(&handle.encode()), Some(handle));
    }

    #[test]
    fn garbage_is_no_handle() {
        for text in ["", "garbage", "not-a-handle", "bHNxMQ", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(Handle::decode(text), None, "{text}");
        }
    }
}
