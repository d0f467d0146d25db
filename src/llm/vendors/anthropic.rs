//! Anthropic messages, plain and streamed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    config::{ProviderSettings, SchemaSupport, secret::SecretRef},
    http::{Http, Post},
    llm::{
        contract::{AnswerShape, CallError, Completion, Pieces, Provider, Request},
        vendors::{
            anthropic_answer, anthropic_error, anthropic_stream,
            exchange::{Reply, endpoint, exchange},
            patience::Patience,
            portable_schema::portable,
            schema_words::system,
        },
    },
};

/// Anthropic's own.
const DEFAULT_BASE: &str = "https://api.anthropic.com/v1";
/// The version of the API that is spoken here; there has been no newer one.
const VERSION: &str = "2023-06-01";
/// The SDK takes an answer of `SLOWEST_TOKENS` tokens to need an hour, and refuses to wait for a plain answer that
/// may need more than ten minutes: proxies on the way would have cut it (anthropic-sdk-python 0.121).
const SLOWEST_TOKENS: u64 = 128_000;
const LONGEST_PLAIN: Duration = Duration::from_secs(600);
/// Models that are slower than that, and the most tokens of a plain answer of theirs (same source).
const SLOW_MODELS: [&str; 4] = ["claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2025", "claude-4-opus"];
const SLOW_PLAIN_TOKENS: u32 = 8_192;

/// One endpoint with its key.
#[derive(Debug)]
pub struct Anthropic {
    http: Http,
    endpoint: Url,
    key: Option<SecretRef>,
    schema: SchemaSupport,
}

impl Anthropic {
    /// A key may be absent: gateways between us and Anthropic may have their own.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub fn new(settings: &ProviderSettings, http: Http) -> Result<Self, String> {
        let base = settings.base_url.as_deref().unwrap_or(DEFAULT_BASE);
        let endpoint = endpoint(base, "/v1", "/messages")?;
        Ok(Self { http, endpoint, key: settings.api_key.clone(), schema: settings.schema })
    }

    async fn send(&self, request: &Request, stream: bool) -> Result<Reply, CallError> {
        let key = match &self.key {
            None => None,
            Some(key) => Some(key.read().map_err(|error| CallError::NoKey(error.to_string()))?),
        };
        let mut headers =
            vec![("anthropic-version", VERSION), ("x-client-request-id", request.correlation_id.as_str())];
        headers.extend(key.as_ref().map(|key| ("x-api-key", key.expose_secret())));
        let post = Post {
            url: self.endpoint.clone(),
            bearer: None,
            headers: &headers,
            json: body(request, self.schema, stream).to_string().into_bytes(),
            timeout: request.timeout,
            written: "request_written",
        };
        exchange(&self.http, post, stream.then(|| Patience::longest(request))).await
    }
}

#[async_trait]
impl Provider for Anthropic {
    async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        let unread = || Pieces(Arc::new(|_| {}));
        let patience = Patience::begin(request);
        let pieces = request.stream.clone().or_else(|| takes_long(request).then(unread));
        match (self.send(request, pieces.is_some()).await?, pieces) {
            (Reply::Events(opened), Some(pieces)) => {
                anthropic_stream::read(opened, request, &pieces, patience).await
            }
            (Reply::Events(_), None) => Err(CallError::Unknown("a stream that was not asked for".to_owned())),
            (Reply::Whole(answer, Some(body)), pieces)
                if (200..=299).contains(&answer.status) && !anthropic_error::is_error(&body) =>
            {
                let completion = anthropic_answer::read(&answer, &body, request);
                pieces.iter().for_each(|pieces| (pieces.0)(&completion.text));
                Ok(completion)
            }
            (Reply::Whole(answer, None), _) if (200..=299).contains(&answer.status) => {
                Err(CallError::Unknown(format!("HTTP {} without JSON", answer.status)))
            }
            (Reply::Whole(answer, body), _) => Err(anthropic_error::classify(&answer, body.as_ref())),
        }
    }
}

/// Must it be streamed, whoever reads it?
fn takes_long(request: &Request) -> bool {
    let slow = SLOW_MODELS.iter().any(|model| request.model.contains(model));
    let longest_plain = LONGEST_PLAIN.as_secs() * SLOWEST_TOKENS / 3_600;
    u64::from(request.max_output) > longest_plain || (slow && request.max_output > SLOW_PLAIN_TOKENS)
}

fn body(request: &Request, support: SchemaSupport, stream: bool) -> Value {
    let turns = request.turns.iter().map(|turn| json!({ "role": turn.role.name(), "content": turn.text }));
    let mut body = json!({
        "model": request.model,
        "max_tokens": request.max_output,
        "messages": turns.collect::<Vec<_>>(),
    });
    // An empty text is refused.
    let system = system(request, support);
    if !system.is_empty() {
        body["system"] = json!(system);
    }
    if stream {
        body["stream"] = json!(true);
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(tier) = &request.service_tier {
        body["service_tier"] = json!(tier);
    }
    let mut output = Map::new();
    if let Some(effort) = &request.reasoning_effort {
        output.insert("effort".to_owned(), json!(effort));
    }
    // Not a forced tool: newer models refuse those (Claude Sonnet 5.5).
    if let AnswerShape::Json { schema, .. } = &request.answer
        && support == SchemaSupport::JsonSchema
    {
        output.insert("format".to_owned(), json!({ "type": "json_schema", "schema": portable(schema) }));
    }
    if !output.is_empty() {
        body["output_config"] = Value::Object(output);
    }
    body
}
