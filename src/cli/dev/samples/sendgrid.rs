//! SendGrid signs with ECDSA and tells of many e-mails in one body.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done, item_rejected},
        workbench::{Draft, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        reason::Reason,
    },
};

const SENDER: &str = "SendGrid";
const SOURCE: &str = "sendgrid";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let names = ["processed", "delivered", "open", "click"];
    let bounced = json!([event(bench, "bounce", "sg-bounce")]);
    let bounced = bench.call(&Draft { source: SOURCE, id: "sendgrid-bounce", body: body(&bounced) })?;
    let ids = names.map(|name| format!("sg-{name}"));
    let mut items: Vec<Value> = names.iter().zip(&ids).map(|(name, id)| event(bench, name, id)).collect();
    items.insert(2, event(bench, "teleported", "sg-teleported"));
    let batch = Draft { source: SOURCE, id: "sendgrid-batch", body: body(&json!(items)) };
    let request = bench.request_once(&batch)?;
    let batch = bench.envelope(SOURCE, batch.id, &request, bench.base())?;
    let mut expects: Vec<Expect> = ids.iter().map(|id| done(&key(id))).collect();
    expects.push(item_rejected(&batch, 2, Reason::UnknownType));
    Ok(vec![
        Sample::new(SENDER, "five events, one of them unknown", batch, expects),
        Sample::new(SENDER, "a bounce", bounced, vec![done(&key("sg-bounce"))]),
    ])
}

fn event(bench: &Workbench<'_>, name: &str, id: &str) -> Value {
    json!({
        "email": "nora@example.com",
        "timestamp": bench.ago(4).seconds(),
        "event": name,
        "sg_event_id": id,
        "sg_message_id": "tide-table-07.recvd-5b8c-1.0",
        "url": "https://example.com/tides",
        "status": "5.1.1",
    })
}

/// SendGrid ends its bodies so.
fn body(events: &Value) -> Vec<u8> {
    format!("{events}\r\n").into_bytes()
}

fn key(id: &str) -> EventKey {
    EventKey::new(&SourceName::from(SOURCE), "", id)
}
