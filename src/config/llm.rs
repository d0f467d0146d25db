//! The settings of language models: how they are asked, in which order, what they may cost.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use confique::{Config, Layer as _};
use humantime_serde::deserialize as duration;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::config::secret::SecretRef;

/// The language models.
#[derive(Clone, Debug, Config)]
pub struct LlmSettings {
    /// Providers by a name of your choice. One named `rules` (deterministic, no key, cost 0) is always there.
    #[config(default = {})]
    pub providers: BTreeMap<String, ProviderSettings>,

    /// Routes by a name of your choice: providers in the order in which they are asked. The next one is asked when one
    /// is down, overloaded, out of credit, too small for the text, or refuses by its policy. Prompts name the route
    /// that they want; the name of a provider is a route of this one alone.
    /// Example: `{ careful = ["anthropic", "openai"] }`
    #[config(default = {})]
    pub routes: BTreeMap<String, Vec<String>>,

    /// The route, or the provider, of prompts whose own route is not configured, and of tenants that name none.
    #[config(env = "LONGSHORE_LLM_DEFAULT", default = "rules")]
    pub default: String,

    /// A folder with prompts that stand in for the shipped ones of the same id; see docs/PROMPTS.md.
    /// Example: `"/etc/longshore/prompts"`
    #[config(env = "LONGSHORE_LLM_PROMPTS")]
    pub prompts: Option<PathBuf>,

    /// A price table (JSON) to use instead of the shipped one.
    /// Example: `"/etc/longshore/prices.json"`
    #[config(env = "LONGSHORE_LLM_PRICES")]
    pub prices: Option<PathBuf>,

    /// What a strict budget does with a model that is not in the price table: `dearest` takes the dearest price that
    /// is known, `refuse` asks another model or waits.
    #[config(env = "LONGSHORE_LLM_UNPRICED", default = "dearest")]
    pub unpriced: Unpriced,

    /// Provider that makes vectors for prompts that look for similar past items. Absent: none are looked for.
    /// Example: `"openai-embeddings"`
    #[config(env = "LONGSHORE_LLM_EMBEDDINGS")]
    pub embeddings: Option<String>,
}

/// What a strict budget does with a model whose price is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unpriced {
    /// Takes the dearest price that is known.
    Dearest,
    /// Does not ask it.
    Refuse,
}

/// Kinds of language model providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// OpenAI chat completions, or any server that speaks them.
    Openai,
    /// OpenAI responses.
    OpenaiResponses,
    /// Google Gemini `generateContent`.
    Gemini,
    /// Anthropic messages.
    Anthropic,
    /// Amazon Bedrock Converse.
    Bedrock,
    /// Deterministic, no key, cost 0.
    Rules,
}

impl ProviderKind {
    /// The name in settings, tables and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::OpenaiResponses => "openai-responses",
            Self::Gemini => "gemini",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
            Self::Rules => "rules",
        }
    }
}

/// How a server wants to be told the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// `Authorization: Bearer`.
    Bearer,
    /// `api-key`: Azure.
    ApiKey,
}

/// How a server is told the shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaSupport {
    /// As a JSON schema that it enforces.
    JsonSchema,
    /// It only promises JSON; the schema stands in the instructions. Bedrock: a tool that must be called.
    JsonObject,
    /// Not at all: the schema stands in the instructions.
    Instructions,
}

/// A language model provider: one model behind one credential.
#[derive(Clone, Debug, Config)]
pub struct ProviderSettings {
    /// `openai` (chat completions, or any server that speaks them), `openai-responses`, `gemini`, `anthropic`,
    /// `bedrock` or `rules` (deterministic, no key, cost 0).
    /// Example: `"openai"`
    pub kind: ProviderKind,

    /// Up to and with the version (`/v1`, `/v1beta`); Azure: up to and with the deployment. The maker's own when absent.
    /// Example: `"https://api.openai.com/v1"`
    pub base_url: Option<String>,

    /// Reference to the API key. Bedrock: a bearer key; absent, the AWS SDK finds credentials by itself.
    /// Example: `"credential:openai_api_key"`
    pub api_key: Option<SecretRef>,

    /// `openai` kinds: the header of the key: `bearer`, or `api-key` (Azure).
    #[config(default = "bearer")]
    pub key_header: KeyHeader,

    /// Azure: the `api-version` of the URL.
    /// Example: `"2026-10-21"`
    pub api_version: Option<String>,

    /// Bedrock: the AWS region. When absent the AWS SDK decides.
    /// Example: `"eu-central-1"`
    pub region: Option<String>,

    /// The model to ask.
    /// Example: `"gpt-5-mini"`
    pub model: Option<String>,

    /// Longest time for one call; a streamed answer may take longer as long as it keeps coming.
    #[config(default = "60s", deserialize_with = duration)]
    pub timeout: Duration,

    /// Longest silence within a streamed answer.
    #[config(default = "30s", deserialize_with = duration)]
    pub idle_timeout: Duration,

    /// Calls of one step within one attempt of the event.
    #[config(default = 3)]
    pub attempts: u32,

    /// First wait between them.
    #[config(default = "500ms", deserialize_with = duration)]
    pub backoff: Duration,

    /// Is every answer streamed, also those that nobody reads on the way? For long answers behind impatient proxies.
    #[config(default = false)]
    pub stream: bool,

    /// Sent only where it is set: several models refuse it.
    /// Example: `0.2`
    pub temperature: Option<f64>,

    /// How hard the model thinks, in the provider's own word. Sent only where it is set.
    /// Example: `"low"`
    pub reasoning_effort: Option<String>,

    /// The tier asked for, in the provider's own word. Sent only where it is set.
    /// Example: `"flex"`
    pub service_tier: Option<String>,

    /// The model's context window in tokens; longer questions go to the next of the route. Absent: the price table's.
    /// Example: `128000`
    pub context: Option<u32>,

    /// Most output tokens that the model can give in one answer.
    /// Example: `16384`
    pub max_output: Option<u32>,

    /// Requests per minute that the credential may make to this model, over all workers. Absent: no limit.
    /// Example: `600`
    pub requests_per_minute: Option<u32>,

    /// Tokens per minute, in and out, over all workers. Absent: no limit.
    /// Example: `100000`
    pub tokens_per_minute: Option<u32>,

    /// Most calls at once of one worker. Below it the number follows what the provider bears.
    #[config(default = 64)]
    pub concurrency: u32,

    /// Failures in a row after which the model is left alone for a while.
    #[config(default = 5)]
    pub breaker_failures: u32,

    /// For how long, before a single call tries again.
    #[config(default = "30s", deserialize_with = duration)]
    pub breaker_rest: Duration,

    /// How the shape of an answer is told: `json-schema`, `json-object` (`bedrock`: a tool that must be called) or
    /// `instructions`.
    #[config(default = "json-schema")]
    pub schema: SchemaSupport,

    /// `openai`: does the server understand `stream_options`? Without it streamed answers carry no counts.
    #[config(default = true)]
    pub stream_usage: bool,

    /// `openai`: is the output cap called `max_tokens`, as on older and compatible servers?
    #[config(default = false)]
    pub old_max_tokens: bool,
}

impl ProviderSettings {
    /// A provider of this kind, with the default of every other setting.
    ///
    /// # Errors
    /// When a setting has no default: a defect of this release.
    pub fn of_kind(kind: ProviderKind) -> Result<Self, confique::Error> {
        let mut layer = <Self as Config>::Layer::default_values();
        layer.kind = Some(kind);
        Self::from_layer(layer)
    }
}

impl<'de> Deserialize<'de> for ProviderSettings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = <Self as Config>::Layer::deserialize(from)?;
        let whole = given.with_fallback(<Self as Config>::Layer::default_values());
        Self::from_layer(whole).map_err(D::Error::custom)
    }
}

/// Signed requests that we send: alerts, and answers of chats.
#[derive(Clone, Debug, Config)]
pub struct WebhookSettings {
    /// Where alerts go: budgets at 80 % and 100 %, models that are down, dead letters. Absent: they are counted and
    /// logged only.
    /// Example: `"https://hooks.example.com/longshore"`
    #[config(env = "LONGSHORE_WEBHOOKS_ALERT_URL")]
    pub alert_url: Option<String>,

    /// Beginnings of the URLs to which answers of chats may be posted. Without one no chat can name a callback.
    /// Example: `["https://chat.example.com/longshore/"]`
    #[config(default = [], env = "LONGSHORE_WEBHOOKS_CALLBACKS", parse_env = confique::env::parse::list_by_comma)]
    pub callbacks: Vec<String>,

    /// Names the key in `webhook-key-id`.
    #[config(env = "LONGSHORE_WEBHOOKS_KEY_ID", default = "longshore")]
    pub key_id: String,

    /// Reference to the key that signs (Standard Webhooks: `whsec_...`).
    /// Example: `"credential:webhook_key"`
    #[config(env = "LONGSHORE_WEBHOOKS_SECRET")]
    pub secret: Option<SecretRef>,

    /// Longest time for one request.
    #[config(env = "LONGSHORE_WEBHOOKS_TIMEOUT", default = "10s", deserialize_with = duration)]
    pub timeout: Duration,
}
