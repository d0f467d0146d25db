//! Which envelope of an AWS service a body is. The order, and what each looks like, are the services' own:
//! Amazon SNS "Parsing message formats", EventBridge "Events", CloudEvents 1.0 "JSON Event Format", Amazon S3 "Event
//! message structure".

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An envelope, and what is in it.
pub(super) enum Shape {
    /// Amazon SNS, raw delivery off.
    Notification { topic: String, message: String, attributes: Vec<(String, String)> },
    /// EventBridge or CloudEvents: who sent it, and the part that may be an envelope again.
    Event { origin: String, content: Option<String> },
    /// Amazon S3 tells of objects in this bucket.
    Bucket(String),
    /// Amazon S3 tried whether it can write to the queue.
    BucketTest,
    /// None of them.
    Raw,
}

/// The keys of the outermost object, each with its JSON as it stands there.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Looks at the outermost keys only.
pub(super) fn shape(text: &str) -> Shape {
    if !text.trim_start().starts_with('{') {
        return Shape::Raw;
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(text) else { return Shape::Raw };
    notification(&fields)
        .or_else(|| event_bridge(&fields))
        .or_else(|| cloud_event(&fields))
        .or_else(|| bucket(&fields))
        .unwrap_or(Shape::Raw)
}

fn text(fields: &Fields<'_>, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

#[derive(Deserialize)]
struct MessageAttribute {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Value")]
    value: String,
}

fn notification(fields: &Fields<'_>) -> Option<Shape> {
    let topic =
        text(fields, "TopicArn").filter(|_| text(fields, "Type").as_deref() == Some("Notification"))?;
    let message = text(fields, "Message")?;
    let attributes: BTreeMap<String, MessageAttribute> = fields
        .get("MessageAttributes")
        .and_then(|json| serde_json::from_str(json.get()).ok())
        .unwrap_or_default();
    let texts = attributes.into_iter().filter(|(_, attribute)| attribute.kind != "Binary");
    let attributes = texts.map(|(name, attribute)| (name, attribute.value)).collect();
    Some(Shape::Notification { topic, message, attributes })
}

/// A whole event, or what the recommended input transformer makes of one.
fn event_bridge(fields: &Fields<'_>) -> Option<Shape> {
    let whole = text(fields, "version").as_deref() == Some("0") && fields.contains_key("detail-type");
    let transformed = ["id", "type", "time", "account"].iter().all(|name| text(fields, name).is_some())
        && !fields.contains_key("specversion");
    let detail = fields.get("detail").filter(|_| whole || transformed)?;
    Some(Shape::Event { origin: text(fields, "source")?, content: Some(detail.get().to_owned()) })
}

fn cloud_event(fields: &Fields<'_>) -> Option<Shape> {
    text(fields, "specversion")?;
    let decoded =
        || STANDARD.decode(text(fields, "data_base64")?).ok().and_then(|b| String::from_utf8(b).ok());
    let content = fields.get("data").map(|json| json.get().to_owned()).or_else(decoded);
    Some(Shape::Event { origin: text(fields, "source")?, content })
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventSource")]
    source: String,
    s3: RecordObject,
}

#[derive(Deserialize)]
struct RecordObject {
    bucket: RecordBucket,
}

#[derive(Deserialize)]
struct RecordBucket {
    name: String,
}

fn bucket(fields: &Fields<'_>) -> Option<Shape> {
    let is = |name: &str, value: &str| text(fields, name).as_deref() == Some(value);
    if is("Event", "s3:TestEvent") && is("Service", "Amazon S3") {
        return Some(Shape::BucketTest);
    }
    let records: Vec<Record> = serde_json::from_str(fields.get("Records")?.get()).ok()?;
    let bucket = records.first()?.s3.bucket.name.clone();
    // One notification tells of one bucket.
    let same = |record: &Record| record.source == "aws:s3" && record.s3.bucket.name == bucket;
    records.iter().all(same).then_some(Shape::Bucket(bucket))
}
