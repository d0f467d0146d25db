//! OpenAI responses, and every server that speaks them.

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
            openai_endpoint::{Ask, Endpoint, success},
            openai_events::{self, unasked},
            openai_responses_answer as answers,
            openai_responses_stream::ResponseStream,
            openai_vectors::OpenAiVectors,
            portable_schema::portable,
            schema_words::system,
        },
        wire::{CallError, Completion, EmbedRequest, Embedded, Provider, Request},
    },
};

/// One endpoint, and what its server understands.
#[derive(Debug)]
pub struct OpenAiResponses {
    endpoint: Endpoint,
    vectors: OpenAiVectors,
    schema: SchemaSupport,
    max_output: Option<u32>,
}

impl OpenAiResponses {
    /// A key may be absent: local servers need none.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub fn new(settings: &ProviderSettings, http: Http) -> Result<Self, String> {
        Ok(Self {
            endpoint: Endpoint::new(settings, http.clone(), "/responses")?,
            vectors: OpenAiVectors::new(settings, http)?,
            schema: settings.schema,
            max_output: settings.max_output,
        })
    }

    fn body(&self, request: &Request) -> Value {
        let turns = request.turns.iter().map(|turn| json!({ "role": turn.role, "content": turn.text }));
        let mut body = json!({
            "model": request.model,
            "input": turns.collect::<Vec<Value>>(),
            "max_output_tokens": request.max_output.min(self.max_output.unwrap_or(u32::MAX)),
            // Kept for a month by default, with all that people wrote.
            "store": false,
        });
        let system = system(request, self.schema);
        if !system.is_empty() {
            body["instructions"] = json!(system);
        }
        // Only where they are set: several models refuse each of them.
        if let Some(temperature) = request.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(effort) = &request.reasoning_effort {
            body["reasoning"] = json!({ "effort": effort });
        }
        if let Some(tier) = &request.service_tier {
            body["service_tier"] = json!(tier);
        }
        if let AnswerShape::Json { name, schema } = &request.answer {
            self.shape(&mut body, name, schema);
        }
        if request.stream.is_some() {
            body["stream"] = json!(true);
            // Random padding of each piece, on by default (openai-python 3.3).
            if self.endpoint.is_openais_own() {
                body["stream_options"] = json!({ "include_obfuscation": false });
            }
        }
        body
    }

    /// Flat, unlike chat completions.
    fn shape(&self, body: &mut Value, name: &str, schema: &Value) {
        body["text"]["format"] = match self.schema {
            SchemaSupport::JsonSchema => {
                json!({ "type": "json_schema", "name": name, "strict": true, "schema": portable(schema) })
            }
            SchemaSupport::JsonObject => json!({ "type": "json_object" }),
            SchemaSupport::Instructions => json!({ "type": "text" }),
        };
    }
}

#[async_trait]
impl Provider for OpenAiResponses {
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
                openai_events::read(opened, request, pieces, since, ResponseStream::default()).await
            }
            (Reply::Events(_), None) => Err(unasked()),
            (Reply::Whole(answer, json), pieces) => {
                let json = success(&answer, json)?;
                let completion = answers::read(&json, request, answers::Said::default())?;
                let request_id = answer.header("x-request-id").map(str::to_owned);
                let completion =
                    Completion { request_id: request_id.or(completion.request_id), ..completion };
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

    use super::OpenAiResponses;
    use crate::{
        config::{ProviderKind, ProviderSettings, SchemaSupport},
        http::Http,
        llm::{
            contract::{AnswerShape, Pieces, Turn},
            vendors::sample,
            wire::Request,
        },
    };

    fn body(change: impl FnOnce(&mut ProviderSettings), ask: impl FnOnce(&mut Request)) -> Value {
        let mut settings = ProviderSettings::of_kind(ProviderKind::OpenaiResponses).unwrap();
        change(&mut settings);
        let mut request = sample::request();
        ask(&mut request);
        OpenAiResponses::new(&settings, Http::new().unwrap()).unwrap().body(&request)
    }

    #[test]
    fn a_plain_question_is_instructions_and_items() {
        let expected = json!({
            "model": "m", "instructions": "be brief", "max_output_tokens": 100, "store": false,
            "input": [
                { "role": "user", "content": "hi" },
                { "role": "assistant", "content": "hello" },
                { "role": "user", "content": "price?" },
            ],
        });
        let more =
            |request: &mut Request| request.turns.extend([Turn::assistant("hello"), Turn::user("price?")]);
        assert_eq!(body(|_| {}, more), expected);
    }

    #[test]
    fn a_shape_is_flat_and_every_knob_has_its_place() {
        let sent = body(
            |settings| settings.max_output = Some(64),
            |request| {
                let schema = json!({ "type": "object" });
                request.answer = AnswerShape::Json { name: "reading".into(), schema };
                request.reasoning_effort = Some("low".into());
                request.service_tier = Some("flex".into());
                request.temperature = Some(0.5);
                request.stream = Some(Pieces(Arc::new(|_| {})));
            },
        );
        let format = json!({ "type": "json_schema", "name": "reading", "strict": true, "schema": { "type": "object" } });
        assert_eq!(sent["text"]["format"], format);
        assert_eq!(
            (&sent["reasoning"], &sent["service_tier"]),
            (&json!({ "effort": "low" }), &json!("flex"))
        );
        assert_eq!((&sent["temperature"], &sent["max_output_tokens"]), (&json!(0.5), &json!(64)));
        assert_eq!(
            (&sent["stream"], &sent["stream_options"]),
            (&json!(true), &json!({ "include_obfuscation": false }))
        );
    }

    #[test]
    fn a_server_without_schemas_is_told_in_words() {
        let sent = body(
            |settings| settings.schema = SchemaSupport::JsonObject,
            |request| {
                request.answer =
                    AnswerShape::Json { name: "reading".into(), schema: json!({ "type": "object" }) };
            },
        );
        assert_eq!(sent["text"]["format"], json!({ "type": "json_object" }));
        assert!(sent["instructions"].as_str().unwrap().ends_with("{\"type\":\"object\"}"), "{sent}");
    }
}
