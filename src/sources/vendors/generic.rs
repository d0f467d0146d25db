//! Any sender of JSON that has no code of its own: the configuration says where its fields stand.

use serde_json::Value;

use crate::{
    config::FieldSettings,
    domain::{
        event::{Fact, Notice},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        freshness::digits,
        rejection::{Fault, mismatch},
    },
};

/// Most events of one body.
const MOST_ITEMS: usize = 1_000;
/// A number of seconds is below this until the year 5138, a number of milliseconds above it since 1973.
const FIRST_MILLIS: i64 = 100_000_000_000;
/// The end of the year 9999, in milliseconds.
const LAST_MILLIS: i64 = 253_402_300_799_999;

/// The row of the table.
pub(super) const VENDOR: Vendor =
    Vendor { name: "generic", scheme: None, headers: &[], jobs: false, tenant_by_account: true, read };

fn read(reading: &Reading<'_>) -> Vec<Item> {
    let at = &reading.settings.fields;
    if at.id.is_empty() {
        return Item::unreadable((
            Reason::SchemaMismatch,
            "the source's `fields.id` is not configured: without an id no duplicate can be known".to_owned(),
        ));
    }
    match (fields::body(reading.body), &at.items) {
        (Err(fault), _) => Item::unreadable(fault),
        (Ok(body), None) => vec![Item::alone(event(at, &body))],
        (Ok(mut body), Some(items)) => match body.pointer_mut(items).map(Value::take) {
            Some(Value::Array(items)) if items.len() <= MOST_ITEMS => {
                Item::each(items, |item| event(at, item))
            }
            _ => Item::unreadable(mismatch(items, &format!("a list of at most {MOST_ITEMS} is required"))),
        },
    }
}

/// What is configured must be there, but for the time and the subject: an absent account must not turn into
/// another tenant's.
fn event(at: &FieldSettings, item: &Value) -> Result<Draft, Fault> {
    let required = |pointer: &String| fields::id(item, pointer);
    let subject = at.subject.as_ref().filter(|pointer| !is_absent(item, pointer));
    let fact = Fact::Notice(Notice {
        system: at.system.clone().unwrap_or_else(|| VENDOR.name.to_owned()),
        subject: subject.map(required).transpose()?,
        data: item.clone(),
    });
    let event_type = at.event_type.as_ref().map_or(Ok("event".to_owned()), required)?;
    let account = at.account.as_ref().map(required).transpose()?.unwrap_or_default();
    let time = at.time.as_ref().map(|pointer| time(item, pointer)).transpose()?.flatten();
    Ok(Draft::new(event_type, account, id(at, item)?, time, fact))
}

/// All parts of the id, in the configured order. A colon within one is escaped, so that no two lists of parts meet.
fn id(at: &FieldSettings, item: &Value) -> Result<String, Fault> {
    match at.id.as_slice() {
        [only] => fields::id(item, only),
        several => {
            let part =
                |pointer: &String| Ok(fields::id(item, pointer)?.replace('%', "%25").replace(':', "%3A"));
            Ok(several.iter().map(part).collect::<Result<Vec<_>, Fault>>()?.join(":"))
        }
    }
}

fn is_absent(item: &Value, pointer: &str) -> bool {
    matches!(item.pointer(pointer), None | Some(Value::Null))
}

/// RFC 3339, Unix seconds or Unix milliseconds, as text or as a number.
fn time(item: &Value, pointer: &str) -> Result<Option<Timestamp>, Fault> {
    let number = match item.pointer(pointer) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => match Timestamp::parse_rfc3339(text) {
            Some(time) => return Ok(Some(time)),
            None => digits(text),
        },
        Some(value) => value.as_i64(),
    };
    match number {
        Some(seconds @ 0..FIRST_MILLIS) => Ok(Some(Timestamp::from_seconds(seconds))),
        Some(millis @ FIRST_MILLIS..=LAST_MILLIS) => Ok(Some(Timestamp::from_millis(millis))),
        _ => Err(mismatch(pointer, "a time is expected: RFC 3339, Unix seconds or Unix milliseconds")),
    }
}
