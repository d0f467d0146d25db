//! Salesforce: outbound messages, events relayed through Amazon EventBridge, and callouts of a customer's own Apex
//! code. The body's shape tells which.

mod apex_callout;
mod change_event;
mod event_bridge;
mod outbound_message;
mod record;

use crate::sources::{
    contract::{Item, Reading, Vendor},
    exact_json,
};

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "salesforce",
    scheme: Some("salesforce-outbound-message"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    let body = reading.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(reading.body);
    if body.trim_ascii_start().starts_with(b"<") {
        return outbound_message::items(body, reading.received_at).unwrap_or_else(Item::unreadable);
    }
    let items = exact_json::body(body).and_then(|json| {
        if event_bridge::is_wrapped(&json) {
            event_bridge::items(&json, reading)
        } else {
            Ok(vec![Item::alone(apex_callout::event(json, reading.settings))])
        }
    });
    items.unwrap_or_else(Item::unreadable)
}
