//! The settings that exist once per key, source, tenant and provider. They come from the TOML file only.

use std::{collections::BTreeMap, time::Duration};

use confique::{Config, Layer as _};
use humantime_serde::deserialize as duration;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::config::secret::SecretRef;

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

    /// Reference to the secret.
    /// Example: `"credential:whatsapp_app_secret"`
    pub secret: SecretRef,

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
    /// Whose scheme and format: `whatsapp`, `hubspot`, `standard-webhooks` or `jobs`.
    /// Example: `"whatsapp"`
    pub vendor: String,

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

    /// Largest request body in bytes.
    #[config(default = 1_048_576)]
    pub max_body: usize,

    /// Scheme, host and path as the vendor knows them, where the edge sees others.
    /// Example: `"https://hooks.example.com/hubspot"`
    pub public_url: Option<String>,
}

/// What differs for one tenant.
#[derive(Clone, Debug, Default, Config)]
pub struct TenantSettings {
    /// Name of an `llm.providers` entry; `llm.default` when absent.
    /// Example: `"openai"`
    pub llm: Option<String>,
}

/// Kinds of language model providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// OpenAI chat completions, or any server that speaks it.
    Openai,
    /// Deterministic, no key, cost 0.
    Rules,
}

/// A language model provider.
#[derive(Clone, Debug, Config)]
pub struct ProviderSettings {
    /// `openai` (chat completions, or any server that speaks them) or `rules` (deterministic, no key, cost 0).
    /// Example: `"openai"`
    pub kind: ProviderKind,

    /// Up to and with `/v1`. OpenAI's own when absent.
    /// Example: `"https://api.openai.com/v1"`
    pub base_url: Option<String>,

    /// Reference to the API key.
    /// Example: `"credential:openai_api_key"`
    pub api_key: Option<SecretRef>,

    /// The model to ask.
    /// Example: `"gpt-5-mini"`
    pub model: Option<String>,

    /// Longest time for one call.
    #[config(default = "60s", deserialize_with = duration)]
    pub timeout: Duration,

    /// Calls of one step within one attempt of the event.
    #[config(default = 3)]
    pub attempts: u32,

    /// First wait between them.
    #[config(default = "500ms", deserialize_with = duration)]
    pub backoff: Duration,
}

impl ProviderSettings {
    /// The provider that is always there.
    #[must_use]
    pub fn rules() -> Self {
        let (timeout, backoff) = (Duration::from_secs(60), Duration::from_millis(500));
        Self {
            kind: ProviderKind::Rules,
            base_url: None,
            api_key: None,
            model: None,
            timeout,
            attempts: 3,
            backoff,
        }
    }
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

deserialize_with_defaults!(KeySettings, SourceSettings, TenantSettings, ProviderSettings);
