//! The settings that exist once per key, source and tenant. They come from the TOML file only.

use std::{collections::BTreeMap, time::Duration};

use confique::{Config, Layer as _};
use humantime_serde::deserialize as duration;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    config::secret::{SecretError, SecretRef},
    domain::timestamp::Timestamp,
};

/// State of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Good for everything.
    #[default]
    Active,
    /// Good only for ids that our store knows already.
    ReplayOnly,
    /// Good for nothing.
    Revoked,
}

/// One key of a sender.
#[derive(Clone, Debug, Config)]
pub struct KeySettings {
    /// Names the key in `webhook-key-id`, logs and tables.
    /// Example: `"2026-11"`
    pub id: String,

    /// Reference to the secret. Either this or `public_key`.
    /// Example: `"credential:whatsapp_app_secret"`
    pub secret: Option<SecretRef>,

    /// A key that is no secret, as the vendor publishes it: PEM, base64, `whpk_...`, or a certificate (PEM).
    /// Example: `"MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="`
    pub public_key: Option<String>,

    /// `active`; `replay-only` (good only for ids that the store knows already); `revoked`.
    #[config(default = "active")]
    pub state: KeyState,

    /// Not good before: RFC 3339, judged by the scheme's own "now".
    /// Example: `"2026-11-01T00:00:00Z"`
    pub not_before: Option<String>,

    /// Not good after: RFC 3339, judged by the scheme's own "now".
    /// Example: `"2027-11-01T00:00:00Z"`
    pub not_after: Option<String>,
}

impl KeySettings {
    /// An active key without dates, whose text stands here itself: for tools, not for files.
    #[must_use]
    pub fn of_text(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
            public_key: Some(text.into()),
            state: KeyState::Active,
            not_before: None,
            not_after: None,
        }
    }

    /// The key's text as it is now.
    ///
    /// # Errors
    /// When the secret behind the reference cannot be read; a key without either is [`SecretError::NoKey`].
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match (&self.secret, &self.public_key) {
            (Some(secret), _) => secret.read(),
            (None, Some(public)) => Ok(SecretString::from(public.clone())),
            (None, None) => Err(SecretError::NoKey),
        }
    }

    /// May it sign at this time? Active, and within its dates; a date that cannot be read counts as none.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        let time = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse_rfc3339);
        self.state == KeyState::Active
            && time(&self.not_before).is_none_or(|from| from <= now)
            && time(&self.not_after).is_none_or(|until| now <= until)
    }
}

/// A key of an edge: what it seals counts for the listed sources only.
#[derive(Clone, Debug, Deserialize)]
pub struct SealKeySettings {
    /// The key itself.
    #[serde(flatten)]
    pub key: KeySettings,
    /// Source names, or `*`; `wake`, which `*` does not include, for our own scheduler.
    pub sources: Vec<String>,
}

/// Template and check of [`SealKeySettings`], whose fields stand in one table.
#[derive(Config)]
pub(super) struct SealKeyScope {
    /// Names of the sources that this key may seal, or `*` for all; `wake` (never part of `*`) for our own scheduler.
    /// Example: `["*", "wake"]`
    #[expect(dead_code, reason = "only its description is used")]
    pub(super) sources: Vec<String>,
}

/// A system that sends us events.
#[derive(Clone, Debug, Config)]
pub struct SourceSettings {
    /// Whose events: `whatsapp`, `hubspot`, `salesforce`, `generic`, `jobs` ...; docs/MESSAGES.md lists all.
    /// Example: `"whatsapp"`
    pub vendor: String,

    /// How it is proved, where that is not the vendor's usual way: `hubspot-v2`, `basic-auth`, `stripe` ...
    /// `queue`: by the queue's policy alone, on a queue with `trust = "queue"`.
    /// Example: `"standard-webhooks"`
    pub scheme: Option<String>,

    /// Its keys; several during a rotation.
    #[config(default = [])]
    pub keys: Vec<KeySettings>,

    /// Tenant of everything from this source.
    /// Example: `"acme"`
    pub tenant: Option<String>,

    /// Tenant by the sender's account (phone number id, portal id ...); comes before `tenant`.
    #[config(default = {})]
    pub accounts: BTreeMap<String, String>,

    /// How far the sender's time may be from ours.
    #[config(default = "300s", deserialize_with = duration)]
    pub tolerance: Duration,

    /// Largest request body in bytes; a compressed one counts twice, as it is and unpacked.
    #[config(default = 1_048_576)]
    pub max_body: usize,

    /// Scheme, host and path as the vendor knows them, where the edge sees others.
    /// Example: `"https://hooks.example.com/hubspot"`
    pub public_url: Option<String>,

    /// SHA-256 fingerprints (hex) of the client certificates that may call; needs an edge that tells them.
    #[config(default = [])]
    pub client_certificates: Vec<String>,

    /// `dataverse`: where the credential stands: `header:NAME` or `query:NAME`. Absent: `header:x-longshore-key`.
    /// Example: `"query:code"`
    pub credential_in: Option<String>,

    /// `salesforce-outbound-message`: the organisations that may send, by id of 15 or 18 characters.
    #[config(default = [])]
    pub organization_ids: Vec<String>,

    /// `sns`, and Amazon SNS envelopes: the topics that may send.
    #[config(default = [])]
    pub topic_arns: Vec<String>,

    /// `sns`: the oldest signature version that counts; 1 is SHA-1, 2 is SHA-256.
    #[config(default = 1)]
    pub min_signature_version: u8,

    /// `gohighlevel`: keys of the retired `X-WH-Signature`.
    #[config(default = [])]
    pub legacy_keys: Vec<KeySettings>,

    /// `gohighlevel`: what was received later than this must carry the current signature (RFC 3339). Absent:
    /// the retired one never counts.
    /// Example: `"2026-09-01T00:00:00Z"`
    pub legacy_until: Option<String>,

    /// `salesforce-datacloud`: is the JSON-escaped body signed, and not the body as sent?
    #[config(default = false)]
    pub escaped_body: bool,

    /// AWS envelopes without a `longshore-source` attribute that are this source's: EventBridge `source`, SNS topic
    /// ARN, `s3:BUCKET` or CloudEvents `source`; a `*` at the end stands for any rest.
    #[config(default = [])]
    pub origins: Vec<String>,

    /// Vendor `generic`: where the fields stand. Vendor `sendgrid` looks at `account` only (`/tenant` when absent).
    #[config(nested)]
    pub fields: FieldSettings,

    /// Meta: reference to the token that its first request must show the edge.
    /// Example: `"credential:whatsapp_verify_token"`
    pub verify_token: Option<SecretRef>,

    /// Amazon SNS over HTTP: confirm subscriptions of listed topics whose signature is right.
    #[config(default = false)]
    pub confirm_subscriptions: bool,

    /// Does the edge check the signature, too? It then refuses what is forged with a 401; the worker always checks.
    #[config(default = false)]
    pub verify_at_edge: bool,

    /// Requests per second that the edge takes from this source, on average; absent: no limit.
    /// Example: `200`
    pub requests_per_second: Option<u32>,

    /// Events per minute that one sender (a person, else an account) may have worked; the others wait. Absent: no limit.
    /// Example: `60`
    pub sender_events_per_minute: Option<u32>,

    /// Bad signatures per minute after which an alert is raised and further ones are counted and dropped, not kept as
    /// dead letters.
    #[config(default = 100)]
    pub bad_signatures_per_minute: u32,
}

impl SourceSettings {
    /// A source of this vendor, with the default of every other setting.
    ///
    /// # Errors
    /// When a setting has no default: a defect of this release.
    pub fn of_vendor(vendor: &str) -> Result<Self, confique::Error> {
        let mut layer = <Self as Config>::Layer::default_values();
        layer.vendor = Some(vendor.to_owned());
        Self::from_layer(layer)
    }
}

/// The header of a shared credential where `credential_in` says nothing.
pub const USUAL_CREDENTIAL_HEADER: &str = "x-longshore-key";

/// Where a shared credential stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialPlace<'a> {
    /// In the header of this name, in any case.
    Header(&'a str),
    /// In the URL's parameter of this name.
    Query(&'a str),
}

impl SourceSettings {
    /// What `credential_in` says; `None` when that cannot be read.
    #[must_use]
    pub fn credential_place(&self) -> Option<CredentialPlace<'_>> {
        let Some(text) = &self.credential_in else {
            return Some(CredentialPlace::Header(USUAL_CREDENTIAL_HEADER));
        };
        match text.split_once(':')? {
            (_, "") => None,
            ("header", name) => Some(CredentialPlace::Header(name)),
            ("query", name) => Some(CredentialPlace::Query(name)),
            _ => None,
        }
    }
}

/// Where a sender without code of its own keeps its fields. Each is a JSON pointer (RFC 6901).
#[derive(Clone, Debug, Config)]
pub struct FieldSettings {
    /// Name of the system, for tables.
    /// Example: `"zendesk"`
    pub system: Option<String>,

    /// The list of events, where one body holds several; the other pointers then start at one of them.
    /// Example: `"/events"`
    pub items: Option<String>,

    /// The event's id. Several are joined, where one is not unique.
    /// Example: `["/id"]`
    #[config(default = [])]
    pub id: Vec<String>,

    /// What happened.
    /// Example: `"/type"`
    pub event_type: Option<String>,

    /// When it happened: RFC 3339, Unix seconds or Unix milliseconds.
    /// Example: `"/created_at"`
    pub time: Option<String>,

    /// The sender's account, which decides the tenant.
    /// Example: `"/account/id"`
    pub account: Option<String>,

    /// The record that it is about.
    /// Example: `"/data/id"`
    pub subject: Option<String>,
}

/// What differs for one tenant.
#[derive(Clone, Debug, Default, Config)]
pub struct TenantSettings {
    /// Route or provider of this tenant; the prompt's own, else `llm.default`, when absent.
    /// Example: `"openai"`
    pub llm: Option<String>,
}

/// Reads a table with its defaults: the same ones that the templates show.
macro_rules! deserialize_with_defaults {
    ($($name:ident),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let given = <$name as Config>::Layer::deserialize(from)?;
                let whole = given.with_fallback(<$name as Config>::Layer::default_values());
                Self::from_layer(whole).map_err(D::Error::custom)
            }
        }
    )+};
}

deserialize_with_defaults!(KeySettings, SourceSettings, TenantSettings);
