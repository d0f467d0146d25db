//! The senders of the samples, as the settings of `dev` name them.

use crate::cli::dev::{
    samples::{
        billing::SHOP,
        clerk::INSTANCE,
        dynamics::TENANT_ORGANIZATION,
        gohighlevel::LOCATION,
        pipedrive::COMPANY,
        salesforce::ORGANIZATION,
        twilio::ACCOUNT,
        whatsapp_wire::{ACME, QUIET, STANDIN},
        workbench::PORTAL,
    },
    state_dir::StateDir,
};

/// Everything from somebody else's account belongs to this tenant.
const OF_ACME: &str = "tenant = \"acme\"\n";

/// Keys of the edge, and all sources with theirs.
pub(crate) fn senders(state: &StateDir) -> String {
    [seal(state), messengers(state), crms(state), others(state), our_own(state)].concat()
}

fn seal(state: &StateDir) -> String {
    let mut text = "\n[seal]\nsign_with = \"wake\"\n".to_owned();
    for (name, sources) in [("edge", "*"), ("edge-hubspot", "hubspot"), ("wake", "wake")] {
        text += &format!("{}sources = [\"{sources}\"]\n", key(state, "seal", name));
    }
    text
}

fn messengers(state: &StateDir) -> String {
    let whatsapp = [(ACME, "acme"), (QUIET, "quiet"), (STANDIN, "standin")];
    [
        source(state, "whatsapp", "whatsapp", "") + &accounts("whatsapp", &whatsapp),
        // Nothing here sends texts: replies would have no way out.
        source(state, "twilio", "twilio", "") + &accounts("twilio", &[(ACCOUNT, "quiet")]),
        source(state, "sendgrid", "sendgrid", OF_ACME),
    ]
    .concat()
}

fn crms(state: &StateDir) -> String {
    let organization = format!("{OF_ACME}organization_ids = [\"{ORGANIZATION}\"]\n");
    let apex = format!("scheme = \"longshore\"\n{organization}");
    [
        source(state, "hubspot", "hubspot", "") + &accounts("hubspot", &[(PORTAL, "acme")]),
        source(state, "gohighlevel", "gohighlevel", "") + &accounts("gohighlevel", &[(LOCATION, "quiet")]),
        source(state, "pipedrive", "pipedrive", "") + &accounts("pipedrive", &[(COMPANY, "acme")]),
        // Shows the organisation's id and has no key.
        keyless("salesforce", "salesforce", &organization),
        source(state, "salesforce-apex", "salesforce", &apex),
        source(state, "dynamics", "dynamics", "") + &accounts("dynamics", &[(TENANT_ORGANIZATION, "acme")]),
    ]
    .concat()
}

fn others(state: &StateDir) -> String {
    let limited = format!("{OF_ACME}max_body = 4096\n");
    [
        source(state, "partner", "standard-webhooks", &limited),
        source(state, "clerk", "clerk", "verify_at_edge = true\n")
            + &accounts("clerk", &[(INSTANCE, "acme")]),
        source(state, "billing", "generic", "scheme = \"stripe\"\n")
            + &accounts("billing", &[(SHOP, "acme")])
            + BILLING_FIELDS,
        keyless("keyless", "whatsapp", OF_ACME),
    ]
    .concat()
}

/// Where a shop's bodies hold what.
const BILLING_FIELDS: &str = r#"
[sources.billing.fields]
system = "billing"
id = ["/id"]
event_type = "/type"
time = "/created"
account = "/account"
subject = "/data/object/id"
"#;

fn our_own(state: &StateDir) -> String {
    let retired = key(state, "sources.chat", "chat-retired") + "state = \"replay-only\"\n";
    [
        source(state, "chat", "jobs", OF_ACME) + &retired,
        source(state, "drills", "jobs", OF_ACME),
        source(state, "late", "jobs", OF_ACME),
    ]
    .concat()
}

/// With the key of the same name.
fn source(state: &StateDir, name: &str, vendor: &str, more: &str) -> String {
    keyless(name, vendor, more) + &key(state, &format!("sources.{name}"), name)
}

fn keyless(name: &str, vendor: &str, more: &str) -> String {
    format!("\n[sources.{name}]\nvendor = \"{vendor}\"\n{more}")
}

fn key(state: &StateDir, of: &str, name: &str) -> String {
    format!("\n[[{of}.keys]]\nid = \"{name}\"\nsecret = {}\n", quoted(&state.reference(name).0))
}

/// Tenants by account.
fn accounts(source: &str, tenants: &[(&str, &str)]) -> String {
    let rows = tenants.iter().map(|(account, tenant)| format!("\"{account}\" = \"{tenant}\"\n"));
    format!("[sources.{source}.accounts]\n{}", rows.collect::<String>())
}

/// A TOML string: JSON's escapes are TOML's, too.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
