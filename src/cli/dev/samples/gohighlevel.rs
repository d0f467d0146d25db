//! HighLevel signs with Ed25519: a message of a person, a contact, an installation.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::ids::{EventKey, SourceName},
};

const SENDER: &str = "HighLevel";
const SOURCE: &str = "gohighlevel";
/// The sub-account.
pub(crate) const LOCATION: &str = "pJ4mWq8sT1vXz6rBnC3d";
const CONTACT: &str = "hK2fY7uLw9aQe5oSg0iM";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let story = |name, id: &str, body: &Value| {
        let body = body.to_string().into_bytes();
        let call = bench.call(&Draft { source: SOURCE, id, body })?;
        anyhow::Ok(Sample::new(SENDER, name, call, vec![done(&key(id))]))
    };
    let email = Expect::Property {
        tenant: "quiet",
        system: SOURCE,
        id: format!("{LOCATION}/{CONTACT}"),
        name: "email",
        value: "holly@example.com",
    };
    let message = key("ghl-message");
    Ok(vec![
        story("a message, read and not answered", "ghl-message", &message_body(bench))?
            .and(Expect::NoCommand(message)),
        story("a contact made", "ghl-contact", &contact(bench))?.and(email),
        story("an installation, on record", "ghl-install", &installation(bench))?,
    ])
}

fn key(webhook: &str) -> EventKey {
    EventKey::new(&SourceName::from(SOURCE), LOCATION, webhook)
}

fn common(bench: &Workbench<'_>, name: &str, webhook: &str) -> Value {
    json!({
        "type": name,
        "locationId": LOCATION,
        "webhookId": webhook,
        "timestamp": bench.ago(2).to_string(),
    })
}

fn message_body(bench: &Workbench<'_>) -> Value {
    let mut body = common(bench, "InboundMessage", "ghl-message");
    body["messageType"] = json!("SMS");
    body["direction"] = json!("inbound");
    body["contactId"] = json!(CONTACT);
    body["conversationId"] = json!("cV5tRn1bHy8jUm3kIo7p");
    body["messageId"] = json!("mS6dFg4hJk2lZx9cVb0n");
    body["body"] = json!("Is the harbour tour open on Sunday?");
    body["dateAdded"] = json!(bench.ago(3).to_string());
    body
}

fn contact(bench: &Workbench<'_>) -> Value {
    let mut body = common(bench, "ContactCreate", "ghl-contact");
    body["id"] = json!(CONTACT);
    body["firstName"] = json!("Holly");
    body["email"] = json!("holly@example.com");
    body["phone"] = json!("+15555550140");
    body["customFields"] = json!([{ "id": "boatLength", "value": 11.5 }]);
    body["dateAdded"] = json!(bench.ago(3).to_string());
    body
}

fn installation(bench: &Workbench<'_>) -> Value {
    let mut body = common(bench, "INSTALL", "ghl-install");
    body["appId"] = json!("66f0c1d2e3a4b5c6d7e8f901");
    body["installType"] = json!("Location");
    body["companyId"] = json!("nB7vC2xZ9lK4jH1gF6dS");
    body
}
