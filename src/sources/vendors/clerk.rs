//! Clerk webhooks: users, organisations and sessions, delivered by Svix.

use serde_json::Value;

use crate::{
    domain::{
        event::{Fact, Notice},
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, mismatch},
    },
};

/// The delivery's id, the same on every retry. The body has none.
const ID: &str = "svix-id";
/// A smaller number counts seconds: as milliseconds it would lie before 1973, and before Clerk.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "clerk",
    scheme: Some("svix"),
    headers: &[ID],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(fields::body(reading.body).and_then(|body| draft(reading, body)))]
}

fn draft(reading: &Reading<'_>, body: Value) -> Result<Draft, Fault> {
    let event_type = fields::text(&body, "/type")?;
    if !body.get("data").is_some_and(Value::is_object) {
        return Err(mismatch("/data", "an object is required"));
    }
    // Bodies of earlier years name neither the instance nor the time.
    let instance = fields::text_or_none(&body, "/instance_id")?.unwrap_or_default();
    let at = time(&body)?;
    let subject = fields::text_or_none(&body, "/data/id")?;
    let id = reading
        .request
        .header(ID)
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| composite(&event_type, subject.as_deref(), at, &body));
    let order_key = subject.as_ref().map(|subject| format!("clerk:{instance}:{subject}"));
    let fact = Fact::Notice(Notice { system: VENDOR.name.to_owned(), subject, data: body });
    let mut draft = Draft::new(event_type, instance, id, at, fact);
    draft.order_key = order_key;
    Ok(draft)
}

/// Milliseconds as documented, or seconds as in the published specification's example.
fn time(body: &Value) -> Result<Option<Timestamp>, Fault> {
    let pointer = "/timestamp";
    match body.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(number) if number.as_i64().is_some_and(|number| number < FIRST_MILLIS) => {
            fields::unix_seconds(body, pointer).map(Some)
        }
        Some(_) => fields::unix_millis(body, pointer).map(Some),
    }
}

/// For edges that lose the header.
fn composite(event_type: &str, subject: Option<&str>, at: Option<Timestamp>, body: &Value) -> String {
    match (subject, at) {
        (Some(subject), Some(at)) => format!("{event_type}:{subject}:{}", at.millis()),
        _ => format!("{event_type}:{}", fields::digest(body)),
    }
}
