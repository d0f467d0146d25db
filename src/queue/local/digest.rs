//! The MD5 digests that SQS clients check.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// A message attribute as it travels: the binary value stays base64 text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireAttribute {
    #[serde(rename = "DataType", default)]
    pub(super) data_type: String,
    #[serde(rename = "StringValue", default, skip_serializing_if = "Option::is_none")]
    pub(super) string: Option<String>,
    #[serde(rename = "BinaryValue", default, skip_serializing_if = "Option::is_none")]
    pub(super) binary: Option<String>,
}

impl WireAttribute {
    /// The binary value's bytes; nothing when it is not base64.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        self.binary.as_ref().and_then(|text| STANDARD.decode(text).ok())
    }
}

/// By name, sorted, as the digest wants them.
pub(super) type WireAttributes = BTreeMap<String, WireAttribute>;

/// Digest of a body, lower-case hex.
pub(super) fn of_body(body: &str) -> String {
    hex::encode(Md5::digest(body.as_bytes()))
}

/// Digest of message attributes: names sorted; length-prefixed name, type, transport byte, value
/// (Amazon SQS Developer Guide, "Calculating the MD5 message digest for message attributes").
pub(super) fn of_attributes(attributes: &WireAttributes) -> String {
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        prefixed(&mut digest, name.as_bytes());
        prefixed(&mut digest, attribute.data_type.as_bytes());
        match (&attribute.string, attribute.bytes()) {
            (None, Some(bytes)) => {
                digest.update([2]);
                prefixed(&mut digest, &bytes);
            }
            (text, _) => {
                digest.update([1]);
                prefixed(&mut digest, text.as_deref().unwrap_or_default().as_bytes());
            }
        }
    }
    hex::encode(digest.finalize())
}

fn prefixed(digest: &mut Md5, bytes: &[u8]) {
    // A message is at most 1 MiB, so the length always fits.
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        let text = |value: &str| WireAttribute {
            data_type: "String".into(),
            string: Some(value.into()),
            binary: None,
        };
        let attributes = WireAttributes::from([("k".to_owned(), text("v"))]);
        let by_hand = hex::encode(Md5::digest(b"\0\0\0\x01k\0\0\0\x06String\x01\0\0\0\x01v"));
        assert_eq!(of_attributes(&attributes), by_hand);
    }
}
