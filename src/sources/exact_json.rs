//! JSON whose numbers survive: what a number of ours cannot hold exactly stays the text that stood in the body.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::{Number, Value};

use crate::{
    domain::reason::Reason,
    sources::{
        fields,
        rejection::{Fault, json_fault},
    },
};

/// Parses a body. A number that would be changed by parsing (more than 64 bits, `12.50`, digits that no float has)
/// becomes text, digit for digit; all others stay numbers.
pub(super) fn body(bytes: &[u8]) -> Result<Value, Fault> {
    let inexact = inexact_numbers(bytes);
    if inexact.is_empty() {
        return fields::body(bytes);
    }
    // Quotes must not make JSON of what was none.
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map_err(|error| (Reason::PayloadMalformed, json_fault(&error)))?;
    fields::body(&quoted(bytes, &inexact))
}

/// A value as the text that stands in a column: `None` for null, lists and objects as JSON.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Where they stand, if the bytes are JSON.
fn inexact_numbers(json: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        let start = at;
        at = match byte {
            b'"' => end_of_string(json, start),
            b'-' | b'0'..=b'9' => end_of_number(json, start),
            _ => start + 1,
        };
        if *byte != b'"' && at > start && json.get(start..at).is_some_and(inexact) {
            found.push(start..at);
        }
    }
    found
}

fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn end_of_number(json: &[u8], start: usize) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    json[start..].iter().position(|byte| !part(byte)).map_or(json.len(), |length| start + length)
}

/// Would the number be written otherwise than it was read?
fn inexact(token: &[u8]) -> bool {
    let number = token.first().is_some_and(|byte| *byte == b'-' || byte.is_ascii_digit());
    number
        && serde_json::from_slice::<Number>(token).map(|read| read.to_string().into_bytes()).ok().as_deref()
            != Some(token)
}

fn quoted(json: &[u8], numbers: &[Range<usize>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(json.len() + 2 * numbers.len());
    let mut from = 0;
    for number in numbers {
        text.extend_from_slice(&json[from..number.start]);
        text.push(b'"');
        text.extend_from_slice(&json[number.clone()]);
        text.push(b'"');
        from = number.end;
    }
    text.extend_from_slice(&json[from..]);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{as_text, body};

    #[test]
    fn numbers_are_kept_as_they_stand() {
        let read = body(
            br#"{"a":9007199254740993,"b":12.50,"c":18446744073709551616,"d":71.5,"e":"1.50 \" 2.50","1.50":[-0,1e400,0.1]}"#,
        );
        let expected = json!({
            "a": 9_007_199_254_740_993_u64, "b": "12.50", "c": "18446744073709551616", "d": 71.5,
            "e": "1.50 \" 2.50", "1.50": ["-0", "1e400", 0.1],
        });
        assert_eq!(read.ok(), Some(expected));
        assert_eq!(as_text(&json!(-3.25)).as_deref(), Some("-3.25"));
        assert_eq!(as_text(&Value::Null), None);
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["[1.2.3]", "[-]", "[01.50]", "[+1.50]", "[1.50", "[1.50,\"", "1.50 \\"] {
            assert!(body(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = body(&bytes);
        }

        #[test]
        fn every_decimal_comes_back_digit_by_digit(digits in "-?(0|[1-9][0-9]{0,29})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
            let read = body(format!("[{digits}]").as_bytes()).unwrap();
            prop_assert_eq!(as_text(&read[0]).unwrap(), digits);
        }
    }
}
