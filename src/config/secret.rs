//! Secrets by reference: the configuration says where a secret is, never what it is.

use serde::Deserialize;

/// `env:NAME`, `file:/path` or `credential:NAME` (systemd). Read at use, so that a new value counts without a restart.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);

impl std::fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretRef(..)")
    }
}
