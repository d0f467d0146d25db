//! Form bodies (`application/x-www-form-urlencoded`) as Twilio and Mandrill sign them.

use std::{borrow::Cow, collections::BTreeSet};

use serde::de::IgnoredAny;
use url::form_urlencoded::parse;

/// Media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
/// Media type of JSON.
pub(super) const JSON: &str = "application/json";

/// Names and values decoded and in a row, without delimiters: sorted by name in byte order, each distinct value of a
/// repeated name in order with its name, empty values kept. They follow the URL.
pub(super) fn signed_fields(body: &[u8]) -> String {
    let fields: BTreeSet<(Cow<'_, str>, Cow<'_, str>)> = parse(body).collect();
    fields.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

/// What a vendor that sends both calls this body.
pub(super) fn media_type(body: &[u8]) -> &'static str {
    let json = body.first().is_some_and(|first| matches!(first, b'{' | b'['))
        && serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if json { JSON } else { FORM }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_sorted_by_bytes_and_repeated_values_are_distinct() {
        let cases = [
            ("b=2&a=1", "a1b2"),
            ("a=1&B=2", "B2a1"),
            ("m=z&m=a&m=z", "mamz"),
            ("empty=&x", "emptyx"),
            ("a=%2B1+2&%C3%BC=%F0%9F%91%8B", "a+1 2ü👋"),
            ("a=b=c&&", "ab=c"),
            ("", ""),
        ];
        for (body, expected) in cases {
            assert_eq!(signed_fields(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn only_what_parses_is_json() {
        let cases = [("{}", JSON), ("[1]", JSON), ("{a=1", FORM), ("1", FORM), ("a=1", FORM), ("", FORM)];
        for (body, expected) in cases {
            assert_eq!(media_type(body.as_bytes()), expected, "{body}");
        }
    }
}
