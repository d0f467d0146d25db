//! Google Gemini: `generateContent`, plain and streamed, and vectors of texts.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use crate::{
    config::{ProviderSettings, SchemaSupport, secret::SecretRef},
    http::{Http, Post},
    llm::{
        contract::{AnswerShape, CallError, Completion, EmbedRequest, Embedded, Provider, Request, Role},
        vendors::{
            exchange::{Reply, endpoint, exchange},
            gemini_answer, gemini_error, gemini_stream, gemini_vectors,
            patience::Patience,
            portable_schema::portable,
            schema_words::system,
        },
    },
};

/// Google's own.
const DEFAULT_BASE: &str = "https://generativelanguage.googleapis.com/v1beta";

/// One endpoint with its key.
#[derive(Debug)]
pub struct Gemini {
    http: Http,
    base: Url,
    key: Option<SecretRef>,
    schema: SchemaSupport,
}

impl Gemini {
    /// A key may be absent: gateways between us and Google may have their own.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub fn new(settings: &ProviderSettings, http: Http) -> Result<Self, String> {
        let base = settings.base_url.as_deref().unwrap_or(DEFAULT_BASE);
        let base = endpoint(base, "/v1beta", "")?;
        Ok(Self { http, base, key: settings.api_key.clone(), schema: settings.schema })
    }

    /// The key goes into a header: URLs end up in logs.
    async fn send(&self, sent: Sent<'_>) -> Result<Reply, CallError> {
        let key = match &self.key {
            None => None,
            Some(key) => Some(key.read().map_err(|error| CallError::NoKey(error.to_string()))?),
        };
        let mut headers = vec![("x-client-request-id", sent.correlation_id)];
        headers.extend(key.as_ref().map(|key| ("x-goog-api-key", key.expose_secret())));
        let post = Post {
            url: self.url(sent.model, sent.verb),
            bearer: None,
            headers: &headers,
            json: sent.body.to_string().into_bytes(),
            timeout: sent.timeout,
            written: "request_written",
        };
        exchange(&self.http, post, sent.idle).await
    }

    /// `{base}/models/{model}:{verb}`; a model with a slash (`tunedModels/x`) says itself where it is.
    fn url(&self, model: &str, verb: Verb) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}:{}", named(model), verb.name());
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        // Without it the pieces come as one JSON list.
        if verb == Verb::Stream {
            url.set_query(Some("alt=sse"));
        }
        url
    }
}

#[async_trait]
impl Provider for Gemini {
    async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        let patience = Patience::begin(request);
        let sent = Sent {
            model: &request.model,
            verb: if request.stream.is_some() { Verb::Stream } else { Verb::Generate },
            body: body(request, self.schema),
            correlation_id: request.correlation_id.as_str(),
            timeout: request.timeout,
            idle: request.stream.as_ref().map(|_| Patience::longest(request)),
        };
        match (self.send(sent).await?, &request.stream) {
            (Reply::Events(opened), Some(pieces)) => {
                gemini_stream::read(opened, request, pieces, patience).await
            }
            (Reply::Events(_), None) => Err(CallError::Unknown("a stream that was not asked for".to_owned())),
            (Reply::Whole(answer, body), pieces) => {
                let body = gemini_error::checked(&answer, body)?;
                let completion = gemini_answer::read(&answer, &body, request);
                pieces.iter().for_each(|pieces| (pieces.0)(&completion.text));
                Ok(completion)
            }
        }
    }

    async fn embed(&self, request: &EmbedRequest) -> Result<Embedded, CallError> {
        let sent = Sent {
            model: &request.model,
            verb: if request.texts.len() == 1 { Verb::Embed } else { Verb::EmbedAll },
            body: gemini_vectors::body(request, &named(&request.model)),
            correlation_id: request.correlation_id.as_str(),
            timeout: request.timeout,
            idle: None,
        };
        match self.send(sent).await? {
            Reply::Events(_) => Err(CallError::Unknown("a stream that was not asked for".to_owned())),
            Reply::Whole(answer, body) => {
                gemini_vectors::read(&gemini_error::checked(&answer, body)?, request)
            }
        }
    }
}

/// What is sent where.
struct Sent<'a> {
    model: &'a str,
    verb: Verb,
    body: Value,
    correlation_id: &'a str,
    timeout: Duration,
    idle: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Generate,
    Stream,
    Embed,
    EmbedAll,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Generate => "generateContent",
            Self::Stream => "streamGenerateContent",
            Self::Embed => "embedContent",
            Self::EmbedAll => "batchEmbedContents",
        }
    }
}

fn named(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

fn body(request: &Request, support: SchemaSupport) -> Value {
    let turn = |role: &str, text: &str| json!({ "role": role, "parts": [{ "text": text }] });
    let turns = request.turns.iter().map(|said| match said.role {
        Role::User => turn("user", &said.text),
        Role::Assistant => turn("model", &said.text),
    });
    let mut body = json!({
        "contents": turns.collect::<Vec<_>>(),
        "generationConfig": { "maxOutputTokens": request.max_output },
    });
    let system = system(request, support);
    if !system.is_empty() {
        body["systemInstruction"] = json!({ "parts": [{ "text": system }] });
    }
    if let Some(tier) = &request.service_tier {
        body["serviceTier"] = json!(tier);
    }
    let config = &mut body["generationConfig"];
    if let Some(temperature) = request.temperature {
        config["temperature"] = json!(temperature);
    }
    // Older models take a number of tokens (2.5), newer ones a word and refuse the number.
    if let Some(effort) = &request.reasoning_effort {
        config["thinkingConfig"] = match effort.parse::<i32>() {
            Ok(budget) => json!({ "thinkingBudget": budget }),
            Err(_) => json!({ "thinkingLevel": effort }),
        };
    }
    // Never `responseSchema` beside it: that one is an OpenAPI subset, and both together are refused.
    if let AnswerShape::Json { schema, .. } = &request.answer
        && support != SchemaSupport::Instructions
    {
        config["responseMimeType"] = json!("application/json");
        if support == SchemaSupport::JsonSchema {
            config["responseJsonSchema"] = portable(schema);
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::{Gemini, Verb};
    use crate::{
        config::{ProviderKind, ProviderSettings},
        http::Http,
    };

    #[test]
    fn the_model_is_part_of_the_path_whatever_it_is_called() {
        let mut settings = ProviderSettings::of_kind(ProviderKind::Gemini).unwrap();
        let url = |settings: &ProviderSettings, model: &str, verb: Verb| {
            Gemini::new(settings, Http::new().unwrap()).unwrap().url(model, verb).to_string()
        };
        let host = "https://generativelanguage.googleapis.com/v1beta";
        let plain = format!("{host}/models/gemini-2.5-pro:generateContent");
        assert_eq!(url(&settings, "gemini-2.5-pro", Verb::Generate), plain);
        assert_eq!(url(&settings, "models/gemini-2.5-pro", Verb::Generate), plain);
        assert_eq!(
            url(&settings, "tunedModels/mine", Verb::Stream),
            format!("{host}/tunedModels/mine:streamGenerateContent?alt=sse")
        );
        assert_eq!(
            url(&settings, "a?key=b", Verb::EmbedAll),
            format!("{host}/models/a%3Fkey=b:batchEmbedContents")
        );
        settings.base_url = Some("http://127.0.0.1:1/proxy/v1/".to_owned());
        assert_eq!(
            url(&settings, "m", Verb::Generate),
            "http://127.0.0.1:1/proxy/v1/models/m:generateContent"
        );
    }
}
