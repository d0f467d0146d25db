//! WhatsApp says how far our messages got, in any order.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done, item_rejected},
        whatsapp_wire::{ACME, Person, key, message_key, posted, posted_text, sealed, statuses},
        workbench::Workbench,
    },
    domain::{command::CommandState, ids::EventKey, reason::Reason},
};

const SENDER: &str = "WhatsApp status";
/// The stand-in takes a message for this number and cuts the connection; WhatsApp tells later that it arrived.
const CUT_OFF_TWICE: Person = Person { number: "15555519999", name: "Gus" };

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let posted_status = |id: &str, item: Value| posted(bench, id, &[statuses(ACME, &[item])]);
    let delivered = status(bench, "ours-1", "delivered", 1);
    let sent = status(bench, "ours-1", "sent", 3);
    let mut failed = status(bench, "ours-2", "failed", 1);
    failed["errors"] = json!([{ "code": 131_026, "title": "Message undeliverable" }]);
    let odd = sealed(bench, "status-odd", &[statuses(ACME, &[status(bench, "ours-3", "teleported", 1)])])?;
    let unknown = item_rejected(&odd, 0, Reason::UnknownType);
    let mut samples = vec![
        Sample::new(
            SENDER,
            "delivered, told first",
            posted_status("status-delivered", delivered)?,
            vec![done(&status_key("ours-1", "delivered"))],
        ),
        Sample::new(
            SENDER,
            "sent, told last: moves nothing back",
            posted_status("status-sent", sent)?,
            vec![done(&status_key("ours-1", "sent"))],
        )
        .after(&["delivered, told first"]),
        Sample::new(
            SENDER,
            "failed",
            posted_status("status-failed", failed)?,
            vec![done(&status_key("ours-2", "failed"))],
        ),
        Sample::new(SENDER, "a status that nobody knows", odd, vec![unknown]),
    ];
    samples.extend(settles_the_unknown(bench)?);
    Ok(samples)
}

/// The reply's fate is unknown until the vendor's status names our command.
fn settles_the_unknown(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let reply = message_key(ACME, "cut-then-told");
    let message = posted_text(bench, ACME, CUT_OFF_TWICE, "cut-then-told", "Do you deliver to Lisbon?")?;
    let mut told = status(bench, "ours-4", "delivered", 0);
    told["biz_opaque_callback_data"] = json!(format!("{reply}@0#0"));
    let command = |state| Expect::Command { key: reply.clone(), state };
    Ok(vec![
        Sample::new(
            SENDER,
            "a reply cut off",
            message,
            vec![done(&reply), Expect::Attempt { key: reply.clone(), end: "unknown" }],
        ),
        Sample::new(
            SENDER,
            "its status settles it",
            posted(bench, "status-settles", &[statuses(ACME, &[told])])?,
            vec![done(&status_key("ours-4", "delivered")), command(CommandState::Sent)],
        )
        .after(&["a reply cut off"]),
    ])
}

fn status(bench: &Workbench<'_>, message: &str, name: &str, seconds_ago: u64) -> Value {
    json!({
        "id": format!("wamid.{message}"),
        "status": name,
        "timestamp": bench.ago(seconds_ago).seconds().to_string(),
        "recipient_id": "15555550101",
    })
}

fn status_key(message: &str, name: &str) -> EventKey {
    key(ACME, &format!("status:wamid.{message}:{name}"))
}
