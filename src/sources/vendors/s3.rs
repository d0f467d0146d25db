//! Amazon S3 event notifications: one notice for each record.

use serde_json::Value;
use url::form_urlencoded;

use crate::{
    domain::{
        event::{Fact, Notice},
        reason::Reason,
    },
    sources::{
        contract::{BY_POLICY, Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, mismatch},
    },
};

/// Most records of one notification; S3 sends one.
const MOST_ITEMS: usize = 1_000;

/// The row of the table.
pub(super) const VENDOR: Vendor =
    Vendor { name: "s3", scheme: Some(BY_POLICY), headers: &[], jobs: false, tenant_by_account: true, read };

fn read(reading: &Reading<'_>) -> Vec<Item> {
    match fields::body(reading.body).and_then(records) {
        Ok(records) => Item::each(records, notice),
        Err(fault) => Item::unreadable(fault),
    }
}

/// `s3:TestEvent`, which S3 sends when a notification is configured, holds no records.
fn records(mut body: Value) -> Result<Vec<Value>, Fault> {
    match body.get_mut("Records").map(Value::take) {
        Some(Value::Array(records)) if records.len() <= MOST_ITEMS => Ok(records),
        Some(Value::Array(_)) => {
            Err((Reason::PayloadMalformed, format!("more than {MOST_ITEMS} records in one body")))
        }
        None if body.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") => Ok(Vec::new()),
        _ => Err(mismatch("/Records", "a list is required")),
    }
}

fn notice(record: &Value) -> Result<Draft, Fault> {
    if record.get("eventSource").and_then(Value::as_str) != Some("aws:s3") {
        return Err(mismatch("/eventSource", "aws:s3 is expected"));
    }
    let event_name = fields::text(record, "/eventName")?;
    let event_time = fields::text(record, "/eventTime")?;
    let at = fields::rfc3339(record, "/eventTime")?;
    let bucket = fields::text(record, "/s3/bucket/name")?;
    let key = fields::text(record, "/s3/object/key")?;
    let version = fields::optional_text(record, "/s3/object/versionId").unwrap_or_default();
    // Some events have no sequencer; the time tells them apart.
    let sequencer = fields::optional_text(record, "/s3/object/sequencer").unwrap_or(event_time);
    let name = decoded(&key);
    let order_key = format!("s3:{bucket}:{name}");
    let subject = Some(format!("{bucket}/{name}"));
    let fact = Fact::Notice(Notice { system: "s3".to_owned(), subject, data: record.clone() });
    // The key stays encoded here: it then holds no colon.
    let id = [&bucket, &key, &version, &sequencer, &event_name].map(String::as_str).join(":");
    let mut draft = Draft::new(event_name, bucket, id, Some(at), fact);
    draft.order_key = Some(order_key);
    Ok(draft)
}

/// Keys are encoded like form fields: `+` is a space.
fn decoded(key: &str) -> String {
    let one_name = key.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(one_name.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}
