//! What all channels of Salesforce share: organisations, records, times.

use serde_json::Value;

use crate::{
    config::SourceSettings,
    domain::{salesforce_id::SalesforceId, timestamp::Timestamp},
    sources::{
        fields,
        rejection::{Fault, mismatch},
    },
};

/// Name of the system in facts.
pub(super) const SYSTEM: &str = "salesforce";

/// A record's or an organisation's id, in its one form.
pub(super) fn id(text: &str, place: &str) -> Result<SalesforceId, Fault> {
    SalesforceId::parse(text).map_err(|why| mismatch(place, &why.to_string()))
}

/// The one organisation that may send, where the configuration names just one: for bodies that name none.
pub(super) fn only_organization(settings: &SourceSettings) -> Option<String> {
    match settings.organization_ids.as_slice() {
        [only] => SalesforceId::parse(only).ok().map(String::from),
        _ => None,
    }
}

/// Unix milliseconds or ISO 8601; absent or null is `None`, anything else is refused.
pub(super) fn time(json: &Value, pointer: &str) -> Result<Option<Timestamp>, Fault> {
    match json.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => parse_time(text, pointer).map(Some),
        Some(_) => fields::unix_millis(json, pointer).map(Some),
    }
}

/// ISO 8601 with an offset, the way that Salesforce writes it, too: `+0000`.
pub(super) fn parse_time(text: &str, place: &str) -> Result<Timestamp, Fault> {
    let with_colon = || {
        let (rest, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
        Timestamp::parse_rfc3339(&format!("{rest}:{minutes}"))
    };
    Timestamp::parse_rfc3339(text)
        .or_else(with_colon)
        .ok_or_else(|| mismatch(place, "a time with an offset is expected"))
}

/// A number or its digits, as digits. `None` where there is none.
pub(super) fn whole_number(json: &Value, pointer: &str) -> Result<Option<String>, Fault> {
    match json.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(digits))
            if (1..=40).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(Some(digits.clone()))
        }
        Some(_) => fields::whole_number(json, pointer).map(Some),
    }
}

/// Events of one record are worked in order.
pub(super) fn order_key(organization: &str, object: &str, id: &str) -> Option<String> {
    Some(format!("{SYSTEM}:{organization}:{object}:{id}"))
}

/// Takes session ids out, wherever they stand: each is a working credential.
pub(super) fn without_sessions(mut json: Value) -> Value {
    drop_sessions(&mut json);
    json
}

// The parser bounds the depth.
fn drop_sessions(json: &mut Value) {
    match json {
        Value::Object(members) => {
            members.retain(|name, _| !is_session(name));
            members.values_mut().for_each(drop_sessions);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_sessions),
        _ => {}
    }
}

/// Does a field of this name hold a session id?
pub(super) fn is_session(name: &str) -> bool {
    name.eq_ignore_ascii_case("SessionId")
}
