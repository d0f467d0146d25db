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
            patience::Patience,
            sse::Events,
        },
    },
};

/// Reads it to its end, handing the text on as it comes.
///
/// # Errors
/// [`CallError::Interrupted`] once it had begun, else what the failure means by itself.
pub(crate) async fn read(
    opened: Opened,
    request: &Request,
    pieces: &Pieces,
    mut patience: Patience,
) -> Result<Completion, CallError> {
    let tier =
        opened.headers.get("x-gemini-service-tier").and_then(|tier| tier.to_str().ok()).map(str::to_owned);
    let mut answer = Streamed { tier, ..Streamed::default() };
    let mut events = Events::of(opened);
    let failed = loop {
        let data = match patience.wait(events.next()).await {
            Ok(Ok(Some(event))) => event.data.unwrap_or_default(),
            Ok(Ok(None)) if answer.finish.is_some() => return Ok(answer.completion(request)),
            Ok(Ok(None)) => break CallError::Unknown("it ended without a finish reason".to_owned()),
            Ok(Err(detail)) | Err(detail) => break CallError::Unknown(detail),
        };
        match answer.take(&data, pieces) {
            Ok(()) => patience.renew(),
            Err(error) => break error,
        }
    };
    Err(if answer.begun { answer.broken(request, failed.to_string()) } else { failed })
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
