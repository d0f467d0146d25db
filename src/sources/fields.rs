//! Reading fields of a vendor's JSON, where every complaint names the place and never the value.

use serde_json::Value;

use crate::{
    domain::{ids::sha256_hex, reason::Reason, timestamp::Timestamp},
    sources::{
        freshness::digits,
        rejection::{Fault, json_fault, mismatch},
    },
};

/// Parses a body. Nesting is bounded at 128 levels by the parser.
pub(super) fn body(bytes: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(bytes).map_err(|e| (Reason::PayloadMalformed, json_fault(&e)))
}

/// Text that is there, if it is text.
pub(super) fn optional_text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// Text that must be there and not be empty.
pub(super) fn text(value: &Value, pointer: &str) -> Result<String, Fault> {
    optional_text(value, pointer)
        .filter(|t| !t.is_empty())
        .ok_or_else(|| mismatch(pointer, "text is required"))
}

/// Text that may be absent, null or empty, and nothing else.
pub(super) fn text_or_none(value: &Value, pointer: &str) -> Result<Option<String>, Fault> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(mismatch(pointer, "text is expected")),
    }
}

/// An id that vendors write as text here and as a number there: its text or its digits. Absent and null are none.
pub(super) fn id_or_none(value: &Value, pointer: &str) -> Result<Option<String>, Fault> {
    match value.pointer(pointer) {
        Some(Value::Number(_)) => whole_number(value, pointer).map(Some),
        _ => text_or_none(value, pointer),
    }
}

/// [`id_or_none`] that must be there.
pub(super) fn id(value: &Value, pointer: &str) -> Result<String, Fault> {
    id_or_none(value, pointer)?.ok_or_else(|| mismatch(pointer, "an id is required"))
}

/// Tells bodies apart that carry no id of their own. The order of members and white space do not count.
pub(super) fn digest(body: &Value) -> String {
    sha256_hex(&[body.to_string().as_bytes()])[..32].to_owned()
}

/// A list; absent is empty, anything else is refused.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value], Fault> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(mismatch(pointer, "a list is expected")),
    }
}

/// A whole number of any size up to 64 bits, as its digits: never through a float.
pub(super) fn whole_number(value: &Value, pointer: &str) -> Result<String, Fault> {
    match value.pointer(pointer) {
        Some(Value::Number(n)) if n.is_u64() || n.is_i64() => Ok(n.to_string()),
        _ => Err(mismatch(pointer, "a whole number of at most 64 bits is required")),
    }
}

/// A time in RFC 3339, if one is given.
pub(super) fn optional_rfc3339(value: &Value, pointer: &str) -> Result<Option<Timestamp>, Fault> {
    match value.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => found
            .as_str()
            .and_then(Timestamp::parse_rfc3339)
            .map(Some)
            .ok_or_else(|| mismatch(pointer, "an RFC 3339 time is expected")),
    }
}

/// A time in RFC 3339.
pub(super) fn rfc3339(value: &Value, pointer: &str) -> Result<Timestamp, Fault> {
    optional_rfc3339(value, pointer)?.ok_or_else(|| mismatch(pointer, "an RFC 3339 time is required"))
}

/// Unix seconds, as text or as a number.
pub(super) fn unix_seconds(value: &Value, pointer: &str) -> Result<Timestamp, Fault> {
    let found = match value.pointer(pointer) {
        Some(Value::String(text)) => digits(text),
        Some(Value::Number(number)) => number.as_i64(),
        _ => None,
    };
    found
        .filter(|seconds| (0..=253_402_300_799).contains(seconds))
        .map(Timestamp::from_seconds)
        .ok_or_else(|| mismatch(pointer, "Unix seconds are required"))
}

/// Unix milliseconds, as a number.
pub(super) fn unix_millis(value: &Value, pointer: &str) -> Result<Timestamp, Fault> {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .filter(|millis| (0..=253_402_300_799_000).contains(millis))
        .map(Timestamp::from_millis)
        .ok_or_else(|| mismatch(pointer, "Unix milliseconds are required"))
}
