//! CloudEvents 1.0 (cloudevents.io) of any sender, in structured JSON mode: one event, or a batch.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    domain::{
        event::{Fact, Notice},
        reason::Reason,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, mismatch},
    },
};

/// Most events of one batch.
const MOST_ITEMS: usize = 1_000;

/// The row of the table.
pub(super) const VENDOR: Vendor =
    Vendor { name: "cloudevents", scheme: None, headers: &[], jobs: false, tenant_by_account: true, read };

fn read(reading: &Reading<'_>) -> Vec<Item> {
    match fields::body(reading.body) {
        Ok(Value::Array(items)) if items.len() <= MOST_ITEMS => Item::each(items, event),
        Ok(Value::Array(_)) => {
            Item::unreadable((Reason::PayloadMalformed, format!("more than {MOST_ITEMS} events in a batch")))
        }
        Ok(body) => vec![Item::alone(event(&body))],
        Err(fault) => Item::unreadable(fault),
    }
}

fn event(item: &Value) -> Result<Draft, Fault> {
    if item.get("specversion").and_then(Value::as_str) != Some("1.0") {
        return Err(mismatch("/specversion", "1.0 is expected"));
    }
    let source = fields::text(item, "/source")?;
    if source.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(mismatch("/source", "a URI reference is required"));
    }
    let id = fields::text(item, "/id")?;
    let event_type = fields::text(item, "/type")?;
    let at = fields::optional_rfc3339(item, "/time")?;
    let subject = fields::optional_text(item, "/subject");
    let fact = Fact::Notice(Notice { system: source.clone(), subject, data: data(item)? });
    // Only both together are unique; no source holds a space.
    let both = format!("{source} {id}");
    Ok(Draft::new(event_type, source, both, at, fact))
}

/// What the event carries. Bytes stay base64, beside the name of what they are.
fn data(item: &Value) -> Result<Value, Fault> {
    match (item.get("data"), item.get("data_base64")) {
        (Some(_), Some(_)) => Err(mismatch("/data_base64", "`data` is there as well")),
        (data, None) => Ok(data.cloned().unwrap_or(Value::Null)),
        (None, Some(bytes)) => {
            let known = bytes.as_str().is_some_and(|text| STANDARD.decode(text).is_ok());
            known
                .then(|| json!({ "data_base64": bytes, "datacontenttype": item.get("datacontenttype") }))
                .ok_or_else(|| mismatch("/data_base64", "base64 is required"))
        }
    }
}
