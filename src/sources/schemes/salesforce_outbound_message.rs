//! Salesforce outbound messages (SOAP): no signature. What proves the organisation is its id, which is no secret:
//! insist on client certificates at the edge. developer.salesforce.com, "Security considerations" of outbound
//! messaging.

use roxmltree::Node;
use subtle::ConstantTimeEq as _;

use crate::{
    domain::{envelope::HttpRequest, reason::Reason},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        rejection::Fault,
        xml,
    },
};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const OUTBOUND: &str = "http://soap.sforce.com/2005/09/outbound";
/// A credential of the user in whose name Salesforce calls.
const SESSION: &str = "SessionId";

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "salesforce-outbound-message",
    headers: &[],
    handshake: Handshake::SoapAck,
    redact: Some(redact),
    shape: "a SOAP envelope with one OrganizationId right under notifications",
    causes: &[
        "the organisation (production or sandbox) is not in organization_ids",
        "the body was cut or re-encoded",
    ],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let allowed = &evidence.settings.organization_ids;
    if allowed.is_empty() {
        return Err((Reason::SigNoKey, "no organization_ids are configured".to_owned()));
    }
    let document = xml::parse(&evidence.request.body).map_err(invalid)?;
    let envelope = document.root_element();
    if !is(&envelope, SOAP, "Envelope") {
        return Err(invalid("the body is not a SOAP 1.1 envelope"));
    }
    let body = only(&envelope, SOAP, "Body").ok_or_else(|| invalid("not exactly one Body"))?;
    let notifications = only(&body, OUTBOUND, "notifications")
        .ok_or_else(|| invalid("not exactly one notifications element of the outbound namespace"))?;
    let id = organization(&notifications)?;
    // Every entry is looked at: nothing tells which one came close.
    let listed = allowed.iter().fold(false, |found, listed| found | same_organization(listed, &id));
    if listed {
        Ok(Proof { key: 0, doubt: None })
    } else {
        Err(invalid("OrganizationId is not one of the source's organization_ids"))
    }
}

fn is(node: &Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace() == Some(namespace) && node.tag_name().name() == name
}

/// The only child of this name.
fn only<'a, 'i>(parent: &Node<'a, 'i>, namespace: &str, name: &str) -> Option<Node<'a, 'i>> {
    let mut found = parent.children().filter(|child| is(child, namespace, name));
    found.next().filter(|_| found.next().is_none())
}

/// The text of the one `OrganizationId` right under `notifications`: objects inside may have fields of that name.
fn organization(notifications: &Node<'_, '_>) -> Result<String, Fault> {
    let mut ids = notifications.children().filter(|child| is(child, OUTBOUND, "OrganizationId"));
    match (ids.next(), ids.next()) {
        (Some(id), None) if id.children().any(|child| child.is_element()) => {
            Err(invalid("OrganizationId holds elements"))
        }
        (Some(id), None) => {
            let text: String = id.children().filter(Node::is_text).filter_map(|part| part.text()).collect();
            if text.is_empty() { Err(missing()) } else { Ok(text) }
        }
        (None, _) => Err(missing()),
        (Some(_), Some(_)) => Err(invalid("several OrganizationId elements")),
    }
}

fn missing() -> Fault {
    (Reason::SigMissing, "OrganizationId is absent or empty".to_owned())
}

/// Ids of 15 characters are case-sensitive; those of 18 are the same with a checksum behind.
fn same_organization(listed: &str, shown: &str) -> bool {
    let is_id =
        |text: &str| matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id(listed) && is_id(shown) && listed.as_bytes()[..15].ct_eq(&shown.as_bytes()[..15]).into()
}

/// Takes the session id out, whole element by whole element, and leaves every other byte as it was. Text that is no
/// XML loses whatever stands behind such a tag: it is kept as evidence, too.
fn redact(body: &[u8]) -> Option<Vec<u8>> {
    let clean = redact_once(body)?;
    // What was no XML only because of what stood there may be XML now.
    Some(redact_once(&clean).unwrap_or(clean))
}

fn redact_once(body: &[u8]) -> Option<Vec<u8>> {
    let ranges = match xml::parse(body) {
        Ok(document) => document.descendants().filter(is_session).map(|node| node.range()).collect(),
        Err(_) => sessions_in_broken(body),
    };
    without(body, &ranges)
}

/// Also where the namespace is a wrong one: what is refused is kept as evidence.
fn is_session(node: &Node<'_, '_>) -> bool {
    let alike = node.tag_name().name() == SESSION && node.is_element();
    let parent = node.parent_element().is_some_and(|parent| parent.tag_name().name() == "notifications");
    alike && (parent || node.tag_name().namespace() == Some(OUTBOUND))
}

/// What stands behind each start tag of this name, up to the next tag.
fn sessions_in_broken(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(name) = find(&body[at..], SESSION.as_bytes()).map(|offset| at + offset) {
        at = name + SESSION.len();
        let opening = body[..name].iter().rposition(|byte| *byte == b'<');
        let end_tag = opening.is_some_and(|open| body.get(open + 1) == Some(&b'/'));
        if let Some(open) = tag_end(&body[at..]).filter(|_| !end_tag) {
            let start = at + open + 1;
            at = start + text_length(&body[start..]);
            found.push(start..at);
        }
    }
    found
}

/// Up to the next tag; a CDATA section is text, too.
fn text_length(text: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        length += if rest.starts_with(b"<![CDATA[") {
            find(rest, b"]]>").map_or(rest.len(), |at| at + 3)
        } else {
            find(rest, b"<").unwrap_or(rest.len())
        };
        let rest = &text[length..];
        if rest.is_empty() || !rest.starts_with(b"<![CDATA[") {
            return length;
        }
    }
}

/// Where a tag closes: a `>` within quotes is part of an attribute.
fn tag_end(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    text.iter().position(|byte| {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            _ => {}
        }
        quote.is_none() && *byte == b'>'
    })
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

fn without(body: &[u8], ranges: &[std::ops::Range<usize>]) -> Option<Vec<u8>> {
    let (mut kept, mut at) = (Vec::with_capacity(body.len()), 0);
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        // An element inside one that is gone already is gone, too.
        if range.start >= at {
            kept.extend_from_slice(&body[at..range.start]);
            at = range.end;
        }
    }
    kept.extend_from_slice(&body[at..]);
    (kept.len() < body.len()).then_some(kept)
}

/// There is nothing to sign with: the id stands in the body.
fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let headers = [("content-type", "text/xml; charset=utf-8"), ("soapaction", "\"\"")];
    Ok(order.request(headers.map(|(name, value)| (name, value.to_owned()))))
}
