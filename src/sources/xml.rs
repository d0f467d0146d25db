//! XML from strangers: UTF-8, no DTD, bounded before a parser sees it.

use roxmltree::{Document, ParsingOptions};

/// Deepest nesting of elements.
const DEEPEST: usize = 32;
/// Most attributes and namespaces on one element: the parser compares each with each.
const MOST_ATTRIBUTES: usize = 64;
/// Most nodes of a document.
const MOST_NODES: u32 = 200_000;

/// Parses a document.
///
/// # Errors
/// What is wrong, without a word of its content.
pub(super) fn parse(bytes: &[u8]) -> Result<Document<'_>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the body is not UTF-8")?;
    bounded(text)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|_| "the body is not well-formed XML, or too large")
}

/// Refuses DTDs, deep nesting and many attributes by looking at the markup alone. Markup that is not well-formed may
/// pass: the parser refuses it.
fn bounded(text: &str) -> Result<(), &'static str> {
    let (mut rest, mut depth) = (text, 0_usize);
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let end = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<![CDATA[") {
            "]]>"
        } else if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!") {
            return Err("the body has a DTD");
        } else if rest.starts_with("</") {
            depth = depth.saturating_sub(1);
            ">"
        } else {
            let (length, closed) = start_tag(rest)?;
            depth += usize::from(!closed);
            if depth > DEEPEST {
                return Err("the body is nested too deeply");
            }
            rest = &rest[length..];
            continue;
        };
        rest = rest.find(end).map_or("", |at| &rest[at + end.len()..]);
    }
    Ok(())
}

/// Length of a start tag, and whether it closes itself.
fn start_tag(text: &str) -> Result<(usize, bool), &'static str> {
    let (mut quote, mut attributes, mut last) = (None, 0, b'<');
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'=') => {
                attributes += 1;
                if attributes > MOST_ATTRIBUTES {
                    return Err("an element has too many attributes");
                }
            }
            (None, b'>') => return Ok((at + 1, last == b'/')),
            (None, _) => {}
        }
        last = byte;
    }
    Ok((text.len(), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_cost_a_parser_dearly_never_reaches_it() {
        let deep = "<a>".repeat(33) + &"</a>".repeat(33);
        let wide: String = (0..65).map(|i| format!(" a{i}='='")).collect();
        let cases = [
            ("<a b='>' c=\"'/>\"><![CDATA[<!DOCTYPE a><b>]]><!-- <!DOCTYPE a> --></a>", Ok(())),
            ("<!DOCTYPE a><a/>", Err("the body has a DTD")),
            (
                "\u{feff}<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY e 'e'>]><a>&e;</a>",
                Err("the body has a DTD"),
            ),
            ("<!DocType a><a/>", Err("the body has a DTD")),
            (deep.as_str(), Err("the body is nested too deeply")),
            (&format!("<a{wide}/>"), Err("an element has too many attributes")),
            ("<a", Err("the body is not well-formed XML, or too large")),
            ("<a>&e;</a>", Err("the body is not well-formed XML, or too large")),
            ("", Err("the body is not well-formed XML, or too large")),
        ];
        for (text, end) in cases {
            assert_eq!(parse(text.as_bytes()).map(drop), end, "{text}");
        }
        assert_eq!(parse(b"<a>\xff</a>").map(drop), Err("the body is not UTF-8"));
        let flat = "<a/>".repeat(40);
        assert_eq!(parse(format!("<r>{flat}</r>").as_bytes()).map(drop), Ok(()), "siblings are no depth");
    }
}
