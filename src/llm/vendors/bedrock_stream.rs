//! Reads a streamed answer of Bedrock's. The counts come after `messageStop`: both together prove that it is whole.

use aws_sdk_bedrockruntime::{
    operation::{RequestId as _, converse_stream::ConverseStreamOutput as Answer},
    types::{ContentBlockDelta, ConverseStreamMetadataEvent, ConverseStreamOutput as Event, StopReason},
};

use crate::{
    domain::usage::UsageSource,
    llm::{
        contract::{CallError, Completion, Finish, Pieces, Request},
        vendors::{
            bedrock_answer::{counted, finish},
            bedrock_error,
            estimate::estimated,
        },
    },
};

/// Reads it to its end, handing the text on as it comes. The SDK's time-outs do not cover this part.
pub(crate) async fn read(
    mut answer: Answer,
    request: &Request,
    pieces: &Pieces,
) -> Result<Completion, CallError> {
    let mut streamed = Streamed { request_id: answer.request_id().map(str::to_owned), ..Streamed::default() };
    loop {
        let event = match tokio::time::timeout(request.idle_timeout, answer.stream.recv()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) => return Err(streamed.broken(request, "it ended before its `metadata`".to_owned())),
            Ok(Err(error)) => {
                let error = bedrock_error::in_stream(&error);
                let nothing_yet = !streamed.begun && matches!(error, CallError::Rejected { .. });
                return Err(if nothing_yet { error } else { streamed.broken(request, error.to_string()) });
            }
            Err(_) => {
                let silence = format!("silent for {} ms", request.idle_timeout.as_millis());
                return Err(streamed.broken(request, silence));
            }
        };
        streamed.take(event, pieces);
        if streamed.stop.is_some() && streamed.end.is_some() {
            return Ok(streamed.completion(request));
        }
    }
}

/// An answer as far as it came.
#[derive(Default)]
struct Streamed {
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
                // Reasoning and calls of tools come as other kinds.
                if let Some(ContentBlockDelta::Text(text)) = event.delta
                    && !text.is_empty()
                {
                    self.text.push_str(&text);
                    (pieces.0)(&text);
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
            finish: self.stop.as_ref().map_or_else(|| Finish::Unknown("none".to_owned()), finish),
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
