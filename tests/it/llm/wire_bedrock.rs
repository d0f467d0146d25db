//! Bedrock's Converse on the wire, under the AWS SDK.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use longshore::{
    config::{ProviderKind, SchemaSupport},
    domain::usage::{Usage, UsageSource},
    llm::contract::{CallError, Finish, Rejection, Request},
};
use serde_json::{Value, json};

use super::fakes::{
    bedrock::{answer, error, event, exception, frames, metadata, pieces, stop, stream},
    raw::{Called, KEY, Raw, Said, adorned, interrupted, nobody, plain, portable_schema, rejected, streamed},
};

const USED: Usage = Usage {
    uncached_input: 30,
    cache_read: 6000,
    cache_write: 200,
    cache_write_1h: 300,
    output: 90,
    reasoning: 0,
};

async fn start_one() -> (Raw, Called) {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Bedrock, &server.url);
    (server, called)
}

#[tokio::test]
async fn a_question_is_asked_as_the_reference_says() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &answer("Ten.", "end_turn")).header("x-amzn-requestid", "req-9"));
    let mut request = plain();
    request.model = "us.anthropic.claude-x-v1:0".to_owned();
    let completion = called.complete(&request).await.unwrap();
    assert_eq!((completion.text.as_str(), &completion.finish), ("Ten.", &Finish::Complete));
    assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
    assert_eq!(completion.served_tier.as_deref(), Some("priority"));
    assert_eq!(completion.request_id.as_deref(), Some("req-9"));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /model/us.anthropic.claude-x-v1%3A0/converse");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        asked.body,
        json!({
            "system": [{ "text": "Answer briefly." }],
            "messages": [
                { "role": "user", "content": [{ "text": "Hello?" }] },
                { "role": "assistant", "content": [{ "text": "Yes?" }] },
                { "role": "user", "content": [{ "text": "What is the price?" }] }
            ],
            "inferenceConfig": { "maxTokens": 500 }
        })
    );
}

#[tokio::test]
async fn without_a_key_the_request_is_signed() {
    let (server, called) = start_one().await;
    let mut settings = called.settings.clone();
    settings.api_key = None;
    settings.region = Some("eu-central-1".to_owned());
    let http = longshore::http::Http::new().unwrap();
    let signing = longshore::llm::vendors::provider(&settings, &http).unwrap();
    server.says(Said::json(200, &answer("Ten.", "end_turn")));
    signing.complete(&plain()).await.unwrap();
    let signed = server.asked()[0].header("authorization").unwrap().to_owned();
    assert!(signed.starts_with("AWS4-HMAC-SHA256 "), "{signed}");
    assert!(signed.contains("/eu-central-1/bedrock/aws4_request"), "{signed}");
}

#[tokio::test]
async fn settings_and_schema_are_sent_where_they_are_set() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &answer("{}", "end_turn")));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!(body["inferenceConfig"], json!({ "maxTokens": 500, "temperature": 0.5 }));
    assert_eq!(
        (&body["serviceTier"]["type"], &body["outputConfig"]["effort"]),
        (&json!("flex"), &json!("low"))
    );
    let format = &body["outputConfig"]["textFormat"];
    assert_eq!(
        (&format["type"], &format["structure"]["jsonSchema"]["name"]),
        (&json!("json_schema"), &json!("reading"))
    );
    let schema = format["structure"]["jsonSchema"]["schema"].as_str().expect("the schema travels as a text");
    assert_eq!(serde_json::from_str::<Value>(schema).unwrap(), portable_schema());
}

#[tokio::test]
async fn a_model_that_takes_no_schema_calls_a_tool() {
    let server = Raw::start().await;
    let called =
        Called::with(ProviderKind::Bedrock, &server.url, |own| own.schema = SchemaSupport::JsonObject);
    let mut body = answer("Let me answer.", "tool_use");
    let call = json!({ "toolUse": { "toolUseId": "t1", "name": "reading", "input": { "answer": "ten", "n": [1, -2, 0.5] } } });
    body["output"]["message"]["content"].as_array_mut().unwrap().push(call);
    server.says(Said::json(200, &body));
    let completion = called.complete(&adorned()).await.unwrap();
    let told: Value = serde_json::from_str(&completion.text).unwrap();
    assert_eq!((told, completion.finish), (json!({ "answer": "ten", "n": [1, -2, 0.5] }), Finish::Complete));
    let asked = server.asked().pop().unwrap().body;
    let tool = json!({ "name": "reading", "description": "Takes the answer.", "inputSchema": { "json": portable_schema() } });
    let config = json!({ "tools": [{ "toolSpec": tool }], "toolChoice": { "tool": { "name": "reading" } } });
    assert_eq!((&asked["toolConfig"], &asked["outputConfig"]["textFormat"]), (&config, &Value::Null));

    let call = |input: &str| {
        let delta = json!({ "contentBlockIndex": 2, "delta": { "toolUse": { "input": input } } });
        event("contentBlockDelta", &delta)
    };
    server.says(frames(
        [pieces(), call("{\"answer\":"), call("\"ten\"}"), stop("tool_use"), metadata()].concat(),
    ));
    let (request, came) = streamed();
    let completion = called.complete(&Request { stream: request.stream, ..adorned() }).await.unwrap();
    assert_eq!((completion.text.as_str(), completion.finish), ("{\"answer\":\"ten\"}", Finish::Complete));
    assert_eq!(came.lock().unwrap().concat(), completion.text);
}

#[tokio::test]
async fn every_finish_reason_is_told_apart() {
    let (server, called) = start_one().await;
    for (reason, expected) in [
        ("end_turn", Finish::Complete),
        ("stop_sequence", Finish::Complete),
        ("max_tokens", Finish::Truncated),
        ("model_context_window_exceeded", Finish::ContextFull),
        ("content_filtered", Finish::Blocked),
        ("guardrail_intervened", Finish::Blocked),
        ("malformed_model_output", Finish::Misbehaved("malformed_model_output".to_owned())),
        ("malformed_tool_use", Finish::Misbehaved("malformed_tool_use".to_owned())),
        ("tool_use", Finish::Unknown("tool_use".to_owned())),
        ("brand_new", Finish::Unknown("brand_new".to_owned())),
    ] {
        server.says(Said::json(200, &answer("x", reason)));
        let whole = called.complete(&plain()).await.unwrap();
        server.says(frames([pieces(), stop(reason), metadata()].concat()));
        let came = called.complete(&streamed().0).await.unwrap();
        assert_eq!((&whole.finish, &came.finish), (&expected, &expected), "{reason}");
        assert_eq!((whole.usage, came.usage), (USED, USED), "all of them are paid");
    }
}

#[tokio::test]
async fn a_stream_is_read_to_its_metadata_wherever_it_is_split() {
    for bytes in [5, 64, 10_000] {
        let (server, called) = start_one().await;
        server.says(frames(stream()).split(bytes));
        let (request, came) = streamed();
        let completion = called.complete(&request).await.unwrap();
        assert_eq!((completion.text.as_str(), &completion.finish), ("About ten €.", &Finish::Complete));
        assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
        assert_eq!(completion.served_tier.as_deref(), Some("flex"));
        assert_eq!(completion.request_id.as_deref(), Some("req-9"));
        assert_eq!(*came.lock().unwrap(), ["About ", "ten €."], "no reasoning");
        assert_eq!(server.asked()[0].line, "POST /model/model-1/converse-stream");
    }
}

#[tokio::test]
async fn events_that_are_not_known_change_nothing() {
    let (server, called) = start_one().await;
    let odd = event("brandNew", &json!({ "x": 1 }));
    server.says(frames([pieces(), odd, stop("end_turn"), metadata()].concat()));
    assert_eq!(called.complete(&streamed().0).await.unwrap().text, "About ten €.");
}

#[tokio::test]
async fn no_proper_prefix_of_a_stream_is_a_success() {
    let (server, called) = start_one().await;
    let whole = stream();
    let (server, called, whole) = (&server, &called, whole.as_slice());
    let ended: Vec<_> = stream::iter(0..whole.len())
        .map(|cut| async move {
            server.says(frames(whole[..cut].to_vec()));
            called.complete(&streamed().0).await
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let (begun, nothing): (Vec<_>, Vec<_>) =
        ended.into_iter().partition(|result| matches!(result, Err(CallError::Interrupted { .. })));
    assert!(nothing.iter().all(|result| matches!(result, Err(CallError::Unknown(_)))), "{nothing:?}");
    assert!(begun.len() > nothing.len());
    for result in begun {
        let (_, partial) = interrupted(result);
        assert!("About ten €.".starts_with(&partial.text), "{partial:?}");
        assert_eq!(partial.usage_source, UsageSource::Estimated);
        assert!(partial.usage.uncached_input > 0, "what was asked is paid: {partial:?}");
    }
}

#[tokio::test]
async fn a_frame_with_a_wrong_checksum_is_no_frame() {
    let (server, called) = start_one().await;
    let whole = stream();
    let text = whole.windows(4).position(|four| four == b"ten\x20").unwrap();
    let mut wrong = whole;
    wrong[text] = b'T';
    server.says(frames(wrong));
    let (_, partial) = interrupted(called.complete(&streamed().0).await);
    assert_eq!(partial.text, "About ");
}

#[tokio::test]
async fn a_broken_or_silent_stream_keeps_what_came() {
    let (server, called) = start_one().await;
    server.says(frames([pieces(), stop("end_turn")].concat()).broken());
    let (_, partial) = interrupted(called.complete(&streamed().0).await);
    assert_eq!((partial.text.as_str(), partial.usage.output), ("About ten €.", 3));
    server.says(frames(pieces()).silent());
    let mut request = streamed().0;
    request.idle_timeout = Duration::from_millis(100);
    let (detail, partial) = interrupted(called.complete(&request).await);
    assert!(detail.contains("silent"), "{detail}");
    assert_eq!(partial.text, "About ten €.");
}

#[tokio::test]
async fn a_model_that_thinks_is_not_stalled() {
    // The SDK's own protection, on by default, gives up after five seconds.
    let pause = Duration::from_millis(6_500);
    let ((streaming, reader), (server, called)) = (start_one().await, start_one().await);
    streaming.says(frames(stream()).pausing(pieces().len(), pause));
    server.says(Said::json(200, &answer("Ten.", "end_turn")).pausing(10, pause));
    let ((request, _), plain) = (streamed(), plain());
    let (came, whole) = tokio::join!(reader.complete(&request), called.complete(&plain));
    assert_eq!((came.unwrap().finish, whole.unwrap().finish), (Finish::Complete, Finish::Complete));
}

#[tokio::test]
async fn exceptions_in_the_stream_are_failed_attempts() {
    use Rejection::*;
    let (server, called) = start_one().await;
    for (kind, expected) in [
        ("internalServerException", Transient),
        ("modelStreamErrorException", Transient),
        ("validationException", Permanent),
        ("throttlingException", RateLimited),
        ("serviceUnavailableException", Overloaded),
    ] {
        let told = exception(kind, &json!({ "message": "no more", "originalStatusCode": 500 }));
        server.says(frames(told.clone()));
        assert_eq!(rejected(called.complete(&streamed().0).await).0, expected, "{kind}");
        server.says(frames([pieces(), told].concat()));
        let (detail, partial) = interrupted(called.complete(&streamed().0).await);
        assert!(
            detail.to_lowercase().contains(&kind.to_lowercase()) && detail.contains("no more"),
            "{detail}"
        );
        assert_eq!(partial.text, "About ten €.");
    }
}

#[tokio::test]
async fn errors_are_told_apart_by_their_exception() {
    use Rejection::*;
    let (server, called) = start_one().await;
    for (status, kind, message, expected) in [
        (400, "ValidationException", "x", Permanent),
        (400, "ValidationException", "Input is too long for requested model.", ContextOverflow),
        (400, "ValidationException", "The provided model identifier is invalid.", NoSuchModel),
        (400, "ServiceQuotaExceededException", "x", QuotaSpent),
        (400, "ConflictException", "x", Transient),
        (403, "AccessDeniedException", "x", Auth),
        (403, "ExpiredTokenException", "x", Auth),
        (404, "ResourceNotFoundException", "x", NoSuchModel),
        (408, "ModelTimeoutException", "x", Transient),
        (424, "ModelErrorException", "x", Transient),
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimited),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", QuotaSpent),
        (429, "ModelNotReadyException", "x", Transient),
        (500, "InternalServerException", "x", Transient),
        (503, "ServiceUnavailableException", "x", Overloaded),
        (529, "BrandNewException", "x", Overloaded),
        (418, "BrandNewException", "x", Permanent),
        (429, "ThrottlingException:http://internal.amazon.com/coral/", "x", RateLimited),
    ] {
        for request in [plain(), streamed().0] {
            let before = server.asked().len();
            server.says(error(status, kind, message));
            assert_eq!(rejected(called.complete(&request).await).0, expected, "{status} {kind} {message}");
            assert_eq!(server.asked().len(), before + 1, "one attempt, whatever the SDK thinks of {kind}");
        }
    }
    server.says(error(429, "ThrottlingException", "x").header("retry-after", "7"));
    assert_eq!(rejected(called.complete(&plain()).await).1, Some(Duration::from_secs(7)));
    server.says(Said::bytes(500, "text/html", b"<html>".to_vec()));
    assert_eq!(rejected(called.complete(&plain()).await).0, Transient);
    server.says(Said::bytes(403, "text/html", b"<html>".to_vec()));
    assert_eq!(rejected(called.complete(&plain()).await).0, Auth);
}

#[tokio::test]
async fn what_was_not_sent_and_what_is_not_known_are_two_things() {
    let called = Called::at(ProviderKind::Bedrock, &nobody().await);
    for request in [plain(), streamed().0] {
        let result = called.complete(&request).await;
        assert!(matches!(result, Err(CallError::NotSent(_))), "{result:?}");
    }
    let (server, called) = start_one().await;
    for mut request in [plain(), streamed().0] {
        let before = server.asked().len();
        let result = called.complete(&request).await;
        assert!(matches!(result, Err(CallError::Unknown(_))), "it closes without a word: {result:?}");
        server.says(Said::bytes(502, "text/html", b"<html>Bad gateway</html>".to_vec()));
        let result = called.complete(&request).await;
        assert!(matches!(result, Err(CallError::Unknown(_))), "{result:?}");
        assert_eq!(server.asked().len(), before + 2, "one attempt each");
        request.timeout = Duration::from_millis(200);
        server.says(Said::json(200, &answer("x", "end_turn")).silent());
        let result = called.complete(&request).await;
        assert!(!matches!(result, Ok(_) | Err(CallError::NotSent(_))), "{result:?}");
    }
    server.says(Said::json(200, &answer("x", "end_turn")).broken());
    let result = called.complete(&plain()).await;
    assert!(matches!(result, Err(CallError::Unknown(_))), "{result:?}");
}

#[tokio::test]
async fn a_key_is_read_anew_for_each_call_and_a_missing_one_sends_nothing() {
    let (server, called) = start_one().await;
    let path = called.settings.api_key.as_ref().unwrap().0.strip_prefix("file:").unwrap().to_owned();
    server.says(Said::json(200, &answer("x", "end_turn")));
    called.complete(&plain()).await.unwrap();
    std::fs::write(&path, "sk-another-key\n").unwrap();
    server.says(Said::json(200, &answer("x", "end_turn")));
    called.complete(&plain()).await.unwrap();
    assert_eq!(server.asked()[1].header("authorization"), Some("Bearer sk-another-key"));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(called.complete(&plain()).await, Err(CallError::NoKey(_))));
    assert_eq!(server.asked().len(), 2);
}
