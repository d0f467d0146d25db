//! Change data capture: one event says what one transaction did to one or more records of an object.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Fact},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading},
        exact_json::as_text,
        fields,
        records::{Properties, changed, created},
        rejection::{Fault, mismatch},
        vendors::salesforce::{
            record::{SYSTEM, id, is_session, order_key, time, whole_number},
            relayed::Relayed,
        },
    },
};

/// Records of one event.
const MOST_ITEMS: usize = 1_000;
/// Bytes that the fields of one event may take when each record has its own copy; beyond it they are read again.
const MOST_BYTES: usize = 64 << 20;
/// Compound fields: a name, an address, a location.
const DEEPEST_FIELD: usize = 4;

/// What all records of one event share.
struct Change<'a> {
    organization: &'a str,
    vendor_type: &'static str,
    transaction: String,
    sequence: String,
    object: String,
    kind: CrmChangeKind,
    occurred_at: Option<Timestamp>,
    at: Timestamp,
    tie: String,
}

/// One item for each record.
pub(super) fn items(relayed: &Relayed<'_>, reading: &Reading<'_>) -> Result<Vec<Item>, Fault> {
    let header = format!("{}/ChangeEventHeader", relayed.place);
    if !relayed.body.pointer(&header).is_some_and(Value::is_object) {
        return Err(mismatch(&header, "an object is expected"));
    }
    let change = change(relayed, &header, reading)?;
    let place = format!("{header}/recordIds");
    let records = match fields::list(relayed.body, &place)? {
        // A gap may name no record: then all of them may have changed.
        [] if change.kind == CrmChangeKind::Stale => {
            return Ok(vec![Item::alone(draft(&change, "*".to_owned()))]);
        }
        [] => return Err(mismatch(&place, "at least one record is expected")),
        records if records.len() > MOST_ITEMS => {
            return Err(mismatch(&place, "at most 1000 records are expected"));
        }
        records => records,
    };
    let too_large = records.len().saturating_mul(reading.body.len()) > MOST_BYTES;
    let has_fields = matches!(change.kind, CrmChangeKind::Changed(_));
    let change =
        if too_large && has_fields { Change { kind: CrmChangeKind::Stale, ..change } } else { change };
    let item = |(index, record): (usize, &Value)| {
        let draft = record_id(record, &format!("{place}/{index}")).and_then(|record| draft(&change, record));
        Item { index: Some(index), json: draft.is_err().then(|| record.clone()), draft }
    };
    Ok(records.iter().enumerate().map(item).collect())
}

fn change<'a>(relayed: &'a Relayed<'_>, header: &str, reading: &Reading<'_>) -> Result<Change<'a>, Fault> {
    let body = relayed.body;
    let member = |name: &str| format!("{header}/{name}");
    let committed = time(body, &member("commitTimestamp"))?;
    let occurred_at = committed.map_or_else(|| time(body, "/time"), |at| Ok(Some(at)))?;
    let commit = whole_number(body, &member("commitNumber"))?.unwrap_or_default();
    let sequence = whole_number(body, &member("sequenceNumber"))?
        .ok_or_else(|| mismatch(&member("sequenceNumber"), "a whole number is required"))?;
    let change_type = fields::text(body, &member("changeType"))?;
    let gap = change_type.starts_with("GAP_");
    Ok(Change {
        organization: &relayed.organization,
        vendor_type: if gap { "cdc_gap" } else { "cdc" },
        transaction: fields::text(body, &member("transactionKey"))?,
        object: fields::text(body, &member("entityName"))?.to_lowercase(),
        kind: if gap { CrmChangeKind::Stale } else { kind(relayed, header, &change_type)? },
        occurred_at,
        at: occurred_at.unwrap_or(reading.received_at),
        // Padded, so that ties are broken in the order of the numbers.
        tie: format!("{commit:0>20}:{sequence:0>10}"),
        sequence,
    })
}

fn kind(relayed: &Relayed<'_>, header: &str, change_type: &str) -> Result<CrmChangeKind, Fault> {
    match change_type {
        "CREATE" => Ok(match values(relayed, header)? {
            None => CrmChangeKind::Stale,
            told => created(told.filter(|properties| !properties.is_empty())),
        }),
        "UPDATE" => Ok(changed(values(relayed, header)?)),
        "DELETE" => Ok(CrmChangeKind::Deleted),
        "UNDELETE" => Ok(CrmChangeKind::Restored),
        _ => {
            let place = format!("{header}/changeType");
            Err((Reason::UnknownType, format!("{place}: not one that this release knows")))
        }
    }
}

/// The new values. `None`: the event does not tell them all (differences of long texts, or bit maps for names).
fn values(relayed: &Relayed<'_>, header: &str) -> Result<Option<Properties>, Fault> {
    let nulled = names(relayed.body, &format!("{header}/nulledFields"))?;
    let changed = names(relayed.body, &format!("{header}/changedFields"))?;
    let differences = names(relayed.body, &format!("{header}/diffFields"))?;
    if !differences.is_empty() || nulled.iter().any(|name| is_bit_map(name)) {
        return Ok(None);
    }
    let cleared = nulled.union(&changed).copied().collect();
    let mut properties = Properties::new();
    if let Some(fields) = relayed.body.pointer(relayed.place).and_then(Value::as_object) {
        add_fields(fields, "", &cleared, &mut properties);
    }
    for name in nulled.into_iter().filter(|name| !name.starts_with('$')) {
        properties.entry(name.to_owned()).or_insert(None);
    }
    Ok(Some(properties))
}

fn names<'a>(body: &'a Value, place: &str) -> Result<BTreeSet<&'a str>, Fault> {
    let text = |name: &'a Value| name.as_str().ok_or_else(|| mismatch(place, "names of fields are expected"));
    fields::list(body, place)?.iter().map(text).collect()
}

/// Fields as bits of the event's schema, the way that Salesforce's own API has them: `0x1A`, `4-0x02`.
fn is_bit_map(name: &str) -> bool {
    name.starts_with("0x") || name.contains("-0x")
}

/// Parts of a compound field as `MailingAddress.City`. A null says only then that a field was cleared when the
/// header names it: fields that did not change may be null, too.
fn add_fields(
    fields: &Map<String, Value>,
    prefix: &str,
    cleared: &BTreeSet<&str>,
    properties: &mut Properties,
) {
    for (field, value) in fields {
        // Names with a dollar sign are ours.
        if field.starts_with('$') || is_session(field) || (prefix.is_empty() && field == "ChangeEventHeader")
        {
            continue;
        }
        let name = format!("{prefix}{field}");
        match value {
            Value::Null if !cleared.contains(name.as_str()) => {}
            Value::Object(parts) if name.matches('.').count() < DEEPEST_FIELD => {
                add_fields(parts, &format!("{name}."), cleared, properties);
            }
            _ => {
                properties.insert(name, as_text(value));
            }
        }
    }
}

/// Salesforce may name all records of an object at once: `001*`.
fn record_id(value: &Value, place: &str) -> Result<String, Fault> {
    let text = value.as_str().ok_or_else(|| mismatch(place, "a record id is expected"))?;
    match text.strip_suffix('*') {
        Some(start) if start.len() < 15 && start.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Ok(text.to_owned())
        }
        _ => id(text, place).map(String::from),
    }
}

fn draft(change: &Change<'_>, record: String) -> Result<Draft, Fault> {
    let Change { organization, object, transaction, sequence, .. } = change;
    let order_key = order_key(organization, object, &record);
    let event_id = format!("cdc:{transaction}:{sequence}:{record}");
    // What was done to many records is not told of each.
    let kind = if record.ends_with('*') { CrmChangeKind::Stale } else { change.kind.clone() };
    let fact = Fact::CrmChange(CrmChange {
        system: SYSTEM.to_owned(),
        object: object.clone(),
        object_id: record,
        change: kind,
        at: change.at,
        tie: change.tie.clone(),
    });
    let mut draft = Draft::new(change.vendor_type, *organization, event_id, change.occurred_at, fact);
    draft.order_key = order_key;
    Ok(draft)
}
