//! Reads a streamed answer of OpenAI's APIs: one loop for all that can go wrong with a stream, whatever its events say.

use std::time::Instant;

use sse_stream::Sse;

use crate::{
    http::Opened,
    llm::{
        contract::Pieces,
        vendors::{openai_endpoint::left, sse::Events},
        wire::{CallError, Completion, Finish, Request},
    },
};

/// What an event did.
pub(crate) enum Step {
    /// Something was generated, or told about the answer.
    Moved,
    /// A sign of life, or something that is not known here.
    Idle,
    /// It was the last one: the answer is whole.
    Whole,
    /// It reported an error.
    Failed(CallError),
}

/// An answer as far as it came.
pub(crate) trait Heard: Send {
    /// Takes one event, handing on the text in it.
    fn take(&mut self, event: &Sse, pieces: &Pieces) -> Step;
    /// Has anything been generated?
    fn begun(&self) -> bool;
    /// What came, with its counts; those are estimated where they were not told, or not to the end.
    ///
    /// # Errors
    /// When it says itself that it failed, and nothing is billed.
    fn completion(self, request: &Request) -> Result<Completion, CallError>;
}

/// Reads it to its proof of completeness. The first piece must come within the time-out of the call, which began at
/// `since`; from then on no silence may be longer than the idle time-out, and signs of life alone do not help for
/// longer than the time-out.
///
/// # Errors
/// [`CallError::Interrupted`] once something was generated, else what the failure means by itself.
pub(crate) async fn read(
    opened: Opened,
    request: &Request,
    pieces: &Pieces,
    since: Instant,
    mut heard: impl Heard,
) -> Result<Completion, CallError> {
    let request_id = opened.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let mut events = Events::of(opened);
    let mut moved = since;
    let failed = loop {
        let patience = left(request.timeout.max(request.idle_timeout), moved);
        let patience =
            if heard.begun() { patience.min(request.idle_timeout) } else { left(request.timeout, since) };
        match tokio::time::timeout(patience, events.next()).await {
            Err(_) => break CallError::Unknown(format!("silent for {} ms", moved.elapsed().as_millis())),
            Ok(Err(detail)) => break CallError::Unknown(detail),
            Ok(Ok(None)) => break CallError::Unknown("it ended without its end".to_owned()),
            Ok(Ok(Some(event))) => match heard.take(&event, pieces) {
                Step::Moved => moved = Instant::now(),
                Step::Idle => {}
                Step::Failed(error) => break error,
                Step::Whole => {
                    events.end().await;
                    return heard.completion(request).map(|completion| named(completion, request_id));
                }
            },
        }
    };
    if !heard.begun() {
        return Err(failed);
    }
    let partial = named(heard.completion(request)?, request_id);
    Err(interrupted(failed.to_string(), partial))
}

/// The header's id is the one that support asks for.
fn named(completion: Completion, request_id: Option<String>) -> Completion {
    Completion { request_id: request_id.or(completion.request_id), ..completion }
}

fn interrupted(detail: String, partial: Completion) -> CallError {
    let finish = Finish::Unknown("interrupted".to_owned());
    CallError::Interrupted { detail, partial: Box::new(Completion { finish, ..partial }) }
}

/// A stream that nobody asked for.
pub(crate) fn unasked() -> CallError {
    CallError::Unknown("a stream that was not asked for".to_owned())
}
