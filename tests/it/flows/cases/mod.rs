//! Every vendor's requests, as its senders sign them: what they say, and what must become of it. Knows nothing of
//! tests, so that a benchmark can send the same.

mod messages;
mod notices;
mod records;
mod salesforce;

use std::path::Path;

use longshore::{
    config::SourceSettings,
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    sources::{contract::Order, contract::Scheme, contract::Vendor, scheme, sign::sign_request, vendor},
};
use serde_json::{Value, json};

pub(crate) use salesforce::{ORGANIZATION, SESSION, change_event, of_change_event};

/// Where the vendors think that they call.
pub(crate) const PUBLIC_URL: &str = "https://hooks.example.test";
/// Whose events they all are.
pub(crate) const TENANT: &str = "harbour";
/// Stands once in every body, in a value that nothing depends on.
pub(crate) const NAME: &str = "Kestrel";

/// One vendor, sending in one way.
pub(crate) struct Case {
    /// Name of the source.
    pub(crate) source: &'static str,
    pub(crate) vendor: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) key: Key,
    /// The sender's account, which decides the tenant; empty where the source does.
    pub(crate) account: &'static str,
    /// Further settings of the source, as JSON.
    pub(crate) settings: &'static str,
    pub(crate) proof: Proof,
    pub(crate) body: fn(&Told) -> Vec<u8>,
    /// What its body holds.
    pub(crate) events: fn(&Told) -> Vec<Expected>,
    /// What is in the tables when it is done: of each, one row.
    pub(crate) rows: fn(&Told) -> Vec<String>,
}

/// A request's number, which makes its ids, and when its vendor sent it.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
}

/// One event of a body: its id within the account, the vendor's name for it, and ours.
pub(crate) struct Expected {
    pub(crate) id: String,
    pub(crate) vendor_type: &'static str,
    pub(crate) kind: &'static str,
}

/// What the vendor signs with.
pub(crate) enum Key {
    /// Both sides have it.
    Shared(&'static str),
    /// A pair of the fixtures, by its name.
    Pair(&'static str),
    /// Nothing.
    None,
}

/// What proves the sender, and so what a forger cannot do.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    /// A signature over the bytes of the body. `timed`: over the time, too, which then must be near.
    Bytes { timed: bool },
    /// A signature over the decoded fields of a form: other bytes of the same meaning are the same form.
    Form,
    /// A shared value. It does not bind the body: an altered one passes, and only TLS and the edge's seal prevent it.
    Credential { wrong: &'static str },
    /// The organisation named in the body, no secret: an altered field passes. Client certificates are to be added.
    Organization { listed: &'static str, other: &'static str },
}

pub(crate) const CASES: [Case; 13] = [
    messages::WHATSAPP,
    records::HUBSPOT,
    salesforce::OUTBOUND_MESSAGE,
    salesforce::APEX_CALLOUT,
    messages::GOHIGHLEVEL,
    records::PIPEDRIVE,
    records::DYNAMICS,
    messages::TWILIO,
    messages::SENDGRID,
    notices::CLERK,
    notices::STANDARD_WEBHOOKS,
    notices::GENERIC_SLACK,
    notices::GENERIC_STRIPE,
];

impl Case {
    /// The source as an operator configures it.
    pub(crate) fn settings(&self) -> SourceSettings {
        let mut settings: Value = serde_json::from_str(self.settings).unwrap();
        settings["vendor"] = json!(self.vendor);
        settings["scheme"] = json!(self.scheme);
        if self.account.is_empty() {
            settings["tenant"] = json!(TENANT);
        } else {
            settings["accounts"] = json!({ self.account: TENANT });
        }
        let key = match self.key {
            Key::Shared(secret) => Some(secret.to_owned()),
            Key::Pair(name) => Some(pem(name, "pub")),
            Key::None => None,
        };
        let keys = key.map(|key| json!({ "id": "main", "public_key": key }));
        settings["keys"] = json!(Vec::from_iter(keys));
        serde_json::from_value(settings).unwrap()
    }

    pub(crate) fn vendor(&self) -> &'static Vendor {
        vendor(self.vendor).unwrap()
    }

    pub(crate) fn scheme(&self) -> &'static Scheme {
        scheme(self.scheme).unwrap()
    }

    /// The request as its vendor sends it.
    pub(crate) fn request(&self, told: &Told) -> HttpRequest {
        self.signed(told, (self.body)(told), &self.secret(), told.at)
    }

    /// A request with this body, signed with this secret at this time.
    pub(crate) fn signed(&self, told: &Told, body: Vec<u8>, secret: &str, at: Timestamp) -> HttpRequest {
        let url = format!("{PUBLIC_URL}/hooks/{}?to=https%3A%2F%2Fa.test%2Fx", self.source);
        let settings = self.settings();
        let id = message_id(told);
        let order =
            Order { secret, key_id: None, method: "POST", url: &url, body, id: &id, at, settings: &settings };
        sign_request(self.scheme(), &order).unwrap()
    }

    pub(crate) fn secret(&self) -> String {
        match self.key {
            Key::Shared(secret) => secret.to_owned(),
            Key::Pair(name) => pem(name, "key"),
            Key::None => String::new(),
        }
    }
}

/// The id that schemes with one carry in a header.
fn message_id(told: &Told) -> String {
    format!("msg_{}", told.number)
}

fn pem(name: &str, half: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/signatures");
    std::fs::read_to_string(folder.join(format!("{name}.{half}.pem"))).unwrap()
}

fn event(id: impl Into<String>, vendor_type: &'static str, kind: &'static str) -> Expected {
    Expected { id: id.into(), vendor_type, kind }
}

fn contact(system: &str, id: &str) -> String {
    format!("contacts WHERE tenant = '{TENANT}' AND system = '{system}' AND external_id = '{id}'")
}

fn property(system: &str, id: &str, name: &str, value: &str) -> String {
    format!(
        "contact_properties WHERE tenant = '{TENANT}' AND system = '{system}' AND external_id = '{id}'
             AND name = '{name}' AND value = '{value}'"
    )
}

/// A message of a person that a model has read.
fn read_message(channel: &str, id: &str, key: &str) -> [String; 2] {
    [
        format!(
            "messages WHERE tenant = '{TENANT}' AND channel = '{channel}' AND vendor_id = '{id}'
                 AND direction = 'inbound' AND event_key = '{key}'"
        ),
        format!("results WHERE tenant = '{TENANT}' AND event_key = '{key}'"),
    ]
}

fn delivery(channel: &str, id: &str, state: &str) -> String {
    format!("deliveries WHERE channel = '{channel}' AND vendor_id = '{id}' AND state = '{state}'")
}
