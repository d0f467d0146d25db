//! The last net: whatever a log line should not have held is taken out of it. Code above must not log such
//! things in the first place; error texts of libraries and vendors can hold them all the same.

use serde_json::Value;

/// Fields that are never shown, whatever they hold.
const HIDDEN: &[&str] = &[
    "body",
    "payload",
    "text",
    "phone",
    "from",
    "to",
    "recipient",
    "email",
    "secret",
    "token",
    "access_token",
    "api_key",
    "authorization",
    "password",
    "headers",
    "signature",
];

/// Fields of our own ids, in which long numbers are no telephone numbers.
const IDS: &[&str] = &[
    "event_key",
    "correlation_id",
    "tenant",
    "source",
    "message_id",
    "request_id",
    "command",
    "id",
    "place",
    "dead_letter",
    "queue",
    "url",
    "version",
];

/// Beginnings of well-known secrets.
const PREFIXES: &[&str] = &["sk-", "sk_", "whsec_", "whsk_", "EAA", "xoxb-", "ghp_", "AKIA"];

/// Takes secrets and telephone numbers out of one field.
pub(super) fn scrub(name: &str, value: &mut Value) {
    if HIDDEN.contains(&name) {
        *value = "(hidden)".into();
    } else if let Value::String(text) = value {
        let clean = without_secrets(text);
        *text = if IDS.contains(&name) { clean } else { without_numbers(&clean) };
    }
}

fn without_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut after_bearer = false;
    for (word, end) in words(text) {
        let trimmed = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_secret =
            after_bearer || PREFIXES.iter().any(|p| trimmed.starts_with(p) && trimmed.len() >= 10);
        let lead = &word[..word.len() - trimmed.len()];
        match (is_secret && !word.is_empty(), without_password(word)) {
            (true, _) => clean.extend([lead, "(hidden)"]),
            (false, Some(url)) => clean.push_str(&url),
            (false, None) => clean.push_str(word),
        }
        clean.push_str(end);
        after_bearer = if word.is_empty() { after_bearer } else { trimmed.eq_ignore_ascii_case("bearer") };
    }
    clean
}

/// Pieces between white space and quotes, each with the character that ended it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '=')).map(
        |piece| {
            let end = piece.char_indices().next_back();
            match end {
                Some((at, c)) if c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '=') => {
                    piece.split_at(at)
                }
                _ => (piece, ""),
            }
        },
    )
}

/// `scheme://user:(hidden)@host`, when the word is such a URL.
fn without_password(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?.0.split_once(':')?;
    let host = rest.split_at(authority.rfind('@')?).1;
    Some(format!("{scheme}://{user}:(hidden){host}"))
}

/// Shortest and longest number of digits that is taken for a telephone number.
const PHONE: std::ops::RangeInclusive<usize> = 10..=15;

/// Replaces runs of 10 to 15 digits, spaces and dashes between them allowed, that stand alone.
fn without_numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let joined = at > 0 && (chars[at - 1].is_alphanumeric() || matches!(chars[at - 1], '_' | '.'));
        match phone_length(&chars[at..]) {
            Some(length) if !joined => {
                clean.push_str("(number)");
                at += length;
            }
            _ => {
                clean.push(chars[at]);
                at += 1;
            }
        }
    }
    clean
}

/// How many characters of a telephone number stand here.
fn phone_length(chars: &[char]) -> Option<usize> {
    let start = usize::from(chars.first() == Some(&'+'));
    let (mut digits, mut end) = (0, start);
    for (at, c) in chars.iter().enumerate().skip(start) {
        match c {
            '0'..='9' => {
                digits += 1;
                end = at + 1;
            }
            ' ' | '-' | '(' | ')' if digits > 0 && at <= end + 1 => {}
            _ => break,
        }
    }
    let stands_alone = chars.get(end).is_none_or(|c| !c.is_alphanumeric() && *c != '_');
    (PHONE.contains(&digits) && stands_alone).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_stand_alone_are_taken_out() {
        for (text, clean) in [
            ("to 4915112345678.", "to (number)."),
            ("+1 (555) 123-4567 failed", "(number) failed"),
            ("took 123 ms of 1000000", "took 123 ms of 1000000"),
            (
                "wamid.4915112345678 a1234567890123 12345678901234567",
                "wamid.4915112345678 a1234567890123 12345678901234567",
            ),
            ("größe 4915112345678", "größe (number)"),
        ] {
            assert_eq!(without_numbers(text), clean, "{text}");
        }
    }

    #[test]
    fn secrets_in_running_text_are_taken_out() {
        for (text, clean) in [
            ("Authorization: Bearer abc", "Authorization: Bearer (hidden)"),
            ("key='whsec_MfKQ9r8GKYqr' ok", "key='(hidden)' ok"),
            ("postgres://u:p@h:5432/d?x=1 no", "postgres://u:(hidden)@h:5432/d?x=1 no"),
            ("https://h/p?a=b, sk-1", "https://h/p?a=b, sk-1"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text), clean, "{text}");
        }
    }
}
