//! OpenAI responses on the wire, plain and streamed.

use longshore::{
    config::ProviderKind,
    domain::usage::{Usage, UsageSource},
    llm::wire::{CallError, Completion, Finish, Rejection},
};
use serde_json::{Value, json};

use super::fakes::{
    openai::{TEXT, USED, error, event, response, response_end, response_said},
    raw::{Called, KEY, Raw, Said, adorned, interrupted, plain, portable_schema, rejected, streamed},
};

async fn start_one() -> (Raw, Called) {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::OpenaiResponses, &format!("{}/v1/", server.url));
    (server, called)
}

async fn ask(said: Said) -> (Result<Completion, CallError>, String) {
    let (server, called) = start_one().await;
    server.says(said);
    let (request, pieces) = streamed();
    let result = called.complete(&request).await;
    let came = pieces.lock().unwrap().concat();
    (result, came)
}

fn stream() -> String {
    [response_said(), response_end("response.completed", &response("completed", TEXT))].concat()
}

/// The same response, with these fields.
fn but(mut response: Value, fields: &[(&str, Value)]) -> Value {
    for (name, value) in fields {
        response[name] = value.clone();
    }
    response
}

#[tokio::test]
async fn a_question_is_asked_as_the_reference_says() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &response("completed", "Ten.")).header("x-request-id", "req_9"));
    let completion = called.complete(&plain()).await.unwrap();
    assert_eq!((completion.text.as_str(), &completion.finish), ("Ten.", &Finish::Complete));
    assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
    assert_eq!(completion.served_model.as_deref(), Some("gpt-5-2025-08-07"));
    assert_eq!(completion.served_tier.as_deref(), Some("flex"));
    assert_eq!(completion.request_id.as_deref(), Some("req_9"));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1/responses");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        asked.body,
        json!({
            "model": "model-1", "instructions": "Answer briefly.", "max_output_tokens": 500, "store": false,
            "input": [
                { "role": "user", "content": "Hello?" },
                { "role": "assistant", "content": "Yes?" },
                { "role": "user", "content": "What is the price?" }
            ]
        })
    );
}

#[tokio::test]
async fn settings_and_schema_are_sent_where_they_are_set() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &response("completed", "{}")));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    let format =
        json!({ "type": "json_schema", "name": "reading", "strict": true, "schema": portable_schema() });
    assert_eq!(body["text"], json!({ "format": format }), "flat");
    assert_eq!((&body["reasoning"], &body["service_tier"]), (&json!({ "effort": "low" }), &json!("flex")));
    assert_eq!(body["temperature"], 0.5);
}

#[tokio::test]
async fn every_end_is_told_apart_plain_and_streamed() {
    let incomplete = |reason: &str| {
        but(response("incomplete", "x"), &[("incomplete_details", json!({ "reason": reason }))])
    };
    let refusal = json!([{ "type": "message", "content": [{ "type": "refusal", "refusal": "I cannot." }] }]);
    let failed = json!({ "code": "server_error", "message": "m" });
    for (kind, whole, expected) in [
        ("response.completed", response("completed", "x"), Finish::Complete),
        (
            "response.completed",
            but(response("completed", ""), &[("output", refusal)]),
            Finish::Refused("I cannot.".into()),
        ),
        ("response.incomplete", incomplete("max_output_tokens"), Finish::Truncated),
        ("response.incomplete", incomplete("content_filter"), Finish::Blocked),
        ("response.incomplete", incomplete("moon"), Finish::Unknown("moon".into())),
        (
            "response.failed",
            but(response("failed", "x"), &[("error", failed)]),
            Finish::Misbehaved("server_error".into()),
        ),
        ("response.completed", response("in_progress", "x"), Finish::Unknown("in_progress".into())),
    ] {
        let (server, called) = start_one().await;
        server.says(Said::json(200, &whole));
        let plain = called.complete(&plain()).await.unwrap();
        let (result, _) = ask(Said::events(&response_end(kind, &whole))).await;
        let streamed = result.unwrap();
        assert_eq!((&plain.finish, &streamed.finish), (&expected, &expected), "{whole}");
        assert_eq!((plain.usage, streamed.usage), (USED, USED), "paid all the same: {whole}");
    }
}

#[tokio::test]
async fn a_stream_is_read_piece_by_piece_wherever_it_is_split() {
    for bytes in [1, 7, 64, 10_000] {
        let (server, called) = start_one().await;
        server.says(Said::events(&stream()).split(bytes));
        let (request, pieces) = streamed();
        let completion = called.complete(&request).await.unwrap();
        assert_eq!((completion.text.as_str(), &completion.finish), (TEXT, &Finish::Complete));
        assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
        assert_eq!(completion.served_tier.as_deref(), Some("flex"));
        assert_eq!(*pieces.lock().unwrap(), ["About ", "ten € ", "– 十."]);
        assert_eq!(server.asked()[0].body["stream"], true);
    }
}

/// A stream without one of its three last events was cut, however cleanly; `[DONE]` proves nothing here.
#[tokio::test]
async fn no_cut_stream_is_ever_a_success() {
    let whole = stream();
    let (server, called) = start_one().await;
    for at in 0..whole.len() {
        let said = Said::bytes(200, "text/event-stream", whole.as_bytes()[..at].to_vec());
        server.says(if at % 2 == 0 { said } else { said.broken() });
        let (request, pieces) = streamed();
        let result = called.complete(&request).await;
        let came = pieces.lock().unwrap().concat();
        assert!(TEXT.starts_with(&came), "cut at {at}: {came}");
        match result {
            Err(CallError::Interrupted { partial, .. }) => {
                assert_eq!(
                    (partial.text.as_str(), partial.usage_source),
                    (came.as_str(), UsageSource::Estimated)
                );
                assert_eq!(partial.served_model.as_deref(), Some("gpt-5-2025-08-07"));
            }
            Err(CallError::Unknown(_)) => assert_eq!(came, "", "cut at {at}"),
            other => panic!("cut at {at}: {other:?}"),
        }
    }
    let (result, _) = ask(Said::events(&[response_said(), "data: [DONE]\n\n".to_owned()].concat())).await;
    assert_eq!(interrupted(result).1.text, TEXT);
}

#[tokio::test]
async fn errors_are_what_they_are_until_something_was_made() {
    let told = event("error", json!({ "code": "rate_limit_exceeded", "message": "m", "param": null }));
    let (result, _) = ask(Said::events(&told)).await;
    assert_eq!(rejected(result).0, Rejection::RateLimited);
    let (result, came) = ask(Said::events(&[response_said(), told].concat())).await;
    assert_eq!((interrupted(result).1.text.as_str(), came.as_str()), (TEXT, TEXT));
    // Failed before anything was generated: nothing is billed.
    let failed = but(
        response("failed", ""),
        &[
            ("output", json!([])),
            ("usage", json!(null)),
            ("error", json!({ "code": "rate_limit_exceeded", "message": "m" })),
        ],
    );
    let (server, called) = start_one().await;
    server.says(Said::json(200, &failed));
    assert_eq!(rejected(called.complete(&plain()).await).0, Rejection::RateLimited);
    let (result, _) = ask(Said::events(&response_end("response.failed", &failed))).await;
    assert_eq!(rejected(result).0, Rejection::RateLimited);
    server.says(Said::json(429, &error("insufficient_quota", "credit_balance_exhausted")));
    assert_eq!(rejected(called.complete(&plain()).await).0, Rejection::OutOfMoney);
    server.says(Said::json(200, &error("server_error", "server_is_overloaded")));
    assert_eq!(rejected(called.complete(&plain()).await).0, Rejection::Overloaded);
}

/// llama.cpp says less: no details of the usage, and no output in the last event.
#[tokio::test]
async fn a_smaller_server_is_understood() {
    let usage = json!({ "input_tokens": 12, "output_tokens": 5, "total_tokens": 17 });
    let small = but(response("completed", ""), &[("usage", usage), ("output", json!([]))]);
    let text =
        [response_said(), response_end("response.completed", &small), "data: [DONE]\n\n".to_owned()].concat();
    let (result, came) = ask(Said::events(&text)).await;
    let whole = result.unwrap();
    assert_eq!((whole.text.as_str(), whole.finish, came.as_str()), (TEXT, Finish::Complete, TEXT));
    assert_eq!(whole.usage, Usage { uncached_input: 12, output: 5, ..Usage::default() });
}

#[tokio::test]
async fn a_whole_answer_instead_of_a_stream_is_not_bought_again() {
    let (result, came) = ask(Said::json(200, &response("completed", "Ten."))).await;
    let whole = result.unwrap();
    assert_eq!((whole.text.as_str(), whole.usage, came.as_str()), ("Ten.", USED, "Ten."));
}
