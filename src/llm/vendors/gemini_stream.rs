//! Reads a streamed answer of Gemini's: each event is a whole answer that continues the one before. There is no end
//! marker: a finish reason before the proper end of the body proves that it is whole.

use serde_json::Value;

use crate::{
    domain::usage::{Usage, UsageSource},
    http::Opened,
    llm::{
        contract::{CallError, Completion, Finish, Pieces, Request},
        vendors::{
            estimate,
            gemini_answer::{counted, finish, served_tier, text, word},
            gemini_error,
            sse::Events,
        },
    },
};

/// Reads it to its end, handing the text on as it comes.
pub(crate) async fn read(
    opened: Opened,
    request: &Request,
    pieces: &Pieces,
) -> Result<Completion, CallError> {
    let tier =
        opened.headers.get("x-gemini-service-tier").and_then(|tier| tier.to_str().ok()).map(str::to_owned);
    let mut answer = Streamed { tier, ..Streamed::default() };
    let mut events = Events::of(opened);
    loop {
        let data = match events.next().await {
            Ok(Some(event)) => event.data.unwrap_or_default(),
            Ok(None) if answer.finish.is_some() => return Ok(answer.completion(request)),
            Ok(None) => return Err(answer.broken(request, "it ended without a finish reason".to_owned())),
            Err(detail) => return Err(answer.broken(request, detail)),
        };
        if let Err(error) = answer.take(&data, pieces) {
            return Err(if answer.begun { answer.broken(request, error.to_string()) } else { error });
        }
    }
}

/// An answer as far as it came.
#[derive(Default)]
struct Streamed {
    begun: bool,
    text: String,
    finish: Option<Finish>,
    model: Option<String>,
    id: Option<String>,
    tier: Option<String>,
    /// Cumulative: the last one counts.
    usage: Value,
}

impl Streamed {
    fn take(&mut self, data: &str, pieces: &Pieces) -> Result<(), CallError> {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Err(CallError::Unknown("an event that is no JSON".to_owned()));
        };
        if let Some(error) = gemini_error::in_stream(&event) {
            return Err(error);
        }
        self.begun = true;
        let text = text(&event);
        if !text.is_empty() {
            self.text.push_str(&text);
            (pieces.0)(&text);
        }
        if word(&event["candidates"][0]["finishReason"]).is_some()
            || event["promptFeedback"]["blockReason"].is_string()
        {
            self.finish = Some(finish(&event));
        }
        self.model = word(&event["modelVersion"]).or(self.model.take());
        self.id = word(&event["responseId"]).or(self.id.take());
        if event["usageMetadata"].is_object() {
            self.usage = event["usageMetadata"].clone();
        }
        Ok(())
    }

    fn completion(self, request: &Request) -> Completion {
        let (usage, usage_source) = self.used(request);
        Completion {
            finish: self.finish.unwrap_or(Finish::Unknown("none".to_owned())),
            text: self.text,
            served_tier: served_tier(&self.usage, self.tier.as_deref()),
            served_model: self.model,
            usage,
            usage_source,
            request_id: self.id,
        }
    }

    /// Before a finish reason the counts are those of an earlier moment.
    fn used(&self, request: &Request) -> (Usage, UsageSource) {
        match counted(&self.usage) {
            Some(usage) if self.finish.is_some() => (usage, UsageSource::Provider),
            Some(usage) => {
                let said = estimate::estimated(request, &self.text).output.saturating_add(usage.reasoning);
                (Usage { output: usage.output.max(said), ..usage }, UsageSource::Estimated)
            }
            None => (estimate::estimated(request, &self.text), UsageSource::Estimated),
        }
    }

    fn broken(self, request: &Request, detail: String) -> CallError {
        CallError::Interrupted { detail, partial: Box::new(self.completion(request)) }
    }
}
