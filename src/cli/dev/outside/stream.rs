//! A streamed chat completion: server-sent events in OpenAI's order, whole or ending too early.

use std::{io, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use crate::{
    cli::dev::outside::{
        limits::Pass,
        model::{Said, name, pieces, usage_words},
        script::{Cut, error},
    },
    clock::{Clock as _, SystemClock},
};

/// So that everything before it is on the wire when a connection is torn.
const BEFORE_TEARING: Duration = Duration::from_millis(20);

/// The answer. What is said has been cut already; this cuts what comes after it.
pub(crate) fn streamed(
    request: &Value,
    said: &Said,
    cut: Option<Cut>,
    number: u64,
    pass: Option<Pass>,
) -> Response {
    let torn = matches!(cut, Some(Cut::Torn(_)));
    let events = events(request, said, cut, number);
    Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .body(body(events, torn, pass))
        .unwrap_or_default()
}

/// Role, pieces, finish reason, counts where they are asked for, `[DONE]`.
fn events(request: &Value, said: &Said, cut: Option<Cut>, number: u64) -> Vec<String> {
    let with_usage = request["stream_options"]["include_usage"] == true;
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-outside{number:08}"),
            "object": "chat.completion.chunk",
            "created": SystemClock.now().seconds(),
            "model": name(request),
            "service_tier": "default",
            "choices": choices,
        });
        if with_usage {
            chunk["usage"] = usage;
        }
        chunk.to_string()
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]), Value::Null)
    };
    let mut events =
        vec![choice(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null)];
    let texts = [("content", &said.content), ("refusal", &said.refusal)];
    for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text.as_str()?))) {
        events.extend(pieces(text).map(|piece| choice(json!({ field: piece }), Value::Null)));
    }
    match cut {
        Some(Cut::After(_) | Cut::Torn(_)) => return events,
        Some(Cut::Error(_)) => {
            events.push(error("The server had an error while processing your request", "server_error", ""));
            return events;
        }
        Some(Cut::BeforeDone) | None => events.push(choice(json!({}), json!(said.finish))),
    }
    if with_usage && said.tells_usage {
        events.push(chunk(json!([]), usage_words(&said.usage)));
    }
    if cut.is_none() {
        events.push("[DONE]".to_owned());
    }
    events
}

/// Each event by itself. The pass goes with the last one.
fn body(events: Vec<String>, torn: bool, pass: Option<Pass>) -> Body {
    let start = (events.into_iter(), torn, pass);
    Body::from_stream(stream::unfold(start, |(mut events, torn, pass)| async move {
        match events.next() {
            Some(event) => {
                tokio::task::yield_now().await;
                Some((Ok(Bytes::from(format!("data: {event}\n\n"))), (events, torn, pass)))
            }
            None if torn => {
                tokio::time::sleep(BEFORE_TEARING).await;
                let gone = io::Error::new(io::ErrorKind::ConnectionReset, "cut on request");
                Some((Err(gone), (events, false, pass)))
            }
            None => None,
        }
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::events;
    use crate::cli::dev::outside::{
        model::say,
        script::{Cut, Fault},
    };

    async fn told(cut: Option<Cut>) -> (Vec<String>, i64) {
        let request = json!({
            "model": "m", "stream": true, "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": "hello" }],
        });
        let said = say(&request, cut.map(Fault::Cut).as_ref()).await;
        (events(&request, &said, cut, 1), said.usage.output)
    }

    fn text(events: &[String]) -> String {
        let said = |event: &String| {
            let event: Value = serde_json::from_str(event).ok()?;
            event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
        };
        events.iter().filter_map(said).collect()
    }

    #[tokio::test]
    async fn a_whole_answer_ends_with_counts_and_done() {
        let (events, output) = told(None).await;
        assert_eq!(events.last().unwrap(), "[DONE]");
        let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
        assert_eq!(
            (&usage["choices"], usage["usage"]["completion_tokens"].as_i64()),
            (&json!([]), Some(output))
        );
        assert_eq!(i64::try_from(text(&events).chars().count().div_ceil(4)).unwrap(), output);
    }

    #[tokio::test]
    async fn what_was_said_before_a_cut_is_what_is_billed() {
        for (cut, pieces) in [(Cut::After(3), 3), (Cut::Torn(2), 2), (Cut::After(0), 0), (Cut::Error(1), 1)] {
            let (events, output) = told(Some(cut)).await;
            assert_eq!(text(&events).split_inclusive(' ').count(), pieces, "{cut:?}");
            assert_eq!(i64::try_from(text(&events).chars().count().div_ceil(4)).unwrap(), output, "{cut:?}");
            assert!(
                !events.iter().any(|event| event.contains("[DONE]") || event.contains("completion_tokens"))
            );
        }
        let (events, _) = told(Some(Cut::BeforeDone)).await;
        assert!(events.last().unwrap().contains("completion_tokens"));
    }
}
