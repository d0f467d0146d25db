//! HubSpot webhooks, signature version 3: a list of 1 to 100 events, each with its own portal.
//!
//! Signature: `X-HubSpot-Signature-v3`, base64 HMAC-SHA256 of method + URI + body + timestamp under the app's
//! client secret; the timestamp is in milliseconds, tolerance five minutes. Versions 1 and 2 are plain hashes and
//! never looked at.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    domain::{
        envelope::HttpRequest,
        event::{CrmChange, CrmChangeKind, Fact},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Evidence, Item, Order, Proof, Reading, SignError, Vendor},
        fields,
        freshness::{digits, stale},
        keys::{prove, usable},
        rejection::{Fault, mismatch},
        signature::{base64, hmac_matches, hmac_sha256},
    },
};

const SIGNATURE: &str = "x-hubspot-signature-v3";
const TIMESTAMP: &str = "x-hubspot-request-timestamp";
/// HubSpot sends up to 100 events in one body; beyond this it is not HubSpot's.
const MOST_ITEMS: usize = 1_000;
/// The escapes that HubSpot undoes before it signs; every other one stays as it is.
/// developers.hubspot.com, "Request validation".
const DECODED: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];
/// Objects that HubSpot names in `subscriptionType`.
const OBJECTS: [&str; 8] =
    ["contact", "company", "deal", "ticket", "product", "line_item", "object", "conversation"];

/// The row of the table.
pub(super) const VENDOR: Vendor =
    Vendor { name: "hubspot", jobs: false, tenant_by_account: true, verify, read, sign };

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let invalid = |why: &str| (Reason::SigInvalid, why.to_owned());
    let candidates = usable(evidence.keys.iter(), evidence.now)?;
    let header = evidence.required(SIGNATURE)?;
    let timestamp = evidence.required(TIMESTAMP)?;
    let claimed = base64(&header).ok_or_else(|| invalid("the v3 signature is not base64"))?;
    let at = digits(&timestamp).ok_or_else(|| invalid("the timestamp is not plain digits"))?;
    let request = evidence.request;
    let uri = signed_uri(&request.url, evidence.public_url);
    let parts = [request.method.as_bytes(), uri.as_bytes(), &request.body, timestamp.as_bytes()];
    let matched = prove(&candidates, |secret| hmac_matches(secret.as_bytes(), &parts, &claimed))?;
    Ok(Proof::new(matched, stale(Timestamp::from_millis(at), evidence.now, evidence.tolerance)))
}

/// The URI as HubSpot signs it: the public one where configured, its own query kept, the table decoded once.
fn signed_uri(url: &str, public: Option<&str>) -> String {
    let query = url.find('?').map_or("", |at| &url[at..]);
    let whole = public.map_or_else(|| url.to_owned(), |base| format!("{base}{query}"));
    let mut decoded = String::with_capacity(whole.len());
    let mut rest = whole.as_str();
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        decoded.push_str(before);
        let hit = DECODED.iter().find(|(escape, _)| tail.starts_with(escape));
        let (plain, taken) = hit.map_or(('%', 1), |(escape, plain)| (*plain, escape.len()));
        decoded.push(plain);
        rest = &tail[taken..];
    }
    decoded + rest
}

fn read(reading: &Reading<'_>) -> Vec<Item> {
    match fields::body(&reading.request.body) {
        Ok(Value::Array(items)) if items.len() <= MOST_ITEMS => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| Item { index: Some(index), draft: event(&item), json: Some(item) })
            .collect(),
        Ok(_) => Item::unreadable((Reason::PayloadMalformed, "not a list of at most 1000 events".to_owned())),
        Err(fault) => Item::unreadable(fault),
    }
}

fn event(item: &Value) -> Result<Draft, Fault> {
    if !item.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    let subscription_type = fields::text(item, "/subscriptionType")?;
    let portal = fields::whole_number(item, "/portalId")?;
    let event_id = fields::whole_number(item, "/eventId")?;
    let at = fields::unix_millis(item, "/occurredAt")?;
    let (object, object_id, change) = change(&subscription_type, item)?;
    let property = fields::optional_text(item, "/propertyName").unwrap_or_default();
    // `eventId` alone is documented as not unique.
    let id = [
        fields::whole_number(item, "/appId")?,
        fields::whole_number(item, "/subscriptionId")?,
        event_id.clone(),
        object_id.clone(),
        at.millis().to_string(),
        property,
    ]
    .join(":");
    let order_key = format!("hubspot:{portal}:{object}:{object_id}");
    // Padded, so that ties are broken in the order of the numbers.
    let tie = format!("{event_id:0>20}");
    let fact = CrmChange { system: "hubspot".to_owned(), object, object_id, change, at, tie };
    let mut draft = Draft::new(portal, id, Some(at), Fact::CrmChange(fact));
    draft.order_key = Some(order_key);
    Ok(draft)
}

/// Object, its id, and what was done to it.
fn change(subscription_type: &str, item: &Value) -> Result<(String, String, CrmChangeKind), Fault> {
    let unknown = || (Reason::UnknownType, "/subscriptionType: not one that this release knows".to_owned());
    let (object, action) = subscription_type.split_once('.').ok_or_else(unknown)?;
    if !OBJECTS.contains(&object) {
        return Err(unknown());
    }
    let id = |name: &str| fields::whole_number(item, name);
    let (object_id, change) = match action {
        "creation" => (id("/objectId")?, CrmChangeKind::Created),
        // The order to forget a person also deletes the contact.
        "deletion" | "privacyDeletion" => (id("/objectId")?, CrmChangeKind::Deleted),
        "restore" => (id("/objectId")?, CrmChangeKind::Restored),
        "propertyChange" => (id("/objectId")?, CrmChangeKind::Changed(properties(item)?)),
        "merge" => (
            id("/objectId").or_else(|_| id("/primaryObjectId"))?,
            CrmChangeKind::Other(subscription_type.to_owned()),
        ),
        "associationChange" => (
            id("/objectId").or_else(|_| id("/fromObjectId"))?,
            CrmChangeKind::Other(subscription_type.to_owned()),
        ),
        "newMessage" => (id("/objectId")?, CrmChangeKind::Other(subscription_type.to_owned())),
        _ => return Err(unknown()),
    };
    Ok((object.to_owned(), object_id, change))
}

fn properties(item: &Value) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let name = fields::text(item, "/propertyName")?;
    // HubSpot clears a property with empty text.
    let value = match item.get("propertyValue") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
        Some(Value::Bool(_) | Value::Number(_)) => item.get("propertyValue").map(Value::to_string),
        Some(Value::Array(_) | Value::Object(_)) => {
            return Err(mismatch("/propertyValue", "text is expected"));
        }
    };
    Ok(BTreeMap::from([(name, value)]))
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let timestamp = order.at.millis().to_string();
    let uri = signed_uri(order.url, None);
    let parts = [order.method.as_bytes(), uri.as_bytes(), &order.body, timestamp.as_bytes()];
    let digest = hmac_sha256(order.secret.as_bytes(), &parts).ok_or(SignError::Key("the secret is empty"))?;
    Ok(HttpRequest {
        method: order.method.to_owned(),
        url: order.url.to_owned(),
        headers: [
            ("content-type", "application/json".to_owned()),
            (TIMESTAMP, timestamp),
            (SIGNATURE, STANDARD.encode(digest)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
        body: order.body.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::signed_uri;

    #[test]
    fn decodes_the_table_once_and_nothing_else() {
        let cases = [
            (
                "https://a.example/h?x=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B",
                "https://a.example/h?x=:/?@!$'()*,;",
            ),
            ("https://a.example/%20%25%26%3D%2B%23%3a", "https://a.example/%20%25%26%3D%2B%23%3a"),
            ("https://a.example/%253A%", "https://a.example/%253A%"),
            ("https://a.example/é%3Aü", "https://a.example/é:ü"),
        ];
        for (url, signed) in cases {
            assert_eq!(signed_uri(url, None), signed);
        }
        let seen = signed_uri("http://10.0.0.7:8080/in?a=%3A", Some("https://hooks.example/hubspot"));
        assert_eq!(seen, "https://hooks.example/hubspot?a=:");
    }
}
