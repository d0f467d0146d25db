//! Streamed chat completions: what proves that one is whole, and what is left of one that is not.

use std::time::{Duration, Instant};

use longshore::{
    config::ProviderKind,
    domain::usage::UsageSource,
    llm::wire::{CallError, Completion, Finish, Rejection},
};
use serde_json::json;

use super::fakes::{
    openai::{
        TEXT, USED, chat_usage, chunk, chunked, completion, counts, data, delta, done, error, finished, said,
        stream, with,
    },
    raw::{Called, Raw, Said, interrupted, rejected, streamed},
};

async fn start_one() -> (Raw, Called) {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Openai, &format!("{}/v1", server.url));
    (server, called)
}

/// Asks once for what the server says.
async fn ask(said: Said) -> (Result<Completion, CallError>, String) {
    let (server, called) = start_one().await;
    server.says(said);
    let (request, pieces) = streamed();
    let result = called.complete(&request).await;
    let came = pieces.lock().unwrap().concat();
    (result, came)
}

#[tokio::test]
async fn a_stream_is_read_piece_by_piece_wherever_it_is_split() {
    let windows = stream().replace('\n', "\r\n");
    for bytes in [1, 2, 7, 64, 10_000] {
        for said in [
            Said::events(&stream()).split(bytes),
            Said::events(&windows).split(bytes),
            chunked(stream().as_bytes(), bytes, true).split(bytes),
        ] {
            let (server, called) = start_one().await;
            server.says(said.header("x-request-id", "req_9"));
            let (request, pieces) = streamed();
            let completion = called.complete(&request).await.unwrap();
            assert_eq!((completion.text.as_str(), &completion.finish), (TEXT, &Finish::Complete));
            assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
            assert_eq!(completion.served_model.as_deref(), Some("gpt-5-2025-08-07"));
            assert_eq!(completion.served_tier.as_deref(), Some("flex"));
            assert_eq!(completion.request_id.as_deref(), Some("req_9"));
            assert_eq!(*pieces.lock().unwrap(), ["About ", "ten € ", "– 十."]);
            let body = &server.asked()[0].body;
            assert_eq!(
                (&body["stream"], &body["stream_options"]),
                (&json!(true), &json!({ "include_usage": true }))
            );
        }
    }
}

/// Every way of cutting a good stream short, cleanly or not, is a failure, and what was handed on is a beginning of
/// the answer.
#[tokio::test]
async fn no_cut_stream_is_ever_a_success() {
    let whole = stream();
    let (server, called) = start_one().await;
    for at in 0..whole.len() {
        let bytes = &whole.as_bytes()[..at];
        let events = || Said::bytes(200, "text/event-stream", bytes.to_vec());
        server.says(match at % 3 {
            0 => events(),
            1 => events().broken(),
            _ => chunked(bytes, 100, false),
        });
        let (request, pieces) = streamed();
        let result = called.complete(&request).await;
        let came = pieces.lock().unwrap().concat();
        assert!(TEXT.starts_with(&came), "cut at {at}: {came}");
        match result {
            Err(CallError::Interrupted { partial, .. }) => {
                assert_eq!(partial.text, came, "cut at {at}");
                assert_ne!(partial.finish, Finish::Complete);
                let told = at >= whole.len() - done().len();
                let source = if told { UsageSource::Provider } else { UsageSource::Estimated };
                assert_eq!(partial.usage_source, source, "cut at {at}");
                assert!(
                    partial.usage.uncached_input > 0 && partial.usage.output >= 1,
                    "cut at {at}: {partial:?}"
                );
            }
            Err(CallError::Unknown(_)) => assert_eq!(came, "", "cut at {at}"),
            other => panic!("cut at {at}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn both_proofs_are_needed() {
    let (result, _) = ask(Said::events(&[said(), done()].concat())).await;
    assert_eq!(result.unwrap().finish, Finish::Unknown("none".into()), "no finish reason");
    let (result, _) = ask(Said::events(&[said(), finished(""), done()].concat())).await;
    assert_eq!(result.unwrap().finish, Finish::Unknown("none".into()), "an empty one");
    let (result, came) = ask(Said::events(&[said(), finished("stop")].concat())).await;
    let (_, partial) = interrupted(result);
    assert_eq!((partial.text.as_str(), came.as_str()), (TEXT, TEXT));
    let (result, _) = ask(Said::events(&done())).await;
    assert_eq!(result.unwrap().finish, Finish::Unknown("none".into()), "nothing at all");
    let (result, _) = ask(Said::events("")).await;
    assert!(matches!(result, Err(CallError::Unknown(_))));
}

#[tokio::test]
async fn every_finish_reason_is_told_apart() {
    for (reason, expected) in [
        ("length", Finish::Truncated),
        ("content_filter", Finish::Blocked),
        ("tool_calls", Finish::Unknown("tool_calls".into())),
    ] {
        let (result, _) = ask(Said::events(&[said(), finished(reason), counts(), done()].concat())).await;
        let came = result.unwrap();
        assert_eq!((came.finish, came.usage), (expected, USED), "{reason}");
    }
    let refused = [
        delta(&json!({ "refusal": "I " })),
        delta(&json!({ "refusal": "cannot." })),
        finished("stop"),
        done(),
    ];
    let (result, came) = ask(Said::events(&refused.concat())).await;
    assert_eq!((result.unwrap().finish, came.as_str()), (Finish::Refused("I cannot.".into()), ""));
}

/// Pitfall 8: without the counts, what was asked and what came is estimated, and marked as such.
#[tokio::test]
async fn a_stream_without_counts_is_estimated() {
    let (result, _) = ask(Said::events(&[said(), finished("stop"), done()].concat())).await;
    let whole = result.unwrap();
    assert_eq!((whole.finish, whole.usage_source), (Finish::Complete, UsageSource::Estimated));
    assert!(whole.usage.uncached_input >= 10 && whole.usage.output == 4, "{:?}", whole.usage);
    // The reasoning of small servers is output, too, and generated before any text.
    let thought = delta(&json!({ "reasoning_content": "0123456789012345678901234567890123456789" }));
    let (result, came) = ask(Said::events(&thought)).await;
    let (_, partial) = interrupted(result);
    assert_eq!((partial.usage.output, partial.usage_source, came.as_str()), (10, UsageSource::Estimated, ""));
}

#[tokio::test]
async fn counts_that_came_before_the_cut_are_kept() {
    let (result, _) = ask(Said::events(&[said(), finished("stop"), counts()].concat())).await;
    let (detail, partial) = interrupted(result);
    assert_eq!((partial.usage, partial.usage_source), (USED, UsageSource::Provider), "{detail}");
    // Counts on every chunk (vLLM) tell what was until then, not what is billed.
    let mut running = chunk(
        &json!([{ "index": 0, "delta": { "content": "About ten euros or so." }, "finish_reason": null }]),
    );
    running["usage"] = chat_usage();
    running["usage"]["completion_tokens"] = json!(2);
    let (result, _) = ask(Said::events(&data(&running))).await;
    let (_, partial) = interrupted(result);
    assert_eq!((partial.usage.input(), partial.usage.output), (1000, 6));
    assert_eq!(partial.usage_source, UsageSource::Estimated);
}

#[tokio::test]
async fn chunks_of_other_servers_are_understood() {
    let filter = json!({ "id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [{ "prompt_index": 0 }] });
    let azure = [data(&filter), stream()].concat();
    let nulls =
        said().replace("\"index\":0,", "").replace("\"finish_reason\":null", "\"finish_reason\":\"\"");
    let vllm = [nulls, finished("stop"), counts(), done()].concat();
    // Other choices, unknown events, comments and metadata between them.
    let more =
        data(&chunk(&json!([{ "index": 1, "delta": { "content": "other" }, "finish_reason": "length" }])));
    let noisy = [": OPENROUTER PROCESSING\n\nretry: 3000\n\nid: 7\n\n".to_owned(), more, stream()].concat();
    for text in [azure, vllm, noisy] {
        let (result, came) = ask(Said::events(&text)).await;
        let whole = result.unwrap();
        assert_eq!(
            (whole.text.as_str(), whole.finish, came.as_str()),
            (TEXT, Finish::Complete, TEXT),
            "{text}"
        );
        assert_eq!((whole.usage, whole.served_model.as_deref()), (USED, Some("gpt-5-2025-08-07")));
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_what_it_is_until_something_was_made() {
    for (event, class) in [
        (data(&error("server_error", "rate_limit_exceeded")), Rejection::RateLimited),
        (data(&error("server_error", "")), Rejection::Transient),
        (data(&error("invalid_request_error", "context_length_exceeded")), Rejection::ContextOverflow),
        (data(&json!({ "object": "error", "message": "m", "code": 503 })), Rejection::Overloaded),
        (
            "event: error\ndata: {\"message\":\"m\",\"code\":\"slow_down\"}\n\n".to_owned(),
            Rejection::RateLimited,
        ),
    ] {
        let (result, _) = ask(Said::events(&event)).await;
        assert_eq!(rejected(result).0, class, "{event}");
        let (result, came) =
            ask(Said::events(&[said(), event, finished("stop"), counts(), done()].concat())).await;
        let (_, partial) = interrupted(result);
        assert_eq!((partial.text.as_str(), partial.usage_source), (came.as_str(), UsageSource::Estimated));
    }
    let (result, _) = ask(Said::events(&[said(), "data: {\"choices\": [\n\n".to_owned()].concat())).await;
    assert!(interrupted(result).0.contains("JSON"));
    let (result, _) = ask(Said::bytes(200, "text/event-stream", b"data: \xff\xfe\n\n".to_vec())).await;
    assert!(matches!(result, Err(CallError::Unknown(_))), "no UTF-8");
}

#[tokio::test]
async fn what_is_no_stream_is_taken_when_it_is_whole() {
    let (result, came) = ask(Said::json(200, &completion("Ten.", &json!("stop")))).await;
    let whole = result.unwrap();
    assert_eq!((whole.usage, whole.usage_source), (USED, UsageSource::Provider));
    assert_eq!((whole.text.as_str(), came.as_str()), ("Ten.", "Ten."), "billed: not to be bought again");
    let text = completion("Ten.", &json!("stop")).to_string();
    let (result, _) = ask(Said::bytes(200, "application/json", text[..text.len() - 1].into())).await;
    assert!(matches!(result, Err(CallError::Unknown(_))), "cut");
    let (result, _) = ask(Said::bytes(200, "text/html", b"<html>data: [DONE]\n\n</html>".to_vec())).await;
    assert!(matches!(result, Err(CallError::Unknown(_))));
    let limited = Said::json(429, &error("requests", "rate_limit_exceeded")).header("retry-after", "2");
    let (class, wait, _) = rejected(ask(limited).await.0);
    assert_eq!((class, wait), (Rejection::RateLimited, Some(Duration::from_secs(2))));
}

#[tokio::test]
async fn silence_ends_a_stream() {
    for (before, idle, timeout) in [("", 60_000, 200), (&said(), 200, 60_000)] {
        let (server, called) = start_one().await;
        server.says(Said::events(before).silent());
        let (mut request, _) = streamed();
        (request.idle_timeout, request.timeout) =
            (Duration::from_millis(idle), Duration::from_millis(timeout));
        let begun = Instant::now();
        match called.complete(&request).await {
            Err(CallError::Unknown(_)) if before.is_empty() => {}
            Err(CallError::Interrupted { partial, .. }) => assert_eq!(partial.text, TEXT),
            other => panic!("{other:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "after {:?}", begun.elapsed());
    }
}

/// Comments and empty pieces keep a connection open; they are no answer.
#[tokio::test]
async fn signs_of_life_are_not_enough() {
    for sign in [": ping\n\n".to_owned(), delta(&json!({ "content": "" }))] {
        let (server, called) = start_one().await;
        server.says(Said::events(&sign.repeat(20_000)).split(sign.len()));
        let (mut request, _) = streamed();
        (request.idle_timeout, request.timeout) = (Duration::from_millis(150), Duration::from_millis(300));
        let begun = Instant::now();
        assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
}

/// An error in place of a stream that comes byte by byte does not outlive the call's time.
#[tokio::test]
async fn an_error_that_trickles_is_given_up() {
    let (server, called) = start_one().await;
    let page = "x".repeat(60_000);
    server.says(Said::bytes(500, "text/html", page.into_bytes()).split(1));
    let (mut request, _) = streamed();
    request.timeout = Duration::from_millis(200);
    let begun = Instant::now();
    assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
    assert!(begun.elapsed() < Duration::from_secs(20), "after {:?}", begun.elapsed());
}

/// After `[DONE]` nothing is waited for, whatever the server does with the connection.
#[tokio::test]
async fn the_end_is_the_end() {
    for said in [Said::events(&stream()).silent(), Said::events(&stream()).broken()] {
        let begun = Instant::now();
        let (result, _) = ask(said).await;
        assert_eq!(result.unwrap().finish, Finish::Complete);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn servers_that_know_no_stream_options_are_not_told_any() {
    let (server, called) = start_one().await;
    let called = with(called, |settings| settings.stream_usage = false);
    server.says(Said::events(&[said(), finished("stop"), done()].concat()));
    called.complete(&streamed().0).await.unwrap();
    assert_eq!(server.asked()[0].body.get("stream_options"), None);
}
