//! Records of CRMs as properties, whatever shape their vendor gives them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::{event::CrmChangeKind, record::DELETED},
    sources::rejection::{Fault, mismatch},
};

/// Most properties of one record: each becomes a row of its own.
pub(super) const MOST_PROPERTIES: usize = 2_000;

/// Properties by name; `None` is one without a value.
pub(super) type Properties = BTreeMap<String, Option<String>>;

/// The members of a record, without those of these names; `None` where there is no record.
///
/// # Errors
/// When what stands at `pointer` is no object, or has too many members.
pub(super) fn properties(
    record: Option<&Value>,
    without: &[&str],
    pointer: &str,
) -> Result<Option<Properties>, Fault> {
    let members = match record {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) if members.len() <= MOST_PROPERTIES => members,
        Some(Value::Object(_)) => return Err(mismatch(pointer, "more properties than we keep")),
        Some(_) => return Err(mismatch(pointer, "an object is expected")),
    };
    // Names with a dollar sign are ours.
    let kept = members.iter().filter(|(name, _)| !without.contains(&name.as_str()) && !name.starts_with('$'));
    Ok(Some(kept.map(|(name, value)| (name.clone(), readable(value))).collect()))
}

/// A property's value as text: digits as they were sent, lists and objects as JSON. Empty text is no value.
pub(super) fn readable(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

/// A record was made, with these properties: they count like changed ones, and it is not deleted.
pub(super) fn created(properties: Option<Properties>) -> CrmChangeKind {
    properties.map_or(CrmChangeKind::Created, |mut properties| {
        properties.insert(DELETED.to_owned(), Some("false".to_owned()));
        CrmChangeKind::Changed(properties)
    })
}

/// A record was changed; without properties it must be read again.
pub(super) fn changed(properties: Option<Properties>) -> CrmChangeKind {
    properties.map_or(CrmChangeKind::Stale, CrmChangeKind::Changed)
}
