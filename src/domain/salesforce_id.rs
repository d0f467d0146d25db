//! Record ids of Salesforce: 15 characters whose case counts, or 18 whose last three say which letters are upper case.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The letters of a suffix, in the order of their values.
const SUFFIX: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/// Length of an id without its suffix.
const SHORT: usize = 15;
/// Characters for which one letter of the suffix speaks.
const GROUP: usize = 5;

/// An id in its one form of 18 characters: equal records have equal ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SalesforceId(String);

/// Why a text is no Salesforce id. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSalesforceId {
    /// Neither 15 nor 18 bytes.
    #[error("a Salesforce id has 15 or 18 characters")]
    Length,
    /// Something else than ASCII letters and digits.
    #[error("a Salesforce id has letters and digits only")]
    Character,
    /// The suffix does not belong to the other characters.
    #[error("the last three characters do not fit the others")]
    Suffix,
}

impl SalesforceId {
    /// Reads an id of 15 characters, of 18, or of 18 that lost its case on the way (all upper or all lower): the
    /// suffix then gives it back. Letters of both cases that the suffix contradicts are refused: that is a wrong
    /// id, not a lost case.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, InvalidSalesforceId> {
        let bytes = text.as_bytes();
        if bytes.len() != SHORT && bytes.len() != SHORT + 3 {
            return Err(InvalidSalesforceId::Length);
        }
        if !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return Err(InvalidSalesforceId::Character);
        }
        let (short, given) = bytes.split_at(SHORT);
        let given = given.to_ascii_uppercase();
        if given.is_empty() || suffix(short) == given {
            return Ok(Self::whole(short));
        }
        let lost_its_case =
            !short.iter().any(u8::is_ascii_lowercase) || !short.iter().any(u8::is_ascii_uppercase);
        let repaired = if lost_its_case { repair(short, &given) } else { None };
        repaired.map(|short| Self::whole(&short)).ok_or(InvalidSalesforceId::Suffix)
    }

    /// The 18 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn whole(short: &[u8]) -> Self {
        Self(short.iter().copied().chain(suffix(short)).map(char::from).collect())
    }
}

impl fmt::Display for SalesforceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SalesforceId> for String {
    fn from(id: SalesforceId) -> Self {
        id.0
    }
}

impl TryFrom<String> for SalesforceId {
    type Error = InvalidSalesforceId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

/// One letter for each group: bit k is set where its character k is an upper-case letter.
fn suffix(short: &[u8]) -> Vec<u8> {
    let bits = |group: &[u8]| {
        let upper = group.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase());
        upper.map(|(k, _)| 1 << k).sum::<usize>()
    };
    short.chunks(GROUP).map(|group| SUFFIX[bits(group)]).collect()
}

/// The characters in the case that the suffix tells; `None` where it wants a digit in upper case.
fn repair(short: &[u8], suffix: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = Vec::with_capacity(SHORT);
    for (group, letter) in short.chunks(GROUP).zip(suffix) {
        let bits = SUFFIX.iter().position(|known| known == letter)?;
        for (k, byte) in group.iter().enumerate() {
            match bits >> k & 1 {
                0 => repaired.push(byte.to_ascii_lowercase()),
                _ if byte.is_ascii_alphabetic() => repaired.push(byte.to_ascii_uppercase()),
                _ => return None,
            }
        }
    }
    Some(repaired)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{InvalidSalesforceId, SalesforceId};

    fn parse(text: &str) -> Result<String, InvalidSalesforceId> {
        SalesforceId::parse(text).map(String::from)
    }

    #[test]
    fn rce_3c_all_forms_of_one_id_are_one_id() {
        // Worked out by hand: a letter for each five characters, the leftmost counting 1, the next 2, 4, 8, 16.
        for (short, whole) in [
            ("001000000000000", "001000000000000AAA"),
            ("0013000000AbCdE", "0013000000AbCdEAAV"),
            ("0Q07x00ZZZZZa1B", "0Q07x00ZZZZZa1BC2T"),
            ("ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"),
        ] {
            assert_eq!(parse(short).as_deref(), Ok(whole));
            assert_eq!(parse(whole).as_deref(), Ok(whole));
            assert_eq!(parse(&whole.to_lowercase()).as_deref(), Ok(whole), "all lower");
            assert_eq!(parse(&whole.to_uppercase()).as_deref(), Ok(whole), "all upper");
        }
    }

    #[test]
    fn rce_3c_everything_else_is_refused() {
        use InvalidSalesforceId::{Character, Length, Suffix};
        for (text, why) in [
            ("", Length),
            ("0013000000AbCd", Length),
            ("0013000000AbCdEA", Length),
            ("0013000000AbCdEAAVA", Length),
            (" 0013000000AbCdEAAV ", Length),
            ("0013000000AbCd-", Character),
            ("0013000000AbCd ", Character),
            ("0013000000AbCdEAÄ", Character),
            ("äääääää1", Character),
            // Another suffix, one outside its alphabet, one that wants a digit in upper case.
            ("0013000000AbCdEAAA", Suffix),
            ("0013000000AbCdEAA9", Suffix),
            ("0013000000abcdeBAV", Suffix),
            // The case of one letter only: that may be another record.
            ("0013000000aBCdEAAV", Suffix),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn rce_3c_ids_of_15_characters_that_differ_in_case_are_different_records() {
        assert_ne!(parse("0013000000AbCdE"), parse("0013000000abCdE"));
    }

    proptest! {
        #[test]
        fn rce_3c_every_form_leads_to_the_same_18(short in "[0-9A-Za-z]{15}") {
            let whole = parse(&short).unwrap();
            prop_assert_eq!(whole.len(), 18);
            prop_assert!(whole.starts_with(&short));
            for form in [whole.clone(), whole.to_lowercase(), whole.to_uppercase()] {
                let again = parse(&form);
                prop_assert_eq!(again.as_ref(), Ok(&whole));
            }
        }

        #[test]
        fn rce_3c_one_wrong_letter_of_the_suffix_never_names_a_record_of_mixed_case(
            short in "[0-9A-Za-z]{13}[a-z][A-Z]", at in 15_usize..18, letter in "[A-Z0-5]"
        ) {
            let whole = parse(&short).unwrap();
            let mut wrong = whole.clone();
            wrong.replace_range(at..=at, &letter);
            prop_assert_eq!(parse(&wrong).is_ok(), wrong == whole);
        }

        #[test]
        fn rce_3c_any_text_is_an_id_or_refused(text in any::<String>()) {
            if let Ok(id) = parse(&text) {
                prop_assert_eq!(parse(&id), Ok(id.clone()));
            }
        }
    }
}
