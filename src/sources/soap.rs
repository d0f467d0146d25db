//! The envelope of a Salesforce outbound message: XML that anyone may have written.

use roxmltree::{Document, Node, ParsingOptions};

use crate::{
    domain::reason::Reason,
    sources::rejection::{Fault, mismatch},
};

/// Namespace of the elements that Salesforce itself writes.
const NAMESPACE: &str = "http://soap.sforce.com/2005/09/outbound";
/// Nodes of one body: 100 notifications with every field that an object can have.
const MOST_NODES: u32 = 400_000;
/// Bytes of one start tag. The parser compares each attribute with all others of its tag.
const LONGEST_TAG: usize = 2_048;
/// Namespace declarations of one body. The parser copies those in force for each element that adds one.
const MOST_DECLARATIONS: usize = 1_000;

/// Where [`notifications`] looks.
pub(super) const PLACE: &str = "/Envelope/Body/notifications";

/// Parses a body: UTF-8, no DTD and so no entities but the five of XML, bounded in size and count.
///
/// # Errors
/// `payload_malformed`.
pub(super) fn document(body: &[u8]) -> Result<Document<'_>, Fault> {
    let malformed = |why: String| (Reason::PayloadMalformed, why);
    let text = std::str::from_utf8(body).map_err(|_| malformed("the XML is not UTF-8".to_owned()))?;
    if longest_tag(text) > LONGEST_TAG || text.matches("xmlns").count() > MOST_DECLARATIONS {
        return Err(malformed("the XML has an overlong tag or too many namespaces".to_owned()));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, entity_resolver: None };
    Document::parse_with_options(text, options).map_err(|error| {
        let at = error.pos();
        malformed(format!("not XML without a DTD, line {} column {}", at.row, at.col))
    })
}

/// The one `notifications` element of the SOAP body.
///
/// # Errors
/// `schema_mismatch` when there is none, or more than one.
pub(super) fn notifications<'a, 'i>(document: &'a Document<'i>) -> Result<Node<'a, 'i>, Fault> {
    let envelope = document.root_element();
    let one = || mismatch(PLACE, "exactly one is expected");
    let mut found = envelope
        .children()
        .filter(|node| envelope.tag_name().name() == "Envelope" && node.tag_name().name() == "Body")
        .flat_map(|soap_body| named(soap_body, "notifications"));
    let first = found.next().ok_or_else(one)?;
    if found.next().is_some() { Err(one()) } else { Ok(first) }
}

/// Children of this name that Salesforce itself wrote: those of a record have another namespace.
pub(super) fn named<'a, 'i>(parent: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    parent.children().filter(move |node| node.has_tag_name((NAMESPACE, name)))
}

/// The text of the one child of this name, without white space around it.
///
/// # Errors
/// `schema_mismatch` when there is none, more than one, or no text in it.
pub(super) fn text_of(parent: Node<'_, '_>, place: &str, name: &'static str) -> Result<String, Fault> {
    let place = || format!("{place}/{name}");
    let mut found = named(parent, name);
    match (found.next(), found.next()) {
        (Some(node), None) => Some(text(node).trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
    .ok_or_else(|| mismatch(&place(), "exactly one with text is required"))
}

/// The element's own text, CDATA included, whatever comments stand in it.
pub(super) fn text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|part| part.text()).collect()
}

/// Bytes of the longest start tag. Text in CDATA, comments and instructions is no tag; `>` in quotes ends none.
fn longest_tag(mut text: &str) -> usize {
    let mut longest = 0;
    while let Some(start) = text.find('<') {
        text = &text[start..];
        let length = match ["<!--", "<![CDATA[", "<?"].iter().position(|mark| text.starts_with(mark)) {
            Some(mark) => {
                let end = ["-->", "]]>", "?>"][mark];
                text.find(end).map_or(text.len(), |at| at + end.len())
            }
            None => {
                let length = tag_length(text);
                longest = longest.max(length);
                length
            }
        };
        text = &text[length..];
    }
    longest
}

fn tag_length(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{document, longest_tag, notifications, text, text_of};
    use crate::domain::reason::Reason;

    const OPEN: &str =
        r#"<s:Envelope xmlns:s="urn:s" xmlns:o="http://soap.sforce.com/2005/09/outbound"><s:Body>"#;
    const CLOSE: &str = "</s:Body></s:Envelope>";

    #[test]
    fn the_envelope_is_found_under_any_prefix_and_only_once() {
        let read = |inner: &str| {
            let body = format!("{OPEN}{inner}{CLOSE}");
            let document = document(body.as_bytes()).unwrap();
            let element = notifications(&document).map_err(|fault| fault.1)?;
            text_of(element, "", "Id").map_err(|fault| fault.1)
        };
        for inner in [
            "<o:notifications><o:Id>a&amp;b</o:Id></o:notifications>",
            "<o:notifications><!-- <o:Id>x</o:Id> --><o:Id>\n <![CDATA[a&]]><!-- x -->b </o:Id></o:notifications>",
            r#"<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><Id>a&#38;b</Id><x:Id xmlns:x="urn:x">c</x:Id></notifications>"#,
        ] {
            assert_eq!(read(inner).as_deref(), Ok("a&b"), "{inner}");
        }
        for inner in [
            "",
            "<notifications><Id>a</Id></notifications>",
            "<o:notifications/><o:notifications/>",
            "<x><o:notifications><o:Id>a</o:Id></o:notifications></x>",
            "<o:notifications><o:Id/></o:notifications>",
            "<o:notifications><o:Id>a</o:Id><o:Id>a</o:Id></o:notifications>",
            "<o:notifications><o:x><o:Id>a</o:Id></o:x></o:notifications>",
        ] {
            assert!(read(inner).is_err(), "{inner}");
        }
    }

    #[test]
    fn hostile_xml_is_refused_before_it_costs_anything() {
        let many = |count: usize, what: &dyn Fn(usize) -> String| (0..count).map(what).collect::<String>();
        let attributes = many(50_000, &|i| format!(" a{i}=''"));
        let hidden = format!("<a x='>' {attributes}/>");
        let namespaces = many(30_000, &|i| format!("<a xmlns:n{i}='u'>"));
        for body in [
            "<!DOCTYPE a><a/>".to_owned(),
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_owned(),
            "<!DOCTYPE a SYSTEM 'file:///etc/hostname'><a/>".to_owned(),
            "<a>&b;</a>".to_owned(),
            "<a".to_owned(),
            "<a><b></a>".to_owned(),
            "{}".to_owned(),
            String::new(),
            format!("<a{attributes}/>"),
            hidden,
            namespaces,
            "<a>".to_owned() + &"<b/>".repeat(400_001) + "</a>",
        ] {
            let refused = document(body.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(refused.0, Reason::PayloadMalformed);
        }
        assert!(document(b"<a>\xff</a>").is_err());
        // Deep nesting alone costs nothing, and no stack.
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        assert!(document(deep.as_bytes()).is_ok());
    }

    #[test]
    fn text_that_looks_like_a_tag_is_none() {
        let body = format!("<a><![CDATA[<b {0}]]><!-- <b {0} --><?x <b {0}?></a>", "y".repeat(5_000));
        assert_eq!(longest_tag(&body), 4);
        assert_eq!(text(document(body.as_bytes()).unwrap().root_element()).len(), 5_003);
    }
}
