//! What a message and a batch must be like.

use std::collections::BTreeSet;

use crate::queue::local::{
    digest::{WireAttribute, WireAttributes},
    error::{ApiError, Code},
};

/// Largest message and largest batch, in bytes.
pub(super) const LARGEST: usize = 1_048_576;

/// The names of a batch: 1..=10, each well formed, no two alike.
pub(super) fn batch<'a>(ids: impl ExactSizeIterator<Item = &'a str> + Clone) -> Result<(), ApiError> {
    if ids.len() == 0 {
        let text = "There should be at least one entry in the request.";
        return Err(ApiError::new(Code::EmptyBatchRequest, text));
    }
    if ids.len() > 10 {
        let text = "Maximum number of entries per request are 10.";
        return Err(ApiError::new(Code::TooManyEntriesInBatchRequest, text));
    }
    let is_id_character = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if ids.clone().any(|id| id.is_empty() || id.len() > 80 || !id.chars().all(is_id_character)) {
        let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
                    It can be at most 80 letters long.";
        return Err(ApiError::new(Code::InvalidBatchEntryId, text));
    }
    let mut seen = BTreeSet::new();
    match ids.clone().find(|id| !seen.insert(*id)) {
        None => Ok(()),
        Some(id) => Err(ApiError::new(Code::BatchEntryIdsNotDistinct, format!("Id {id} repeated."))),
    }
}

/// Whether SQS takes the character: #x9 #xA #xD, #x20-#xD7FF, #xE000-#xFFFD, #x10000-#x10FFFF.
fn is_allowed(c: char) -> bool {
    matches!(c, '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn contents(text: &str) -> Result<(), ApiError> {
    if text.chars().all(is_allowed) {
        return Ok(());
    }
    let text = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | \
                #xE000 to #xFFFD | #x10000 to #x10FFFF";
    Err(ApiError::new(Code::InvalidMessageContents, text))
}

/// Body and attributes of one message; its size in bytes, attribute names, types and values included.
pub(super) fn message(body: &str, attributes: &WireAttributes) -> Result<usize, ApiError> {
    if body.is_empty() {
        return Err(ApiError::missing("MessageBody"));
    }
    contents(body)?;
    if attributes.len() > 10 {
        return Err(ApiError::invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [10].",
            attributes.len()
        )));
    }
    for (name, value) in attributes {
        attribute_name(name)?;
        attribute(name, value)?;
    }
    Ok(size(body, attributes))
}

/// Body plus names, types and values of the attributes, in bytes.
pub(super) fn size(body: &str, attributes: &WireAttributes) -> usize {
    let one = |(name, value): (&String, &WireAttribute)| {
        let binary = value.bytes().map_or(0, |bytes| bytes.len());
        name.len() + value.data_type.len() + value.string.as_ref().map_or(0, String::len) + binary
    };
    body.len() + attributes.iter().map(one).sum::<usize>()
}

fn attribute_name(name: &str) -> Result<(), ApiError> {
    let lower = name.to_ascii_lowercase();
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let good = !name.is_empty()
        && name.len() <= 256
        && name.chars().all(is_name_character)
        && !(name.starts_with('.') || name.ends_with('.') || name.contains(".."))
        && !(lower.starts_with("aws.") || lower.starts_with("amazon."));
    if good { Ok(()) } else { Err(ApiError::invalid(format!("Invalid message attribute name '{name}'."))) }
}

fn attribute(name: &str, attribute: &WireAttribute) -> Result<(), ApiError> {
    let refuse = |why: &str| Err(ApiError::invalid(format!("The message attribute '{name}' {why}.")));
    if attribute.data_type.len() > 256 {
        return refuse("has a type of more than 256 characters");
    }
    let kind = attribute.data_type.split('.').next().unwrap_or_default();
    match (kind, attribute.string.as_deref(), attribute.bytes()) {
        ("String" | "Number", Some(""), _) => refuse("must contain a non-empty value"),
        ("String", Some(text), None) => contents(text),
        ("Number", Some(text), None) if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(()),
        ("Number", Some(_), None) => refuse("is not a number"),
        ("Binary", None, Some(bytes)) if !bytes.is_empty() => Ok(()),
        ("String" | "Number" | "Binary", ..) => refuse("must contain a non-empty value of its type"),
        _ => refuse("must have the type String, Number or Binary"),
    }
}

/// `MessageGroupId`: at most 128 letters, digits and punctuation.
pub(super) fn group(group: Option<&str>) -> Result<(), ApiError> {
    let good = group.is_none_or(|group| {
        !group.is_empty() && group.len() <= 128 && group.chars().all(|c| c.is_ascii_graphic())
    });
    if good { Ok(()) } else { Err(ApiError::invalid("Invalid value for the parameter MessageGroupId.")) }
}

/// A number within what the parameter allows.
pub(super) fn within(
    name: &str,
    value: Option<i64>,
    default: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, ApiError> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    let (low, high) = range.into_inner();
    Err(ApiError::invalid(format!(
        "Value {value} for parameter {name} is invalid. Reason: Must be between {low} and {high}, if provided."
    )))
}

/// A queue's name: 1..=80 letters, digits, hyphens, underscores.
pub(super) fn queue_name(name: &str) -> Result<(), ApiError> {
    let is_name_character = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 80 && name.chars().all(is_name_character) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<usize, ApiError>) -> Option<Code> {
        result.err().map(|error| error.code)
    }

    fn text(data_type: &str, value: &str) -> WireAttribute {
        WireAttribute { data_type: data_type.into(), string: Some(value.into()), binary: None }
    }

    fn one(name: &str, attribute: WireAttribute) -> WireAttributes {
        WireAttributes::from([(name.to_owned(), attribute)])
    }

    #[test]
    fn emoji_pass_and_control_characters_do_not() {
        assert_eq!(message("\u{1F680} caf\u{e9}\t\r\n", &WireAttributes::new()), Ok(13));
        for body in ["a\u{1}", "\u{0}", "\u{FFFE}", "\u{FFFF}", "\u{B}"] {
            let refused = code(message(body, &WireAttributes::new()));
            assert_eq!(refused, Some(Code::InvalidMessageContents), "{body:?}");
        }
    }

    #[test]
    fn attributes_are_judged_and_counted() {
        assert_eq!(message("b", &one("name", text("String", "value"))), Ok(1 + 4 + 6 + 5));
        for (name, attribute) in [
            ("aws.x", text("String", "v")),
            ("a..b", text("String", "v")),
            (".a", text("String", "v")),
            ("a b", text("String", "v")),
            ("a", text("Text", "v")),
            ("a", text("Number", "twelve")),
            ("a", text("String", "")),
            ("a", text("Binary", "v")),
        ] {
            let refused = code(message("b", &one(name, attribute.clone())));
            assert_eq!(refused, Some(Code::InvalidParameterValue), "{name} {attribute:?}");
        }
        assert_eq!(message("b", &one("a", text("Number.int", "-1.5e3"))), Ok(1 + 1 + 10 + 6));
    }

    #[test]
    fn batches_are_judged_as_a_whole() {
        let judge = |ids: &[&str]| batch(ids.iter().copied()).map_err(|error| error.code);
        assert_eq!(judge(&["a", "b-_9"]), Ok(()));
        assert_eq!(judge(&[]), Err(Code::EmptyBatchRequest));
        assert_eq!(judge(&["a"; 11]), Err(Code::TooManyEntriesInBatchRequest));
        assert_eq!(judge(&["a", "a"]), Err(Code::BatchEntryIdsNotDistinct));
        assert_eq!(judge(&["a b"]), Err(Code::InvalidBatchEntryId));
    }
}
