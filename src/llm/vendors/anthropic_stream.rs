//! Reads a streamed message of Anthropic's. `message_stop` alone proves that it is whole.

use serde_json::{Map, Value};

use crate::{
    domain::usage::{Usage, UsageSource},
    http::Opened,
    llm::{
        contract::{CallError, Completion, Pieces, Request},
        vendors::{
            anthropic_answer::{counted, finish, word},
            anthropic_error, estimate,
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
    let request_id = opened.headers.get("request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut message = Message { request_id, ..Message::default() };
    let mut events = Events::of(opened);
    let failed = loop {
        let event = match patience.wait(events.next()).await {
            Ok(Ok(Some(event))) => event.data.unwrap_or_default(),
            Ok(Ok(None)) => break CallError::Unknown("it ended before `message_stop`".to_owned()),
            Ok(Err(detail)) | Err(detail) => break CallError::Unknown(detail),
        };
        match message.take(&event, pieces) {
            Step::Moved => patience.renew(),
            Step::Idle => {}
            Step::Failed(error) => break error,
            Step::Done => {
                events.end().await;
                return Ok(message.completion(request));
            }
        }
    };
    Err(if message.begun { message.broken(request, failed.to_string()) } else { failed })
}

/// What an event did.
enum Step {
    /// Something was generated.
    Moved,
    /// It began, or gave a sign of life (`ping`), or something that is not known here.
    Idle,
    Done,
    Failed(CallError),
}

/// A message as far as it came.
#[derive(Default)]
struct Message {
    begun: bool,
    text: String,
    model: Option<String>,
    id: Option<String>,
    request_id: Option<String>,
    stop_reason: Value,
    stop_details: Value,
    /// The counts told last, by name: those at the end override those at the beginning.
    usage: Map<String, Value>,
    /// Has the output been counted to its end?
    counted: bool,
}

impl Message {
    fn take(&mut self, data: &str, pieces: &Pieces) -> Step {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Step::Failed(CallError::Unknown("an event that is no JSON".to_owned()));
        };
        match event["type"].as_str() {
            Some("message_start") => {
                self.start(&event["message"]);
                return Step::Idle;
            }
            Some("content_block_start") => return self.say(&event["content_block"]["text"], pieces),
            Some("content_block_delta") => return self.say(&event["delta"]["text"], pieces),
            Some("content_block_stop") => {}
            Some("message_delta") => self.end(&event),
            Some("message_stop") => return Step::Done,
            Some("error") => return Step::Failed(anthropic_error::in_stream(&event)),
            _ => return Step::Idle,
        }
        Step::Moved
    }

    fn start(&mut self, message: &Value) {
        self.begun = true;
        self.model = word(&message["model"]);
        self.id = word(&message["id"]);
        self.count(&message["usage"]);
    }

    /// Only text deltas have a text: thinking, signatures and tool calls come under other names.
    fn say(&mut self, text: &Value, pieces: &Pieces) -> Step {
        self.begun = true;
        if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
            self.text.push_str(text);
            (pieces.0)(text);
        }
        Step::Moved
    }

    fn end(&mut self, event: &Value) {
        self.begun = true;
        self.stop_reason = event["delta"]["stop_reason"].clone();
        self.stop_details = event["delta"]["stop_details"].clone();
        self.counted |= event["usage"]["output_tokens"].is_number();
        self.count(&event["usage"]);
    }

    /// Counts are cumulative: later ones replace earlier ones. Some gateways tell the input only at the end.
    fn count(&mut self, usage: &Value) {
        let told = usage.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        self.usage.extend(told.map(|(name, value)| (name.clone(), value.clone())));
    }

    fn completion(self, request: &Request) -> Completion {
        let (usage, usage_source) = self.used(request);
        Completion {
            finish: finish(&self.stop_reason, &self.stop_details),
            served_tier: self.usage.get("service_tier").and_then(word),
            text: self.text,
            served_model: self.model,
            usage,
            usage_source,
            request_id: self.request_id.or(self.id),
        }
    }

    /// Without the counts of the end what was said is estimated: the one at the beginning says nothing of it.
    fn used(&self, request: &Request) -> (Usage, UsageSource) {
        let told = counted(&Value::Object(self.usage.clone()));
        match told {
            Some(usage) if self.counted => (usage, UsageSource::Provider),
            Some(usage) => {
                let said = estimate::estimated(request, &self.text).output;
                (Usage { output: usage.output.max(said), ..usage }, UsageSource::Estimated)
            }
            None => (estimate::estimated(request, &self.text), UsageSource::Estimated),
        }
    }

    fn broken(self, request: &Request, detail: String) -> CallError {
        CallError::Interrupted { detail, partial: Box::new(self.completion(request)) }
    }
}
