//! A streamed response. It is whole when one of its three last events came; they bring the response with them.

use serde_json::Value;
use sse_stream::Sse;

use crate::llm::{
    contract::{CallError, Completion, Pieces, Request},
    vendors::{
        openai_error,
        openai_events::{Heard, Step},
        openai_responses_answer::{self, Said},
    },
};

/// What came until now.
#[derive(Default)]
pub(crate) struct ResponseStream {
    said: Said,
    /// The response as the last event about it as a whole told it.
    response: Value,
}

impl Heard for ResponseStream {
    fn take(&mut self, event: &Sse, pieces: &Pieces) -> Step {
        let data = event.data.as_deref().unwrap_or_default();
        if data.trim() == "[DONE]" {
            return Step::Idle;
        }
        let Ok(told) = serde_json::from_str::<Value>(data) else {
            return Step::Failed(CallError::Unknown("an event that is no JSON".to_owned()));
        };
        let kind = told["type"].as_str().or(event.event.as_deref()).unwrap_or_default();
        if told["response"].is_object() {
            self.response = told["response"].clone();
        }
        match kind {
            "response.output_text.delta" => self.text(&told, pieces),
            "response.refusal.delta" => moved(push(&mut self.said.refusal, &told)),
            "response.completed" | "response.incomplete" | "response.failed" => Step::Whole,
            "error" => Step::Failed(openai_error::inside(&told)),
            _ if openai_error::is_error(&told) => Step::Failed(openai_error::inside(&told)),
            // Reasoning, summaries, arguments of calls.
            _ if kind.ends_with(".delta") => {
                let chars = told["delta"].as_str().map_or(0, |text| text.chars().count());
                self.said.unseen += chars;
                moved(chars > 0)
            }
            _ => Step::Idle,
        }
    }

    fn begun(&self) -> bool {
        self.said.anything()
    }

    fn completion(self, request: &Request) -> Result<Completion, CallError> {
        openai_responses_answer::read(&self.response, request, self.said)
    }
}

impl ResponseStream {
    fn text(&mut self, told: &Value, pieces: &Pieces) -> Step {
        let said = push(&mut self.said.text, told);
        if said {
            (pieces.0)(told["delta"].as_str().unwrap_or_default());
        }
        moved(said)
    }
}

fn push(text: &mut String, told: &Value) -> bool {
    let piece = told["delta"].as_str().unwrap_or_default();
    text.push_str(piece);
    !piece.is_empty()
}

fn moved(said: bool) -> Step {
    if said { Step::Moved } else { Step::Idle }
}
