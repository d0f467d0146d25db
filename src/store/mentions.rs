//! Does a message that never became an event speak of a record that is to be erased? Nobody could read it, so its
//! text is searched. A dead letter too many is erased rather than one too few.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// How much of a compressed body is unpacked.
const LONGEST: u64 = 16 << 20;

/// Is the id part of this message, as a whole word? `body` is the message as it came; an envelope is opened.
pub(crate) fn mentions(body: &str, item: Option<&str>, id: &str) -> bool {
    let within = |text: &[u8]| has_word(text, id.as_bytes());
    if within(body.as_bytes()) || item.is_some_and(|item| within(item.as_bytes())) {
        return true;
    }
    let envelope: Option<Value> = serde_json::from_str(body).ok();
    let inner = envelope.as_ref().and_then(|json| json.get("body_base64")).and_then(Value::as_str);
    let Ok(bytes) = STANDARD.decode(inner.unwrap_or(body)) else { return false };
    within(&bytes) || unpacked(&bytes).is_some_and(|bytes| within(&bytes))
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    let joined = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    let alone = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        !joined(before) && !joined(text.get(at + word.len()))
    };
    !word.is_empty() && text.windows(word.len()).enumerate().any(|(at, found)| found == word && alone(at))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn nx_59_a_record_is_found_in_whatever_form_it_came() {
        let plain = r#"[{"objectId":4711,"email":"a@b.example"}]"#;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(plain.as_bytes()).unwrap();
        let packed = STANDARD.encode(packed.finish().unwrap());
        for body in [
            plain.to_owned(),
            STANDARD.encode(plain),
            format!(r#"{{"v":1,"body_base64":"{}"}}"#, STANDARD.encode(plain)),
            format!(r#"{{"v":1,"body_base64":"{packed}"}}"#),
        ] {
            assert!(mentions(&body, None, "4711"), "{body}");
            for other in ["471", "711", "47112", "", "email\"x"] {
                assert!(!mentions(&body, None, other), "{body} {other}");
            }
        }
        assert!(mentions("{", Some(r#"{"objectId":"4711"}"#), "4711"));
    }
}
