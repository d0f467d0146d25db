//! What a relay through Amazon EventBridge puts around an event.

use serde_json::Value;

/// Where the fields of an event stand.
pub(super) struct Relayed<'a> {
    /// The whole EventBridge event.
    pub(super) body: &'a Value,
    /// JSON pointer to the fields.
    pub(super) place: &'static str,
    /// The organisation, 18 characters.
    pub(super) organization: String,
}
