//! Names of things: each its own type, so that one cannot be passed for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A configured sender, such as `whatsapp-main`. Selects scheme, keys and tenant.
    SourceName
}
text_id! {
    /// Whose event it is, by our own name for the customer.
    TenantId
}
text_id! {
    /// What makes a duplicate: source, the sender's account and the sender's own id, never the tenant.
    EventKey
}
text_id! {
    /// One command of the outbox: the event key, its revision and a position, so that a repeated commit makes no second one.
    CommandId
}
text_id! {
    /// Follows one piece of work through logs, rows and outbound headers.
    CorrelationId
}

/// Longest key kept as readable text, in bytes; a longer one keeps its beginning and a hash.
const LONGEST_KEY: usize = 400;

impl EventKey {
    /// `source:account:id`. Parts longer than 400 bytes in all are cut and made unique again with a hash of
    /// the whole, and so is a key with a NUL, which no database keeps.
    #[must_use]
    pub fn new(source: &SourceName, account: &str, id: &str) -> Self {
        let whole = format!("{source}:{account}:{id}");
        if whole.len() <= LONGEST_KEY && !whole.contains('\0') {
            return Self(whole);
        }
        let cut = (0..=LONGEST_KEY - 80).rev().find(|&i| whole.is_char_boundary(i)).unwrap_or(0);
        let kept = whole[..cut].replace('\0', "");
        Self(format!("{kept}~{}", sha256_hex(&[whole.as_bytes()])))
    }
}

/// The fencing ticket of a claim: every claim of an event gets a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub i64);

/// A fresh start of one event by a replay; the first is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i32);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lower-case hex SHA-256 over parts, each preceded by its length, so that no two lists of parts collide.
#[must_use]
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::{EventKey, SourceName};

    #[test]
    fn keys_stay_distinct_when_they_are_cut() {
        let source = SourceName::from("s");
        let key = |id: &str| EventKey::new(&source, "a", id);
        assert_eq!(key("1").as_str(), "s:a:1");
        let long = "ä".repeat(300);
        let cut = key(&long);
        assert!(cut.as_str().len() <= 400 && cut != key(&format!("{long}x")), "{cut}");
        let (nul, none) = (key("1\0"), key("1"));
        assert!(!nul.as_str().contains('\0') && nul != none && nul != key("\x001"), "{nul}");
    }
}
