//! Pipedrive webhooks, in the shapes of version 1 and 2: a record was made, changed or deleted.

use serde_json::Value;

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Fact},
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        records::{Properties, changed, created, properties},
        rejection::{Fault, mismatch},
    },
};

/// Holds custom fields in version 2, by keys of 40 hex digits; version 1 has them among the others.
const CUSTOM: &str = "custom_fields";
/// The last microsecond of the year 9999.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "pipedrive",
    scheme: Some("basic-auth"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

/// What both versions say.
struct Change<'a> {
    action: String,
    entity: String,
    entity_id: String,
    company: String,
    /// Unique within the company.
    id: String,
    at: Timestamp,
    current: Part<'a>,
    previous: Part<'a>,
}

/// A record, and where it stands.
type Part<'a> = (Option<&'a Value>, &'static str);

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(fields::body(reading.body).and_then(|body| draft(&body)))]
}

fn draft(body: &Value) -> Result<Draft, Fault> {
    let change = if body.pointer("/meta/entity").is_none() && body.pointer("/meta/object").is_some() {
        version_1(body)?
    } else {
        version_2(body)?
    };
    let kind = format!("{}.{}", change.action, change.entity);
    let what = what(&change, &kind)?;
    let Change { entity, entity_id, company, id, at, .. } = change;
    // The handlers know persons as contacts.
    let object = if entity == "person" { "contact".to_owned() } else { entity };
    let order_key = format!("pipedrive:{company}:{object}:{entity_id}");
    let fact = Fact::CrmChange(CrmChange {
        system: VENDOR.name.to_owned(),
        object,
        object_id: entity_id,
        change: what,
        at,
        tie: id.clone(),
    });
    let mut draft = Draft::new(kind, company, id, Some(at), fact);
    draft.order_key = Some(order_key);
    Ok(draft)
}

fn version_2(body: &Value) -> Result<Change<'_>, Fault> {
    let time = "/meta/timestamp";
    Ok(Change {
        action: fields::text(body, "/meta/action")?,
        entity: fields::text(body, "/meta/entity")?,
        entity_id: fields::id(body, "/meta/entity_id")?.to_ascii_lowercase(),
        company: fields::id(body, "/meta/company_id")?,
        // Stays the same when `attempt` grows.
        id: fields::text(body, "/meta/id")?.to_ascii_lowercase(),
        at: fields::optional_rfc3339(body, time)?.ok_or_else(|| mismatch(time, "a time is required"))?,
        current: (body.get("data"), "/data"),
        previous: (body.get("previous"), "/previous"),
    })
}

fn version_1(body: &Value) -> Result<Change<'_>, Fault> {
    let action = fields::text(body, "/meta/action")?;
    let entity = fields::text(body, "/meta/object")?;
    let entity_id = fields::id(body, "/meta/id")?.to_ascii_lowercase();
    let webhook = fields::id_or_none(body, "/meta/webhook_id")?.unwrap_or_default();
    let at = time_1(body)?;
    // There is no event id; `retry` grows, the rest stays the same.
    let id = format!("{webhook}:{action}.{entity}:{entity_id}:{}", at.0);
    Ok(Change {
        action,
        entity,
        entity_id,
        company: fields::id(body, "/meta/company_id")?,
        id,
        at,
        current: (body.get("current"), "/current"),
        previous: (body.get("previous"), "/previous"),
    })
}

fn time_1(body: &Value) -> Result<Timestamp, Fault> {
    let pointer = "/meta/timestamp_micro";
    let Some(digits) = fields::id_or_none(body, pointer)? else {
        return fields::unix_seconds(body, "/meta/timestamp");
    };
    let micros: Option<i64> = digits.parse().ok();
    micros
        .filter(|micros| (0..=LAST_MICROS).contains(micros))
        .map(Timestamp)
        .ok_or_else(|| mismatch(pointer, "Unix microseconds are required"))
}

fn what(change: &Change<'_>, kind: &str) -> Result<CrmChangeKind, Fault> {
    let (current, previous) = (record(change.current)?, record(change.previous)?);
    Ok(match change.action.as_str() {
        "create" | "added" => created(current),
        "change" | "updated" => changed(current.map(|current| difference(current, previous))),
        // Of the two records of a merge, one is deleted.
        "delete" | "deleted" => CrmChangeKind::Deleted,
        _ => CrmChangeKind::Other(kind.to_owned()),
    })
}

fn record((record, pointer): Part<'_>) -> Result<Option<Properties>, Fault> {
    let Some(mut whole) = properties(record, &["id", CUSTOM], pointer)? else { return Ok(None) };
    let custom = record.and_then(|record| record.get(CUSTOM));
    whole.extend(properties(custom, &[], &format!("{pointer}/{CUSTOM}"))?.unwrap_or_default());
    Ok(Some(whole))
}

/// Version 2 tells the old values of what changed, version 1 those of everything. Without old values everything
/// counts as new.
fn difference(mut current: Properties, previous: Option<Properties>) -> Properties {
    let Some(previous) = previous.filter(|previous| !previous.is_empty()) else { return current };
    let pairs = previous.into_iter().map(|(name, old)| (current.remove(&name).flatten(), name, old));
    pairs.filter(|(new, _, old)| new != old).map(|(new, name, _)| (name, new)).collect()
}
