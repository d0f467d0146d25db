//! Secrets by reference: the configuration says where a secret is, never what it is.

use secrecy::SecretString;
use serde::Deserialize;

/// `env:NAME`, `file:/path` or `credential:NAME` (systemd). Read at use, so that a new value counts without a restart.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);

/// Why a secret cannot be read. Never holds the secret.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret behind {0}")]
pub struct SecretError(String);

impl SecretRef {
    /// The secret as it is now.
    ///
    /// # Errors
    /// When the reference has another form, or nothing can be read behind it.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let found = match self.0.split_once(':') {
            Some(("env", name)) => variable(name),
            Some(("file", path)) => std::fs::read_to_string(path).ok(),
            Some(("credential", name)) => variable("CREDENTIALS_DIRECTORY")
                .and_then(|folder| std::fs::read_to_string(format!("{folder}/{name}")).ok()),
            _ => return Err(SecretError("a value that is not a reference".to_owned())),
        };
        found
            .map(|text| SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
            .ok_or_else(|| SecretError(self.0.clone()))
    }
}

#[expect(clippy::disallowed_methods, reason = "the configuration is the place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl std::fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretRef(..)")
    }
}
