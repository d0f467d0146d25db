//! Gemini's `generateContent` on the wire.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use longshore::{
    config::{ProviderKind, ProviderSettings, SchemaSupport},
    domain::usage::{Usage, UsageSource},
    llm::contract::{CallError, EmbedRequest, Finish, Rejection},
};
use serde_json::{Value, json};

use super::fakes::{
    gemini::{answer, counts, error, event, info, last, pieces, quota, retry_in, stream},
    raw::{Called, KEY, Raw, Said, adorned, interrupted, nobody, plain, portable_schema, rejected, streamed},
};

const USED: Usage = Usage {
    uncached_input: 450,
    cache_read: 600,
    cache_write: 0,
    cache_write_1h: 0,
    output: 320,
    reasoning: 300,
};

async fn start_one() -> (Raw, Called) {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Gemini, &server.url);
    (server, called)
}

#[tokio::test]
async fn a_question_is_asked_as_the_reference_says() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &answer("Ten", " euros.", "STOP")));
    let completion = called.complete(&plain()).await.unwrap();
    assert_eq!(
        (completion.text.as_str(), &completion.finish),
        ("Ten euros.", &Finish::Complete),
        "no thoughts"
    );
    assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
    assert_eq!(completion.served_model.as_deref(), Some("gemini-x-001"));
    assert_eq!(completion.served_tier.as_deref(), Some("standard"));
    assert_eq!(completion.request_id.as_deref(), Some("resp-1"));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1beta/models/model-1:generateContent", "the key is in no URL");
    assert_eq!(asked.header("x-goog-api-key"), Some(KEY));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        asked.body,
        json!({
            "systemInstruction": { "parts": [{ "text": "Answer briefly." }] },
            "contents": [
                { "role": "user", "parts": [{ "text": "Hello?" }] },
                { "role": "model", "parts": [{ "text": "Yes?" }] },
                { "role": "user", "parts": [{ "text": "What is the price?" }] }
            ],
            "generationConfig": { "maxOutputTokens": 500 }
        })
    );
}

#[tokio::test]
async fn settings_and_schema_are_sent_where_they_are_set() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &answer("{}", "", "STOP")).header("x-gemini-service-tier", "FLEX"));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!(body["serviceTier"], "flex");
    assert_eq!(
        body["generationConfig"],
        json!({
            "maxOutputTokens": 500, "temperature": 0.5, "thinkingConfig": { "thinkingLevel": "low" },
            "responseMimeType": "application/json", "responseJsonSchema": portable_schema()
        }),
        "never with `responseSchema`"
    );
    for (effort, config) in
        [("1024", json!({ "thinkingBudget": 1024 })), ("-1", json!({ "thinkingBudget": -1 }))]
    {
        server.says(Said::json(200, &answer("x", "", "STOP")));
        let mut request = plain();
        request.reasoning_effort = Some(effort.to_owned());
        called.complete(&request).await.unwrap();
        assert_eq!(server.asked().pop().unwrap().body["generationConfig"]["thinkingConfig"], config);
    }
}

#[tokio::test]
async fn the_tier_that_answered_may_be_told_in_a_header() {
    let (server, called) = start_one().await;
    let mut untold = answer("x", "", "STOP");
    untold["usageMetadata"]["serviceTier"] = Value::Null;
    server.says(Said::json(200, &untold).header("x-gemini-service-tier", "PRIORITY"));
    assert_eq!(called.complete(&plain()).await.unwrap().served_tier.as_deref(), Some("priority"));
    server.says(
        Said::events(&stream().replace("serviceTier", "other")).header("x-gemini-service-tier", "flex"),
    );
    assert_eq!(called.complete(&streamed().0).await.unwrap().served_tier.as_deref(), Some("flex"));
}

#[tokio::test]
async fn a_model_that_takes_no_schema_is_told_it_in_words() {
    let server = Raw::start().await;
    let words = |own: &mut ProviderSettings| own.schema = SchemaSupport::Instructions;
    let called = Called::with(ProviderKind::Gemini, &server.url, words);
    server.says(Said::json(200, &answer("{}", "", "STOP")));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!(body["generationConfig"]["responseJsonSchema"], Value::Null);
    assert_eq!(body["generationConfig"]["responseMimeType"], Value::Null);
    let told = body["systemInstruction"]["parts"][0]["text"].as_str().unwrap();
    assert!(told.starts_with("Answer briefly.") && told.contains(&portable_schema().to_string()), "{told}");
}

#[tokio::test]
async fn every_finish_reason_is_told_apart() {
    let (server, called) = start_one().await;
    let misbehaved = |reason: &str| Finish::Misbehaved(reason.to_owned());
    for (reason, expected) in [
        ("STOP", Finish::Complete),
        ("MAX_TOKENS", Finish::Truncated),
        ("SAFETY", Finish::Blocked),
        ("RECITATION", Finish::Blocked),
        ("BLOCKLIST", Finish::Blocked),
        ("PROHIBITED_CONTENT", Finish::Blocked),
        ("SPII", Finish::Blocked),
        ("LANGUAGE", Finish::Blocked),
        ("IMAGE_SAFETY", Finish::Blocked),
        ("MALFORMED_FUNCTION_CALL", misbehaved("MALFORMED_FUNCTION_CALL")),
        ("UNEXPECTED_TOOL_CALL", misbehaved("UNEXPECTED_TOOL_CALL")),
        ("TOO_MANY_TOOL_CALLS", misbehaved("TOO_MANY_TOOL_CALLS")),
        ("OTHER", misbehaved("OTHER")),
        ("FINISH_REASON_UNSPECIFIED", Finish::Unknown("FINISH_REASON_UNSPECIFIED".to_owned())),
        ("BRAND_NEW", Finish::Unknown("BRAND_NEW".to_owned())),
    ] {
        server.says(Said::json(200, &answer("x", "", reason)));
        let whole = called.complete(&plain()).await.unwrap();
        server.says(Said::events(&[pieces(), last(reason)].concat()));
        let came = called.complete(&streamed().0).await.unwrap();
        assert_eq!((&whole.finish, &came.finish), (&expected, &expected), "{reason}");
        assert_eq!((whole.usage, came.usage), (USED, USED), "all of them are paid");
    }
}

#[tokio::test]
async fn thinking_may_eat_the_whole_cap() {
    let (server, called) = start_one().await;
    let body = json!({
        "candidates": [{ "content": { "role": "model" }, "finishReason": "MAX_TOKENS" }],
        "usageMetadata": { "promptTokenCount": 10, "thoughtsTokenCount": 499, "totalTokenCount": 509 }
    });
    for (request, said) in [(plain(), Said::json(200, &body)), (streamed().0, Said::events(&event(&body)))] {
        server.says(said);
        let completion = called.complete(&request).await.unwrap();
        assert_eq!((completion.text.as_str(), completion.finish), ("", Finish::Truncated));
        assert_eq!((completion.usage.output, completion.usage.reasoning), (499, 499));
    }
}

#[tokio::test]
async fn a_blocked_question_is_a_success_without_candidates() {
    let (server, called) = start_one().await;
    let body = json!({
        "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" },
        "usageMetadata": { "promptTokenCount": 10, "totalTokenCount": 10 }
    });
    for (request, said) in [(plain(), Said::json(200, &body)), (streamed().0, Said::events(&event(&body)))] {
        server.says(said);
        let completion = called.complete(&request).await.unwrap();
        assert_eq!((completion.finish, completion.usage.uncached_input), (Finish::Blocked, 10));
    }
    server.says(Said::json(200, &json!({ "usageMetadata": {} })));
    let odd = called.complete(&plain()).await.unwrap();
    assert!(matches!(odd.finish, Finish::Unknown(_)));
    assert_eq!(odd.usage_source, UsageSource::Estimated);
}

#[tokio::test]
async fn a_stream_is_read_piece_by_piece_wherever_it_is_split() {
    for bytes in [1, 7, 64, 10_000] {
        let (server, called) = start_one().await;
        server.says(Said::events(&stream()).split(bytes));
        let (request, came) = streamed();
        let completion = called.complete(&request).await.unwrap();
        assert_eq!((completion.text.as_str(), &completion.finish), ("About ten €.", &Finish::Complete));
        assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
        assert_eq!(completion.served_model.as_deref(), Some("gemini-x-001"));
        assert_eq!(completion.request_id.as_deref(), Some("resp-1"));
        assert_eq!(*came.lock().unwrap(), ["About ", "ten €."]);
        assert_eq!(server.asked()[0].line, "POST /v1beta/models/model-1:streamGenerateContent?alt=sse");
    }
    let (server, called) = start_one().await;
    server.says(Said::events(&stream().replace("\n\n", "\r\n\r\n")));
    assert_eq!(called.complete(&streamed().0).await.unwrap().text, "About ten €.");
}

#[tokio::test]
async fn no_proper_prefix_of_a_stream_is_a_success() {
    let (server, called) = start_one().await;
    let whole = stream();
    let cuts: Vec<usize> = (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)).collect();
    let (server, called, whole) = (&server, &called, whole.as_str());
    let ended: Vec<_> = stream::iter(cuts)
        .map(|cut| async move {
            server.says(Said::events(&whole[..cut]));
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
async fn a_broken_or_silent_stream_keeps_what_came() {
    let (server, called) = start_one().await;
    for text in [pieces(), stream()] {
        server.says(Said::events(&text).broken());
        let (_, partial) = interrupted(called.complete(&streamed().0).await);
        assert_eq!(partial.text, "About ten €.");
        assert!(partial.usage.output >= 302, "thoughts that were told, and what was said: {partial:?}");
    }
    server.says(Said::events(&pieces()).silent());
    let mut request = streamed().0;
    request.idle_timeout = Duration::from_millis(100);
    let (detail, partial) = interrupted(called.complete(&request).await);
    assert!(detail.contains("silent"), "{detail}");
    assert_eq!((partial.usage.uncached_input, partial.usage.reasoning), (1000, 300));
}

#[tokio::test]
async fn an_error_in_the_stream_is_a_failed_attempt() {
    let (server, called) = start_one().await;
    let unavailable = event(&error(503, "UNAVAILABLE", "overloaded", json!([retry_in("3.5s")])));
    server.says(Said::events(&unavailable));
    let (class, wait, _) = rejected(called.complete(&streamed().0).await);
    assert_eq!((class, wait), (Rejection::Overloaded, Some(Duration::from_millis(3500))));
    server.says(Said::events(&[pieces(), unavailable].concat()));
    let (detail, partial) = interrupted(called.complete(&streamed().0).await);
    assert!(detail.contains("UNAVAILABLE"), "{detail}");
    assert_eq!(partial.text, "About ten €.");
}

#[tokio::test]
async fn errors_are_told_apart_by_their_status_word_and_details() {
    use Rejection::*;
    let error = |code, status, details| error(code, status, "text", details);
    let long = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT",
        "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)." } });
    let (day, minute) =
        ("GenerateRequestsPerDayPerProjectPerModel", "GenerateRequestsPerMinutePerProjectPerModel");
    for (status, body, expected) in [
        (400, error(400, "INVALID_ARGUMENT", json!([])), Permanent),
        (400, long, ContextOverflow),
        (400, error(400, "INVALID_ARGUMENT", json!([info("API_KEY_INVALID")])), Auth),
        (400, error(400, "FAILED_PRECONDITION", json!([])), Auth),
        (401, error(401, "UNAUTHENTICATED", json!([])), Auth),
        (403, error(403, "PERMISSION_DENIED", json!([])), Auth),
        (403, error(403, "PERMISSION_DENIED", json!([info("BILLING_DISABLED")])), OutOfMoney),
        (402, error(402, "RESOURCE_EXHAUSTED", json!([])), OutOfMoney),
        (404, error(404, "NOT_FOUND", json!([])), NoSuchModel),
        (429, error(429, "RESOURCE_EXHAUSTED", json!([])), RateLimited),
        (429, error(429, "RESOURCE_EXHAUSTED", json!([quota(minute, "60"), retry_in("1s")])), RateLimited),
        (429, error(429, "RESOURCE_EXHAUSTED", json!([quota(day, "1500"), retry_in("1s")])), QuotaSpent),
        (429, error(429, "RESOURCE_EXHAUSTED", json!([quota(minute, "0")])), QuotaSpent),
        (499, error(499, "CANCELLED", json!([])), Transient),
        (500, error(500, "INTERNAL", json!([])), Transient),
        (503, error(503, "UNAVAILABLE", json!([])), Overloaded),
        (504, error(504, "DEADLINE_EXCEEDED", json!([])), Transient),
        (429, json!([error(429, "RESOURCE_EXHAUSTED", json!([quota(day, "1500")]))]), QuotaSpent),
        (503, json!({}), Overloaded),
        (500, json!("text"), Transient),
        (418, json!({}), Permanent),
        (200, error(503, "UNAVAILABLE", json!([])), Overloaded),
    ] {
        let (server, called) = start_one().await;
        for request in [plain(), streamed().0] {
            server.says(Said::json(status, &body));
            assert_eq!(rejected(called.complete(&request).await).0, expected, "{status} {body}");
        }
        assert_eq!(server.asked().len(), 2, "one attempt each");
    }
}

#[tokio::test]
async fn a_retry_delay_with_fractions_is_heard() {
    let (server, called) = start_one().await;
    let wait = async |details: Value, header: Option<&str>| {
        let mut said = Said::json(429, &error(429, "RESOURCE_EXHAUSTED", "x", details));
        if let Some(header) = header {
            said = said.header("retry-after", header);
        }
        server.says(said);
        rejected(called.complete(&plain()).await).1
    };
    let nanos = Duration::from_nanos(45_837_906_927);
    assert_eq!(
        wait(json!([info("RATE_LIMIT_EXCEEDED"), retry_in("45.837906927s")]), None).await,
        Some(nanos)
    );
    assert_eq!(wait(json!([retry_in("3.5s")]), None).await, Some(Duration::from_millis(3500)));
    assert_eq!(
        wait(json!([retry_in("3.5s")]), Some("9")).await,
        Some(Duration::from_secs(9)),
        "the longer one"
    );
    for bad in [json!([retry_in("soon")]), json!([]), json!(null), json!("x")] {
        assert_eq!(wait(bad, None).await, None);
    }
}

#[tokio::test]
async fn what_was_not_sent_and_what_is_not_known_are_two_things() {
    let called = Called::at(ProviderKind::Gemini, &nobody().await);
    for request in [plain(), streamed().0] {
        assert!(matches!(called.complete(&request).await, Err(CallError::NotSent(_))));
    }
    let (server, called) = start_one().await;
    for request in [plain(), streamed().0] {
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
        server.says(Said::bytes(504, "text/html", b"<html>Time-out</html>".to_vec()));
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
        server.says(Said::bytes(200, "text/html", b"<html>Hello</html>".to_vec()));
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
    }
}

fn wanted(texts: &[&str]) -> EmbedRequest {
    EmbedRequest {
        model: "vectors-1".to_owned(),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        correlation_id: "trace-1".into(),
        timeout: Duration::from_secs(20),
    }
}

#[tokio::test]
async fn nx_7_vectors_come_in_the_order_of_their_texts() {
    let (server, called) = start_one().await;
    let vectors = json!([{ "values": [0.5, 0.25] }, { "values": [1, -1e-3] }]);
    server.says(Said::json(200, &json!({ "embeddings": vectors })));
    let embedded = called.provider.embed(&wanted(&["one text!", "two"])).await.unwrap();
    assert_eq!(embedded.vectors, [[0.5, 0.25], [1.0, -0.001]]);
    assert_eq!((embedded.usage.uncached_input, embedded.usage_source), (3, UsageSource::Estimated));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1beta/models/vectors-1:batchEmbedContents");
    let one = |text: &str| json!({ "model": "models/vectors-1", "content": { "parts": [{ "text": text }] } });
    assert_eq!(asked.body, json!({ "requests": [one("one text!"), one("two")] }));

    server.says(Said::json(200, &json!({ "embedding": vectors[0], "usageMetadata": counts() })));
    let counted = called.provider.embed(&wanted(&["one"])).await.unwrap();
    assert_eq!((counted.vectors, counted.usage_source), (vec![vec![0.5, 0.25]], UsageSource::Provider));
    let asked = server.asked().pop().unwrap();
    assert_eq!((asked.line.as_str(), asked.body), ("POST /v1beta/models/vectors-1:embedContent", one("one")));
}

#[tokio::test]
async fn vectors_that_do_not_fit_are_no_answer() {
    let (server, called) = start_one().await;
    for bad in [
        json!({}),
        json!({ "embeddings": [{ "values": [1] }] }),
        json!({ "embeddings": [{ "values": [1] }, { "values": [1, 2] }] }),
        json!({ "embeddings": [{ "values": [] }, { "values": [] }] }),
        json!({ "embeddings": [{ "values": [1] }, { "values": ["x"] }] }),
        json!({ "embeddings": [{ "values": [1] }, { "values": [1e300] }] }),
    ] {
        server.says(Said::json(200, &bad));
        let result = called.provider.embed(&wanted(&["a", "b"])).await;
        assert!(matches!(result, Err(CallError::Unknown(_))), "{bad} {result:?}");
    }
    server.says(Said::json(404, &error(404, "NOT_FOUND", "x", json!([]))));
    let result = called.provider.embed(&wanted(&["a"])).await;
    assert!(matches!(result, Err(CallError::Rejected { class: Rejection::NoSuchModel, .. })), "{result:?}");
}
