//! Reads a streamed answer of Bedrock's. The counts come after `messageStop`: both together prove that it is whole.

use std::time::Duration;

use aws_sdk_bedrockruntime::{
    operation::{RequestId as _, converse_stream::ConverseStreamOutput as Answer},
    types::{ContentBlockDelta, ConverseStreamMetadataEvent, ConverseStreamOutput as Event, StopReason},
};

use crate::{
    domain::usage::UsageSource,
    llm::{
        contract::{CallError, Completion, Finish, Pieces, Request},
        vendors::{
            bedrock_answer::{Place, counted, finish},
            bedrock_error,
            estimate::estimated,
            patience::Patience,
        },
    },
};

/// The longest that the end of a body is waited for, so that its connection can be used again.
const LINGER: Duration = Duration::from_millis(20);

/// Reads it to its end, handing the text on as it comes. The SDK's time-outs do not cover this part.
///
/// # Errors
/// [`CallError::Interrupted`] once it had begun, else what the failure means by itself.
pub(crate) async fn read(
    mut answer: Answer,
    place: Place,
    request: &Request,
    pieces: &Pieces,
    mut patience: Patience,
) -> Result<Completion, CallError> {
    let request_id = answer.request_id().map(str::to_owned);
    let mut streamed =
        Streamed { request_id, place, begun: false, text: String::new(), stop: None, end: None };
    let failed = loop {
        let event = match patience.wait(answer.stream.recv()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) => break CallError::Unknown("it ended before its `metadata`".to_owned()),
            Ok(Err(error)) => break bedrock_error::in_stream(&error),
            Err(detail) => break CallError::Unknown(detail),
        };
        if !matches!(event, Event::MessageStart(_)) {
            patience.renew();
        }
        streamed.take(event, pieces);
        if streamed.stop.is_some() && streamed.end.is_some() {
            let _ = tokio::time::timeout(LINGER, answer.stream.recv()).await;
            return Ok(streamed.completion(request));
        }
    };
    Err(if streamed.begun { streamed.broken(request, failed.to_string()) } else { failed })
}

/// An answer as far as it came.
struct Streamed {
    place: Place,
    begun: bool,
    text: String,
    stop: Option<StopReason>,
    end: Option<ConverseStreamMetadataEvent>,
    request_id: Option<String>,
}

impl Streamed {
    fn take(&mut self, event: Event, pieces: &Pieces) {
        self.begun = true;
        match event {
            Event::ContentBlockDelta(event) => {
                let said = match (event.delta, self.place) {
                    (Some(ContentBlockDelta::Text(text)), Place::Text) => text,
                    (Some(ContentBlockDelta::ToolUse(call)), Place::Tool) => call.input,
                    // Reasoning, and what is said beside the answer.
                    _ => return,
                };
                if !said.is_empty() {
                    self.text.push_str(&said);
                    (pieces.0)(&said);
                }
            }
            Event::MessageStop(event) => self.stop = Some(event.stop_reason),
            Event::Metadata(event) => self.end = Some(event),
            _ => {}
        }
    }

    fn completion(self, request: &Request) -> Completion {
        let end = self.end.as_ref();
        let (usage, usage_source) = match end.and_then(|end| end.usage()) {
            Some(usage) => (counted(usage), UsageSource::Provider),
            None => (estimated(request, &self.text), UsageSource::Estimated),
        };
        Completion {
            finish: self
                .stop
                .as_ref()
                .map_or(Finish::Unknown("none".to_owned()), |stop| finish(stop, self.place)),
            served_model: None,
            served_tier: end.and_then(|end| end.service_tier()).map(|tier| tier.r#type().as_str().to_owned()),
            text: self.text,
            usage,
            usage_source,
            request_id: self.request_id,
        }
    }

    fn broken(self, request: &Request, detail: String) -> CallError {
        CallError::Interrupted { detail, partial: Box::new(self.completion(request)) }
    }
}
