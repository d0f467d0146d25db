//! Chat completions on the wire: what OpenAI, Azure, vLLM, llama.cpp and others are asked, and what is made of what
//! they say.

use std::time::Duration;

use longshore::{
    config::{KeyHeader, ProviderKind},
    domain::{timestamp::Timestamp, usage::UsageSource},
    http::Http,
    llm::{
        contract::{CallError, Finish, Rejection},
        money::pricing::{PriceTable, Used},
        vendors,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::fakes::{
    openai::{USED, completion, error, with},
    raw::{Called, KEY, Raw, Said, adorned, nobody, plain, portable_schema, rejected},
};

async fn start_one() -> (Raw, Called) {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Openai, &format!("{}/v1", server.url));
    (server, called)
}

#[tokio::test]
async fn a_question_is_asked_as_the_reference_says() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &completion("Ten.", &json!("stop"))).header("x-request-id", "req_9"));
    let completion = called.complete(&plain()).await.unwrap();
    assert_eq!((completion.text.as_str(), &completion.finish), ("Ten.", &Finish::Complete));
    assert_eq!((completion.usage, completion.usage_source), (USED, UsageSource::Provider));
    assert_eq!(completion.served_model.as_deref(), Some("gpt-5-2025-08-07"));
    assert_eq!(completion.served_tier.as_deref(), Some("flex"));
    assert_eq!(completion.request_id.as_deref(), Some("req_9"));
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v1/chat/completions");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((asked.header("api-key"), asked.header("x-client-request-id")), (None, Some("trace-1")));
    assert_eq!(
        asked.body,
        json!({
            "model": "model-1", "max_completion_tokens": 500,
            "messages": [
                { "role": "system", "content": "Answer briefly." },
                { "role": "user", "content": "Hello?" },
                { "role": "assistant", "content": "Yes?" },
                { "role": "user", "content": "What is the price?" }
            ]
        }),
        "nothing that was not asked for: reasoning models refuse a temperature"
    );
}

#[tokio::test]
async fn settings_and_schema_are_sent_where_they_are_set() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &completion("{}", &json!("stop"))));
    called.complete(&adorned()).await.unwrap();
    let body = &server.asked()[0].body;
    assert_eq!((&body["temperature"], &body["service_tier"]), (&json!(0.5), &json!("flex")));
    assert_eq!(body["reasoning_effort"], "low");
    let own = json!({ "name": "reading", "strict": true, "schema": portable_schema() });
    assert_eq!(body["response_format"], json!({ "type": "json_schema", "json_schema": own }));
}

#[tokio::test]
async fn azure_has_deployments_a_version_and_its_own_header() {
    let server = Raw::start().await;
    let base = format!("{}/openai/deployments/our-mini/", server.url);
    let called = with(Called::at(ProviderKind::Openai, &base), |settings| {
        settings.key_header = KeyHeader::ApiKey;
        settings.api_version = Some("2026-10-21".to_owned());
    });
    // The filter of the answer was away: the answer counts all the same.
    let mut answer = completion("Ten.", &json!("stop"));
    answer["model"] = json!("gpt-4o-mini-2024-07-18");
    answer["prompt_filter_results"] = json!([{ "prompt_index": 0, "content_filter_results": {} }]);
    answer["choices"][0]["content_filter_results"] =
        json!({ "error": { "code": "content_filter_error", "message": "The contents are not filtered" } });
    server.says(Said::json(200, &answer));
    let completion = called.complete(&plain()).await.unwrap();
    assert_eq!(completion.finish, Finish::Complete);
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /openai/deployments/our-mini/chat/completions?api-version=2026-10-21");
    assert_eq!((asked.header("api-key"), asked.header("authorization")), (Some(KEY), None));
    // Pitfall 4: a deployment's name is in no table, the answer's model is.
    let prices = PriceTable::load(None).unwrap();
    let at = Timestamp::parse_rfc3339("2026-11-21T12:00:00Z").unwrap();
    let cost = |model| prices.cost(&Used { model, tier: None, usage: &completion.usage, at });
    assert_eq!(cost("our-mini"), None);
    assert!(cost(completion.served_model.as_deref().unwrap()).is_some());

    let filtered = json!({ "error": {
        "message": "The response was filtered", "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": { "code": "ResponsibleAIPolicyViolation" }
    } });
    server.says(Said::json(400, &filtered));
    assert_eq!(rejected(called.complete(&plain()).await).0, Rejection::Blocked);
    server.says(Said::json(404, &error("", "DeploymentNotFound")));
    assert_eq!(rejected(called.complete(&plain()).await).0, Rejection::NoSuchModel);
    server.says(
        Said::json(429, &error("", "429")).header("retry-after", "9").header("retry-after-ms", "8500.5"),
    );
    let (class, wait, _) = rejected(called.complete(&plain()).await);
    assert_eq!((class, wait), (Rejection::RateLimited, Some(Duration::from_micros(8_500_500))));
}

#[tokio::test]
async fn only_stop_is_an_answer() {
    for (reason, expected) in [
        (json!("stop"), Finish::Complete),
        (json!("length"), Finish::Truncated),
        (json!("content_filter"), Finish::Blocked),
        (json!("tool_calls"), Finish::Unknown("tool_calls".into())),
        (json!("function_call"), Finish::Unknown("function_call".into())),
        (json!("brand_new"), Finish::Unknown("brand_new".into())),
        (json!(""), Finish::Unknown("none".into())),
        (Value::Null, Finish::Unknown("none".into())),
    ] {
        let (server, called) = start_one().await;
        server.says(Said::json(200, &completion("x", &reason)));
        let whole = called.complete(&plain()).await.unwrap();
        assert_eq!((&whole.finish, whole.usage), (&expected, USED), "{reason}: paid all the same");
    }
    let (server, called) = start_one().await;
    let mut refused = completion("", &json!("stop"));
    refused["choices"][0]["message"] =
        json!({ "role": "assistant", "content": null, "refusal": "I cannot." });
    server.says(Said::json(200, &refused));
    let whole = called.complete(&plain()).await.unwrap();
    assert_eq!((whole.finish, whole.usage), (Finish::Refused("I cannot.".into()), USED));
}

#[tokio::test]
async fn what_compatible_servers_leave_out_is_estimated_or_unknown() {
    let (server, called) = start_one().await;
    for lack in [json!(null), json!({}), json!({ "prompt_tokens": null, "completion_tokens": null })] {
        let mut answer = completion("About ten.", &json!("stop"));
        answer["usage"] = lack;
        server.says(Said::json(200, &answer));
        let whole = called.complete(&plain()).await.unwrap();
        assert_eq!((whole.finish, whole.usage_source), (Finish::Complete, UsageSource::Estimated));
        assert!(whole.usage.uncached_input > 5 && whole.usage.output == 3, "{:?}", whole.usage);
    }
    for empty in [json!({ "choices": [] }), json!({ "choices": null }), json!({}), json!([]), json!("hm")] {
        server.says(Said::json(200, &empty));
        let whole = called.complete(&plain()).await.unwrap();
        assert_eq!(whole.finish, Finish::Unknown("none".into()), "{empty}");
    }
}

#[tokio::test]
async fn an_error_is_an_error_whatever_its_status() {
    let (server, called) = start_one().await;
    for (status, body, expected) in [
        (200, json!({ "error": { "message": "upstream", "code": 429 } }), Rejection::RateLimited),
        (200, json!({ "object": "error", "message": "m", "type": "X", "code": 400 }), Rejection::Permanent),
        (
            400,
            json!({ "object": "error", "message": "m", "type": "BadRequestError", "code": 400 }),
            Rejection::Permanent,
        ),
        (400, error("invalid_request_error", "context_length_exceeded"), Rejection::ContextOverflow),
        (401, error("invalid_request_error", "invalid_api_key"), Rejection::Auth),
        (402, error("", "no_credits"), Rejection::OutOfMoney),
        (404, error("invalid_request_error", "model_not_found"), Rejection::NoSuchModel),
        (429, error("insufficient_quota", "insufficient_quota"), Rejection::OutOfMoney),
        (429, error("insufficient_quota", "organization_spend_limit_exceeded"), Rejection::OutOfMoney),
        (429, error("requests", "rate_limit_exceeded"), Rejection::RateLimited),
        (500, error("server_error", ""), Rejection::Transient),
        (503, error("service_unavailable_error", "server_is_overloaded"), Rejection::Overloaded),
        (529, json!({}), Rejection::Overloaded),
    ] {
        server.says(Said::json(status, &body));
        assert_eq!(rejected(called.complete(&plain()).await).0, expected, "{status} {body}");
    }
    for (status, page, expected) in [
        (500, "<html>Internal <b>error</b></html>", Rejection::Transient),
        (503, "", Rejection::Overloaded),
        (413, "Request Entity Too Large", Rejection::Permanent),
    ] {
        server.says(Said::bytes(status, "text/html", page.as_bytes().to_vec()));
        let (class, _, detail) = rejected(called.complete(&plain()).await);
        assert_eq!(class, expected);
        assert_eq!(detail, format!("HTTP {status} {page}").trim());
    }
    server.says(Said::bytes(504, "text/html", b"<html>Gateway time-out</html>".to_vec()));
    assert!(
        matches!(called.complete(&plain()).await, Err(CallError::Unknown(_))),
        "maybe answered behind it"
    );
    server.says(Said::bytes(200, "text/html", b"<html>Welcome</html>".to_vec()));
    assert!(matches!(called.complete(&plain()).await, Err(CallError::Unknown(_))));
    server.says(Said::bytes(200, "application/json", b"{\"choices\":[{\"mess".to_vec()));
    assert!(matches!(called.complete(&plain()).await, Err(CallError::Unknown(_))), "cut, and called whole");
}

#[tokio::test]
async fn nothing_is_asked_twice_behind_our_back() {
    let (server, called) = start_one().await;
    // Out of script: the connection closes after the request was read.
    assert!(matches!(called.complete(&plain()).await, Err(CallError::Unknown(_))));
    server.says(Said::json(200, &completion("Ten.", &json!("stop"))).broken());
    assert!(matches!(called.complete(&plain()).await, Err(CallError::Unknown(_))));
    let elsewhere = format!("{}/v1/elsewhere", server.url);
    server.says(Said::json(307, &json!({})).header("location", &elsewhere));
    assert_eq!(rejected(called.complete(&plain()).await).0, Rejection::Permanent);
    assert_eq!(server.asked().len(), 3);
    let gone = Called::at(ProviderKind::Openai, &nobody().await);
    assert!(matches!(gone.complete(&plain()).await, Err(CallError::NotSent(_))));
    let keyless = with(Called::at(ProviderKind::Openai, &server.url), |settings| {
        settings.api_key = Some(longshore::config::secret::SecretRef("file:/nowhere/key".to_owned()));
    });
    assert!(matches!(keyless.complete(&plain()).await, Err(CallError::NoKey(_))));
    assert_eq!(server.asked().len(), 3);
}

/// A pooled connection that is closed while it is written to is where clients like to repeat a request by themselves.
#[tokio::test]
async fn a_kept_connection_that_dies_is_not_a_second_chance() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let requests = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; 64 * 1024];
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        let body = completion("Ten.", &json!("stop")).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        // The second one is read and never answered.
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        drop(socket);
        // Would there be a third, it would come here.
        tokio::time::timeout(Duration::from_millis(300), listener.accept()).await.is_err()
    });
    let called = Called::at(ProviderKind::Openai, &base);
    let provider = vendors::provider(&called.settings, &Http::new().unwrap()).unwrap();
    provider.complete(&plain()).await.unwrap();
    assert!(matches!(provider.complete(&plain()).await, Err(CallError::Unknown(_))));
    assert!(requests.await.unwrap(), "the request was written once more on another connection");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up_in_time() {
    let (server, called) = start_one().await;
    server.says(Said::json(200, &completion("Ten.", &json!("stop"))).silent());
    let mut request = plain();
    request.timeout = Duration::from_millis(200);
    let begun = std::time::Instant::now();
    assert!(matches!(called.complete(&request).await, Err(CallError::Unknown(_))));
    assert!(begun.elapsed() < Duration::from_secs(10));
}
