//! Amazon EventBridge events of any origin: kept as they were told. Those that a vendor relays through EventBridge
//! have that vendor's file.

use serde_json::Value;

use crate::{
    domain::event::{Fact, Notice},
    sources::{
        contract::{BY_POLICY, Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, mismatch},
    },
};

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "eventbridge",
    scheme: Some(BY_POLICY),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    vec![Item::alone(fields::body(reading.body).and_then(|body| event(&body)))]
}

/// The whole event, or what an input transformer with the members of our guide makes of it (`type` for
/// `detail-type`, no region). A replay from an archive has the id of the first delivery.
fn event(body: &Value) -> Result<Draft, Fault> {
    let account = fields::text(body, "/account")?;
    let system = fields::text(body, "/source")?;
    let detail_type = fields::text(body, "/detail-type")
        .or_else(|absent| fields::text(body, "/type").map_err(|_| absent))?;
    let at = fields::rfc3339(body, "/time")?;
    let region = fields::optional_text(body, "/region").unwrap_or_default();
    let id = format!("{account}:{region}:{}", fields::text(body, "/id")?);
    let data = body.get("detail").cloned().ok_or_else(|| mismatch("/detail", "is required"))?;
    let subject = fields::optional_text(body, "/resources/0");
    let fact = Fact::Notice(Notice { system, subject, data });
    Ok(Draft::new(detail_type, account, id, Some(at), fact))
}
