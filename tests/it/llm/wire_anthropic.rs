//! Anthropic messages on the wire.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use longshore::{
    config::{ProviderKind, ProviderSettings, SchemaSupport},
    domain::usage::{Usage, UsageSource},
    llm::contract::{CallError, Finish, Rejection},
};
use serde_json::{Value, json};

use super::fakes::{
    anthropic::{content, end, error, event, message, ping, start, stop, stream},
    raw::{Called, KEY, Raw, Said, adorned, interrupted, nobody, plain, portable_schema, rejected, streamed},
};

const USED: Usage = Usage {
    uncached_input: 30,
    cache_read: 6000,
    cache_write: 200,
    cache_write_1h: 300,
    output: 90,
    reasoning: 40,
};

async fn start_one() -> (Raw, Called) {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Anthropic, &format!("{}/v1", server.url));
    (server, called)
}

#[tokio::test]
async fn a_question_is_asked_as_the_reference_says() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &message("Ten.", "end_turn")).header("request-id", "req_9"));
    let completion = called.complete(&plain()).await.unwrap();
    assert_eq!((completion.text.as_str(), &completion.finish), ("Ten.", &Finish::Complete));
    assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
    assert_eq!(completion.served_model.as_deref(), Some("claude-x-20260901"));
    assert_eq!(completion.served_tier.as_deref(), Some("priority"));
    assert_eq!(completion.request_id.as_deref(), Some("req_9"));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1/messages");
    assert_eq!(asked.header("x-api-key"), Some(KEY));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        asked.body,
        json!({
            "model": "model-1", "max_tokens": 500, "system": "Answer briefly.",
            "messages": [
                { "role": "user", "content": "Hello?" },
                { "role": "assistant", "content": "Yes?" },
                { "role": "user", "content": "What is the price?" }
            ]
        }),
        "no temperature, tier or effort where none is set: newer models refuse a temperature"
    );
}

#[tokio::test]
async fn settings_and_schema_are_sent_where_they_are_set() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &message("{}", "end_turn")));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!((&body["temperature"], &body["service_tier"]), (&json!(0.5), &json!("flex")));
    let output = json!({ "effort": "low", "format": { "type": "json_schema", "schema": portable_schema() } });
    assert_eq!(body["output_config"], output);
    assert_eq!(body["tools"], Value::Null, "newer models refuse a forced tool");
}

#[tokio::test]
async fn a_model_that_takes_no_schema_is_told_it_in_words() {
    let server = Raw::start().await;
    let words = |own: &mut ProviderSettings| own.schema = SchemaSupport::Instructions;
    let called = Called::with(ProviderKind::Anthropic, &server.url, words);
    server.says(Said::json(200, &message("{}", "end_turn")));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!(body["output_config"], json!({ "effort": "low" }));
    let told = body["system"].as_str().unwrap();
    assert!(told.starts_with("Answer briefly.") && told.contains(&portable_schema().to_string()), "{told}");
}

#[tokio::test]
async fn every_finish_reason_is_told_apart() {
    for (reason, expected) in [
        ("end_turn", Finish::Complete),
        ("stop_sequence", Finish::Complete),
        ("max_tokens", Finish::Truncated),
        ("model_context_window_exceeded", Finish::ContextFull),
        ("refusal", Finish::Refused("refusal".to_owned())),
        ("pause_turn", Finish::Unknown("pause_turn".to_owned())),
        ("tool_use", Finish::Unknown("tool_use".to_owned())),
        ("brand_new", Finish::Unknown("brand_new".to_owned())),
    ] {
        let (server, called) = start_one().await;
        server.says(Said::json(200, &message("x", reason)));
        let whole = called.complete(&plain()).await.unwrap();
        let text = [start(), content(), end(reason, json!({ "output_tokens": 90 })), stop()].concat();
        server.says(Said::events(&text));
        let came = called.complete(&streamed().0).await.unwrap();
        assert_eq!((&whole.finish, &came.finish), (&expected, &expected), "{reason}");
        assert_eq!((whole.usage.output, came.usage.output), (90, 90), "a refusal is paid, too");
    }
    let (server, called) = start_one().await;
    let mut refused = message("", "refusal");
    refused["stop_details"] = json!({ "category": "cyber", "explanation": "No malware." });
    server.says(Said::json(200, &refused));
    let told = called.complete(&plain()).await.unwrap().finish;
    assert_eq!(told, Finish::Refused("cyber: No malware.".to_owned()));
}

#[tokio::test]
async fn a_stream_is_read_piece_by_piece_wherever_it_is_split() {
    for bytes in [1, 7, 64, 10_000] {
        let (server, called) = start_one().await;
        server.says(Said::events(&stream()).split(bytes).header("request-id", "req_9"));
        let (request, pieces) = streamed();
        let completion = called.complete(&request).await.unwrap();
        assert_eq!((completion.text.as_str(), &completion.finish), ("About ten €.", &Finish::Complete));
        assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
        assert_eq!(completion.served_model.as_deref(), Some("claude-x-20260901"));
        assert_eq!(completion.served_tier.as_deref(), Some("standard"));
        assert_eq!(completion.request_id.as_deref(), Some("req_9"));
        assert_eq!(*pieces.lock().unwrap(), ["About ", "ten €."]);
        assert_eq!(server.asked()[0].body["stream"], true);
    }
}

#[tokio::test]
async fn the_counts_at_the_end_override_those_at_the_beginning() {
    let (server, called) = start_one().await;
    let late = json!({
        "input_tokens": 31, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 400, "output_tokens": 5,
        "cache_creation": null
    });
    server.says(Said::events(&[start(), content(), end("end_turn", late), stop()].concat()));
    let used = called.complete(&streamed().0).await.unwrap().usage;
    let expected = Usage {
        uncached_input: 31,
        cache_read: 7,
        cache_write: 100,
        cache_write_1h: 300,
        output: 5,
        reasoning: 0,
    };
    assert_eq!(used, expected);
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
        let known = partial.finish == Finish::Complete;
        assert!(known == (partial.usage_source == UsageSource::Provider), "{partial:?}");
        assert!(partial.usage.uncached_input > 0, "what was asked is paid: {partial:?}");
    }
}

#[tokio::test]
async fn a_broken_or_silent_stream_keeps_what_came() {
    let (server, called) = start_one().await;
    let begun = [start(), content()].concat();
    server.says(Said::events(&begun).broken());
    let (_, partial) = interrupted(called.complete(&streamed().0).await);
    assert_eq!((partial.text.as_str(), partial.usage_source), ("About ten €.", UsageSource::Estimated));
    assert_eq!((partial.usage.uncached_input, partial.usage.cache_read, partial.usage.output), (30, 6000, 3));
    assert_eq!(partial.served_model.as_deref(), Some("claude-x-20260901"));

    server.says(Said::events(&begun).silent());
    let mut request = streamed().0;
    request.idle_timeout = Duration::from_millis(100);
    let (detail, partial) = interrupted(called.complete(&request).await);
    assert!(detail.contains("silent"), "{detail}");
    assert_eq!(partial.text, "About ten €.");
}

#[tokio::test]
async fn signs_of_life_alone_do_not_keep_a_stream_for_ever() {
    let (server, called) = start_one().await;
    server.says(Said::events(&[start(), ping().repeat(4_000)].concat()).split(ping().len() * 4).silent());
    let mut request = streamed().0;
    request.timeout = Duration::from_millis(300);
    let (detail, _) = interrupted(called.complete(&request).await);
    assert!(detail.contains("silent for"), "{detail}");
}

#[tokio::test]
async fn an_error_in_the_stream_is_a_failed_attempt() {
    let (server, called) = start_one().await;
    let overloaded = event(&error("overloaded_error", "Overloaded"));
    server.says(Said::events(&[ping(), overloaded.clone()].concat()));
    assert_eq!(
        rejected(called.complete(&streamed().0).await).0,
        Rejection::Overloaded,
        "nothing was generated"
    );
    server.says(Said::events(&[start(), content(), overloaded].concat()));
    let (detail, partial) = interrupted(called.complete(&streamed().0).await);
    assert!(detail.contains("overloaded_error"), "{detail}");
    assert_eq!(partial.text, "About ten €.");
    let never_seen = event(&json!({ "type": "error", "error": { "type": "new_error" } }));
    server.says(Said::events(&never_seen));
    assert_eq!(rejected(called.complete(&streamed().0).await).0, Rejection::Transient);
}

#[tokio::test]
async fn long_answers_are_streamed_whoever_reads_them() {
    let (server, called) = start_one().await;
    for (model, max_output, streams) in [
        ("claude-x", 21_333, false),
        ("claude-x", 21_334, true),
        ("claude-opus-4-1-20250805", 8_192, false),
        ("claude-opus-4-1-20250805", 8_193, true),
        ("claude-opus-4-5", 8_193, false),
    ] {
        server.says(if streams {
            Said::events(&stream())
        } else {
            Said::json(200, &message("x", "end_turn"))
        });
        let mut request = plain();
        (request.model, request.max_output) = (model.to_owned(), max_output);
        assert_eq!(called.complete(&request).await.unwrap().finish, Finish::Complete);
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.body["stream"] == true, streams, "{model} {max_output}");
    }
}

#[tokio::test]
async fn errors_are_told_apart_by_their_type() {
    use Rejection::*;
    let spent = json!({ "type": "error", "error": {
        "type": "rate_limit_error", "message": "spend", "details": { "error_code": "enforced_spend_limit_reached" }
    } });
    for (status, body, expected) in [
        (400, error("invalid_request_error", "temperature: not allowed"), Permanent),
        (
            400,
            error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            ContextOverflow,
        ),
        (
            400,
            error("invalid_request_error", "You have reached your specified API usage limits."),
            OutOfMoney,
        ),
        (
            400,
            error("invalid_request_error", "Your credit balance is too low to access the API."),
            OutOfMoney,
        ),
        (401, error("authentication_error", "invalid x-api-key sk-test-key"), Auth),
        (403, error("permission_error", "no"), Auth),
        (402, error("billing_error", "no"), OutOfMoney),
        (404, error("not_found_error", "model: x"), NoSuchModel),
        (409, error("conflict_error", "x"), Transient),
        (413, error("request_too_large", "x"), Permanent),
        (429, error("rate_limit_error", "x"), RateLimited),
        (429, spent, OutOfMoney),
        (500, error("api_error", "x"), Transient),
        (504, error("timeout_error", "x"), Transient),
        (529, error("overloaded_error", "x"), Overloaded),
        (418, error("brand_new_error", "x"), Permanent),
        (503, json!({}), Overloaded),
        (529, json!(null), Overloaded),
        (500, json!("text"), Transient),
        (302, json!({}), Permanent),
        (200, error("overloaded_error", "x"), Overloaded),
    ] {
        let (server, called) = start_one().await;
        for request in [plain(), streamed().0] {
            server.says(Said::json(status, &body));
            let (class, _, detail) = rejected(called.complete(&request).await);
            assert_eq!(class, expected, "{status} {body}");
            assert!(!detail.contains(KEY), "{detail}");
        }
        assert_eq!(server.asked().len(), 2, "one attempt each");
    }
}

#[tokio::test]
async fn wait_hints_are_heard() {
    let wait = async |said: Said| {
        let (server, called) = start_one().await;
        server.says(said);
        let (class, wait, _) = rejected(called.complete(&plain()).await);
        (class, wait)
    };
    let slow = || Said::json(429, &error("rate_limit_error", "x"));
    assert_eq!(wait(slow().header("retry-after", "7")).await.1, Some(Duration::from_secs(7)));
    assert_eq!(wait(slow().header("retry-after", "0.5")).await.1, Some(Duration::from_millis(500)));
    let window = slow()
        .header("date", "Sat, 21 Nov 2026 10:00:00 GMT")
        .header("anthropic-ratelimit-requests-remaining", "12")
        .header("anthropic-ratelimit-requests-reset", "2026-11-21T11:00:00Z")
        .header("anthropic-ratelimit-input-tokens-remaining", "0")
        .header("anthropic-ratelimit-input-tokens-reset", "2026-11-21T10:00:42Z");
    assert_eq!(wait(window).await.1, Some(Duration::from_secs(42)), "by the provider's clock, not by ours");
    let odd = slow().header("anthropic-ratelimit-tokens-remaining", "0");
    assert_eq!(wait(odd.header("anthropic-ratelimit-tokens-reset", "2026-11-21T10:00:42Z")).await.1, None);
    let busy = || Said::json(529, &error("overloaded_error", "x"));
    assert_eq!(wait(busy().header("x-should-retry", "false")).await.0, Rejection::NotAgain);
    let bad = Said::json(400, &error("invalid_request_error", "x"));
    assert_eq!(wait(bad.header("x-should-retry", "true")).await.0, Rejection::Transient);
}

#[tokio::test]
async fn what_was_not_sent_and_what_is_not_known_are_two_things() {
    let called = Called::at(ProviderKind::Anthropic, &nobody().await);
    for request in [plain(), streamed().0] {
        assert!(matches!(called.complete(&request).await, Err(CallError::NotSent(_))));
    }
    let (server, called) = start_one().await;
    for request in [plain(), streamed().0] {
        // It closes the connection without a word.
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
        server.says(Said::bytes(502, "text/html", b"<html>Bad gateway</html>".to_vec()));
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
        server.says(Said::bytes(200, "text/html", b"<html>Hello</html>".to_vec()));
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
        server.says(Said::json(200, &message("x", "end_turn")).broken());
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
    }
    // A server that does not stream at all.
    server.says(Said::json(200, &message("Ten.", "end_turn")));
    let (request, pieces) = streamed();
    assert_eq!(called.complete(&request).await.unwrap().finish, Finish::Complete);
    assert_eq!(*pieces.lock().unwrap(), ["Ten."]);
}
