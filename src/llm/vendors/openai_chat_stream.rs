//! A streamed chat completion. It is whole when a finish reason was told and `[DONE]` came.

use serde_json::Value;
use sse_stream::Sse;

use crate::{
    domain::usage::{Usage, UsageSource},
    llm::{
        contract::{CallError, Completion, Pieces, Request},
        vendors::{
            estimate,
            openai_answer::{content, finish, word},
            openai_error,
            openai_events::{Heard, Step},
            openai_usage::{self, counted},
        },
    },
};

/// What came until now.
#[derive(Default)]
pub(crate) struct ChatStream {
    text: String,
    refusal: String,
    /// Characters that were generated and are no answer: reasoning, calls of tools.
    unseen: usize,
    finish: Value,
    usage: Value,
    model: Option<String>,
    tier: Option<String>,
    id: Option<String>,
}

impl Heard for ChatStream {
    fn take(&mut self, event: &Sse, pieces: &Pieces) -> Step {
        let data = event.data.as_deref().unwrap_or_default();
        if data.trim() == "[DONE]" {
            return Step::Whole;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            return Step::Failed(CallError::Unknown("an event that is no JSON".to_owned()));
        };
        if openai_error::is_error(&chunk) || event.event.as_deref() == Some("error") {
            return Step::Failed(openai_error::inside(&chunk));
        }
        self.about(&chunk);
        // Absent in Azure's first chunk, which is about the filter, and in the one with the counts.
        let first = |choice: &&Value| choice["index"].as_i64().unwrap_or(0) == 0;
        let choice = chunk["choices"].as_array().into_iter().flatten().find(first);
        if choice.is_some_and(|choice| self.choice(choice, pieces)) { Step::Moved } else { Step::Idle }
    }

    fn begun(&self) -> bool {
        !self.text.is_empty() || !self.refusal.is_empty() || self.unseen > 0 || !self.finish.is_null()
    }

    fn completion(self, request: &Request) -> Result<Completion, CallError> {
        let (usage, usage_source) = self.used(request);
        let refusal = Some(self.refusal).filter(|words| !words.is_empty());
        Ok(Completion {
            finish: finish(&self.finish, refusal, &self.text),
            text: self.text,
            served_model: self.model,
            served_tier: self.tier,
            usage,
            usage_source,
            request_id: self.id,
        })
    }
}

impl ChatStream {
    /// Fields of the whole answer: null or empty on some chunks, the usage on all but one.
    fn about(&mut self, chunk: &Value) {
        self.model = word(&chunk["model"]).or(self.model.take());
        self.tier = word(&chunk["service_tier"]).or(self.tier.take());
        self.id = word(&chunk["id"]).or(self.id.take());
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
    }

    /// True if it said anything.
    fn choice(&mut self, choice: &Value, pieces: &Pieces) -> bool {
        let delta = &choice["delta"];
        let text = content(&delta["content"]);
        if !text.is_empty() {
            self.text.push_str(&text);
            (pieces.0)(&text);
        }
        let refusal = delta["refusal"].as_str().unwrap_or_default();
        self.refusal.push_str(refusal);
        let unseen = unseen(delta);
        self.unseen += unseen;
        let ended = word(&choice["finish_reason"]).is_some();
        if ended {
            self.finish = choice["finish_reason"].clone();
        }
        ended || unseen > 0 || !text.is_empty() || !refusal.is_empty()
    }

    /// Servers that count on every chunk have not told the end before there was one.
    fn used(&self, request: &Request) -> (Usage, UsageSource) {
        let chars = self.text.chars().count() + self.refusal.chars().count() + self.unseen;
        let said = estimate::tokens(chars);
        match counted(&self.usage, &openai_usage::CHAT) {
            Some(usage) if !self.finish.is_null() => (usage, UsageSource::Provider),
            Some(usage) => (Usage { output: usage.output.max(said), ..usage }, UsageSource::Estimated),
            None => {
                let uncached_input = estimate::asked(request);
                (Usage { uncached_input, output: said, ..Usage::default() }, UsageSource::Estimated)
            }
        }
    }
}

/// Characters of a piece that are no answer. DeepSeek and vLLM call reasoning `reasoning_content`, others `reasoning`.
fn unseen(delta: &Value) -> usize {
    let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let calls = delta["tool_calls"].as_array().into_iter().flatten();
    let tools: usize =
        calls.map(|call| chars(&call["function"]["name"]) + chars(&call["function"]["arguments"])).sum();
    tools + chars(&delta["reasoning_content"]).max(chars(&delta["reasoning"]))
}
