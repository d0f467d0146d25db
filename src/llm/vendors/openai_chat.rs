//! OpenAI chat completions, and every server that speaks them.

use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    config::{ProviderSettings, SchemaSupport},
    http::Http,
    llm::{
        contract::AnswerShape,
        vendors::{
            exchange::Reply,
            openai_answer,
            openai_chat_stream::ChatStream,
            openai_endpoint::{Ask, Endpoint, success},
            openai_events::{self, unasked},
            openai_vectors::OpenAiVectors,
            portable_schema::portable,
            schema_words::system,
        },
        wire::{CallError, Completion, EmbedRequest, Embedded, Provider, Request},
    },
};

/// One endpoint, and what its server understands.
#[derive(Debug)]
pub struct OpenAiChat {
    endpoint: Endpoint,
    vectors: OpenAiVectors,
    schema: SchemaSupport,
    old_max_tokens: bool,
    stream_usage: bool,
    max_output: Option<u32>,
}

impl OpenAiChat {
    /// A key may be absent: local servers need none.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub fn new(settings: &ProviderSettings, http: Http) -> Result<Self, String> {
        Ok(Self {
            endpoint: Endpoint::new(settings, http.clone(), "/chat/completions")?,
            vectors: OpenAiVectors::new(settings, http)?,
            schema: settings.schema,
            old_max_tokens: settings.old_max_tokens,
            stream_usage: settings.stream_usage,
            max_output: settings.max_output,
        })
    }

    fn body(&self, request: &Request) -> Value {
        let turns = request.turns.iter().map(|turn| json!({ "role": turn.role, "content": turn.text }));
        let system = Some(system(request, self.schema)).filter(|system| !system.is_empty());
        let system = system.map(|text| json!({ "role": "system", "content": text }));
        let messages: Vec<Value> = system.into_iter().chain(turns).collect();
        let mut body = json!({ "model": request.model, "messages": messages });
        let cap = if self.old_max_tokens { "max_tokens" } else { "max_completion_tokens" };
        body[cap] = json!(request.max_output.min(self.max_output.unwrap_or(u32::MAX)));
        // Only where they are set: several models refuse each of them.
        if let Some(temperature) = request.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(effort) = &request.reasoning_effort {
            body["reasoning_effort"] = json!(effort);
        }
        if let Some(tier) = &request.service_tier {
            body["service_tier"] = json!(tier);
        }
        if let AnswerShape::Json { name, schema } = &request.answer {
            self.shape(&mut body, name, schema);
        }
        if request.stream.is_some() {
            self.stream(&mut body);
        }
        body
    }

    /// Strict, in the words that strict mode takes.
    fn shape(&self, body: &mut Value, name: &str, schema: &Value) {
        match self.schema {
            SchemaSupport::JsonSchema => {
                let own = json!({ "name": name, "strict": true, "schema": portable(schema) });
                body["response_format"] = json!({ "type": "json_schema", "json_schema": own });
            }
            SchemaSupport::JsonObject => body["response_format"] = json!({ "type": "json_object" }),
            SchemaSupport::Instructions => {}
        }
    }

    /// Others than OpenAI may refuse options that they do not know: Databricks, some versions of Azure.
    fn stream(&self, body: &mut Value) {
        body["stream"] = json!(true);
        if self.stream_usage {
            body["stream_options"] = json!({ "include_usage": true });
        }
        // Random padding of each piece, on by default (openai-python 3.3).
        if self.endpoint.is_openais_own() {
            body["stream_options"]["include_obfuscation"] = json!(false);
        }
    }
}

#[async_trait]
impl Provider for OpenAiChat {
    async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        let since = Instant::now();
        let ask = Ask {
            body: &self.body(request),
            correlation_id: &request.correlation_id,
            timeout: request.timeout,
            idle: request.stream.as_ref().map(|_| request.timeout.max(request.idle_timeout)),
        };
        match (self.endpoint.send(&ask).await?, &request.stream) {
            (Reply::Events(opened), Some(pieces)) => {
                openai_events::read(opened, request, pieces, since, ChatStream::default()).await
            }
            (Reply::Events(_), None) => Err(unasked()),
            (Reply::Whole(answer, json), pieces) => {
                let json = success(&answer, json)?;
                let completion = openai_answer::read(&answer, &json, request);
                pieces.iter().for_each(|pieces| (pieces.0)(&completion.text));
                Ok(completion)
            }
        }
    }

    async fn embed(&self, request: &EmbedRequest) -> Result<Embedded, CallError> {
        self.vectors.embed(request).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::OpenAiChat;
    use crate::{
        config::{ProviderKind, ProviderSettings, SchemaSupport},
        http::Http,
        llm::{
            contract::{AnswerShape, Pieces},
            vendors::sample,
            wire::Request,
        },
    };

    fn body(change: impl FnOnce(&mut ProviderSettings), ask: impl FnOnce(&mut Request)) -> Value {
        let mut settings = ProviderSettings::of_kind(ProviderKind::Openai).unwrap();
        change(&mut settings);
        let mut request = sample::request();
        ask(&mut request);
        OpenAiChat::new(&settings, Http::new().unwrap()).unwrap().body(&request)
    }

    fn shape(request: &mut Request) {
        let schema = json!({ "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": { "a": { "type": "string", "maxLength": 3 } } });
        request.answer = AnswerShape::Json { name: "reading".into(), schema };
    }

    #[test]
    fn a_plain_question_has_nothing_that_was_not_asked_for() {
        let expected = json!({
            "model": "m", "max_completion_tokens": 100,
            "messages": [{ "role": "system", "content": "be brief" }, { "role": "user", "content": "hi" }],
        });
        assert_eq!(body(|_| {}, |_| {}), expected);
        let mut silent = expected;
        silent["messages"] = json!([{ "role": "user", "content": "hi" }]);
        assert_eq!(body(|_| {}, |request| request.system.clear()), silent);
    }

    #[test]
    fn every_knob_is_sent_where_it_is_set() {
        let sent = body(
            |settings| {
                settings.old_max_tokens = true;
                settings.max_output = Some(50);
            },
            |request| {
                request.temperature = Some(0.5);
                request.reasoning_effort = Some("low".into());
                request.service_tier = Some("flex".into());
            },
        );
        assert_eq!(sent["max_tokens"], 50);
        assert_eq!(sent.get("max_completion_tokens"), None);
        assert_eq!((&sent["temperature"], &sent["reasoning_effort"]), (&json!(0.5), &json!("low")));
        assert_eq!(sent["service_tier"], "flex");
    }

    #[test]
    fn a_shape_is_told_as_the_server_understands_it() {
        let by = |support| body(|settings| settings.schema = support, shape);
        let strict = by(SchemaSupport::JsonSchema);
        let format = &strict["response_format"];
        assert_eq!(
            (&format["type"], &format["json_schema"]["strict"]),
            (&json!("json_schema"), &json!(true))
        );
        assert_eq!(format["json_schema"]["name"], "reading");
        assert_eq!(strict["messages"][0]["content"], "be brief");
        assert!(!strict.to_string().contains("\"maxLength\""), "strict mode takes no limits: {strict}");
        for (support, format) in [
            (SchemaSupport::JsonObject, json!({ "type": "json_object" })),
            (SchemaSupport::Instructions, json!(null)),
        ] {
            let sent = by(support);
            assert_eq!(sent["response_format"], format);
            let system = sent["messages"][0]["content"].as_str().unwrap();
            assert!(
                system.starts_with("be brief\n\n") && system.contains("\"required\":[\"a\"]"),
                "{system}"
            );
        }
    }

    #[test]
    fn options_of_streams_go_only_to_servers_that_know_them() {
        let streamed = |change: fn(&mut ProviderSettings)| {
            let sent = body(change, |request| request.stream = Some(Pieces(Arc::new(|_| {}))));
            assert_eq!(sent["stream"], true);
            sent["stream_options"].clone()
        };
        let other =
            |settings: &mut ProviderSettings| settings.base_url = Some("http://localhost:1/v1".into());
        assert_eq!(streamed(|_| {}), json!({ "include_usage": true, "include_obfuscation": false }));
        assert_eq!(streamed(other), json!({ "include_usage": true }));
        let neither = |settings: &mut ProviderSettings| {
            settings.base_url = Some("http://localhost:1/v1".into());
            settings.stream_usage = false;
        };
        assert_eq!(streamed(neither), json!(null));
    }
}
