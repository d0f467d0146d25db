//! OpenAI chat completions, and every server that speaks them.

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use crate::{
    config::{ProviderSettings, secret::SecretRef},
    http::{Answer, Http, Post, SendError},
    llm::{
        contract::{AnswerShape, CallError, Completion, Provider, Request},
        vendors::{openai_answer, openai_error, portable_schema::portable},
    },
};

/// OpenAI's own.
pub const DEFAULT_BASE: &str = "https://api.openai.com/v1";

/// One endpoint with its key.
#[derive(Debug)]
pub struct OpenAiChat {
    http: Http,
    endpoint: Url,
    key: Option<SecretRef>,
}

impl OpenAiChat {
    /// A key may be absent: local servers need none.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub fn new(settings: &ProviderSettings, http: Http) -> Result<Self, String> {
        let base = settings.base_url.as_deref().unwrap_or(DEFAULT_BASE);
        Ok(Self { http, endpoint: endpoint(base)?, key: settings.api_key.clone() })
    }

    async fn post(&self, request: &Request) -> Result<Answer, CallError> {
        let key = match &self.key {
            None => None,
            Some(key) => Some(key.read().map_err(|error| CallError::NoKey(error.to_string()))?),
        };
        let post = Post {
            url: self.endpoint.clone(),
            bearer: key.as_ref(),
            headers: &[("x-client-request-id", request.correlation_id.as_str())],
            json: body(request).to_string().into_bytes(),
            timeout: request.timeout,
            written: "request_written",
        };
        self.http.post(post).await.map_err(|error| match error {
            SendError::NotSent(detail) => CallError::NotSent(detail),
            SendError::Unknown(detail) => CallError::Unknown(detail),
        })
    }
}

#[async_trait]
impl Provider for OpenAiChat {
    async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        let answer = self.post(request).await?;
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match (answer.status, value) {
            // Some gateways report errors with 200.
            (200..=299, Some(value)) if openai_error::is_error(&value) => {
                Err(openai_error::classify(&answer, Some(&value)))
            }
            (200..=299, Some(value)) => Ok(openai_answer::read(&answer, &value, request)),
            (200..=299, None) => Err(CallError::Unknown(format!("HTTP {} without JSON", answer.status))),
            (_, value) => Err(openai_error::classify(&answer, value.as_ref())),
        }
    }
}

/// `{base}/chat/completions`, whatever slashes, doubled `/v1` or full path the base came with.
fn endpoint(base: &str) -> Result<Url, String> {
    let mut url = Url::parse(base.trim()).map_err(|error| format!("`{base}` is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{base}` is no http(s) URL"));
    }
    let mut path = url.path().trim_end_matches('/');
    path = path.strip_suffix("/chat/completions").unwrap_or(path).trim_end_matches('/');
    while path.ends_with("/v1/v1") {
        path = path.strip_suffix("/v1").unwrap_or(path);
    }
    let path = format!("{}/chat/completions", if path.is_empty() { "/v1" } else { path });
    url.set_path(&path);
    Ok(url)
}

/// Strict schema output, in the words that strict mode takes. No temperature: reasoning models refuse it.
fn body(request: &Request) -> Value {
    let system = json!({ "role": "system", "content": request.system });
    let turns = request.turns.iter().map(|turn| json!({ "role": turn.role, "content": turn.text }));
    let messages: Vec<Value> = std::iter::once(system).chain(turns).collect();
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "max_completion_tokens": request.max_output,
    });
    if let AnswerShape::Json { name, schema } = &request.answer {
        body["response_format"] = json!({
            "type": "json_schema",
            "json_schema": { "name": name, "strict": true, "schema": portable(schema) },
        });
    }
    body
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn finds_the_endpoint_whatever_the_base_looks_like() {
        let whole = "https://api.example.com/v1/chat/completions";
        for base in [
            "https://api.example.com/v1",
            "https://api.example.com/v1/",
            "https://api.example.com",
            " https://api.example.com/v1/v1/ ",
            "https://api.example.com/v1/chat/completions",
        ] {
            assert_eq!(endpoint(base).unwrap().as_str(), whole, "{base}");
        }
        assert_eq!(
            endpoint("http://127.0.0.1:8080/openai/deployments/d?api-version=1").unwrap().as_str(),
            "http://127.0.0.1:8080/openai/deployments/d/chat/completions?api-version=1"
        );
        for bad in ["", "api.example.com/v1", "ftp://example.com/v1"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
