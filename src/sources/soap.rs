//! The envelope of a Salesforce outbound message: XML that anyone may have written.

use roxmltree::{Document, Node};

use crate::{
    domain::reason::Reason,
    sources::{
        rejection::{Fault, mismatch},
        xml,
    },
};

/// Namespace of the elements that Salesforce itself writes.
const NAMESPACE: &str = "http://soap.sforce.com/2005/09/outbound";
/// Where [`notifications`] looks.
pub(super) const PLACE: &str = "/Envelope/Body/notifications";

/// Parses a body.
///
/// # Errors
/// `payload_malformed`.
pub(super) fn document(body: &[u8]) -> Result<Document<'_>, Fault> {
    xml::parse(body).map_err(|why| (Reason::PayloadMalformed, why.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::{document, notifications, text_of};

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
}
