//! Where OpenAI and its like are asked, and with which key.

use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use crate::{
    config::{KeyHeader, ProviderSettings, secret::SecretRef},
    domain::ids::CorrelationId,
    http::{Answer, Http, Post},
    llm::{
        contract::CallError,
        vendors::{
            exchange::{self, Reply, exchange},
            openai_error,
        },
    },
};

/// OpenAI's own.
const DEFAULT_BASE: &str = "https://api.openai.com/v1";
/// What a base may end with that was copied whole.
const TAILS: [&str; 3] = ["/chat/completions", "/responses", "/embeddings"];

/// One endpoint with its key.
#[derive(Debug)]
pub(crate) struct Endpoint {
    http: Http,
    url: Url,
    key: Option<SecretRef>,
    key_header: KeyHeader,
}

/// One request to it.
pub(crate) struct Ask<'a> {
    pub(crate) body: &'a Value,
    pub(crate) correlation_id: &'a CorrelationId,
    /// The whole call; of a stream until its head.
    pub(crate) timeout: Duration,
    /// `Some`: streamed, with this longest silence.
    pub(crate) idle: Option<Duration>,
}

impl Endpoint {
    /// `{base}{tail}`. A key may be absent: local servers need none.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub(crate) fn new(settings: &ProviderSettings, http: Http, tail: &str) -> Result<Self, String> {
        let base = settings.base_url.as_deref().unwrap_or(DEFAULT_BASE);
        let url = url(base, tail, settings.api_version.as_deref())?;
        Ok(Self { http, url, key: settings.api_key.clone(), key_header: settings.key_header })
    }

    /// Not another server that speaks the same.
    pub(crate) fn is_openais_own(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        host == "api.openai.com" || host.ends_with(".api.openai.com")
    }

    /// Sends it once.
    ///
    /// # Errors
    /// [`CallError::NoKey`], [`CallError::NotSent`] or [`CallError::Unknown`].
    pub(crate) async fn send(&self, ask: &Ask<'_>) -> Result<Reply, CallError> {
        let key = match &self.key {
            None => None,
            Some(key) => Some(key.read().map_err(|error| CallError::NoKey(error.to_string()))?),
        };
        let mut headers = vec![("x-client-request-id", ask.correlation_id.as_str())];
        let mut bearer = None;
        match (&key, self.key_header) {
            (Some(key), KeyHeader::ApiKey) => headers.push(("api-key", key.expose_secret())),
            (key, _) => bearer = key.as_ref(),
        }
        let post = Post {
            url: self.url.clone(),
            bearer,
            headers: &headers,
            json: ask.body.to_string().into_bytes(),
            timeout: ask.timeout,
            written: "request_written",
        };
        exchange(&self.http, post, ask.idle).await
    }
}

/// The JSON of a success.
///
/// # Errors
/// What an answer of any other kind means. Some gateways report errors with 200.
pub(crate) fn success(answer: &Answer, json: Option<Value>) -> Result<Value, CallError> {
    match (answer.status, json) {
        (200..=299, Some(json)) if !openai_error::is_error(&json) => Ok(json),
        (200..=299, None) => Err(CallError::Unknown(format!("HTTP {} without JSON", answer.status))),
        (_, json) => Err(openai_error::classify(answer, json.as_ref())),
    }
}

/// How much is left of a time that began then.
pub(crate) fn left(whole: Duration, since: Instant) -> Duration {
    whole.saturating_sub(since.elapsed())
}

/// Whatever slashes, doubled `/v1` or full path the base came with. Azure: the base ends with the deployment, and the
/// version of the API is a parameter.
fn url(base: &str, tail: &str, api_version: Option<&str>) -> Result<Url, String> {
    let mut url = exchange::endpoint(base, "/v1", "")?;
    let path = url.path().trim_end_matches('/');
    let mut path =
        TAILS.iter().find_map(|tail| path.strip_suffix(tail)).unwrap_or(path).trim_end_matches('/');
    while path.ends_with("/v1/v1") {
        path = path.strip_suffix("/v1").unwrap_or(path);
    }
    let path = format!("{path}{tail}");
    url.set_path(&path);
    if let Some(version) = api_version {
        let others: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| name != "api-version").collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("api-version", version);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn finds_the_endpoint_whatever_the_base_looks_like() {
        let whole = "https://api.example.com/v1/chat/completions";
        for base in [
            "https://api.example.com/v1",
            "https://api.example.com/v1/",
            "https://api.example.com",
            "https://api.example.com/",
            " https://api.example.com/v1/v1/ ",
            "https://api.example.com/v1/chat/completions",
            "https://api.example.com/v1/responses",
        ] {
            assert_eq!(url(base, "/chat/completions", None).unwrap().as_str(), whole, "{base}");
        }
        let embeddings = url("https://api.example.com/v1/chat/completions", "/embeddings", None).unwrap();
        assert_eq!(embeddings.as_str(), "https://api.example.com/v1/embeddings");
        for bad in ["", "api.example.com/v1", "ftp://example.com/v1"] {
            assert!(url(bad, "/chat/completions", None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_deployment_of_azure_has_its_version_as_a_parameter() {
        let base = "https://acme.openai.azure.com/openai/deployments/mini";
        let asked = format!("{base}/chat/completions?api-version=2026-10-21");
        for given in [base.to_owned(), format!("{base}/"), format!("{base}?api-version=2024-02-01")] {
            let found = url(&given, "/chat/completions", Some("2026-10-21")).unwrap();
            assert_eq!(found.as_str(), asked, "{given}");
        }
        let kept = url(&format!("{base}?api-version=1"), "/chat/completions", None).unwrap();
        assert_eq!(kept.as_str(), format!("{base}/chat/completions?api-version=1"));
    }
}
