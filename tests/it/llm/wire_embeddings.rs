//! Vectors of texts on the wire of OpenAI and its like.

use std::time::Duration;

use longshore::{
    config::ProviderKind,
    domain::usage::{Usage, UsageSource},
    llm::contract::{CallError, EmbedRequest, Rejection},
};
use serde_json::{Value, json};

use super::fakes::{
    openai::error,
    raw::{Called, KEY, Raw, Said},
};

fn request() -> EmbedRequest {
    EmbedRequest {
        model: "text-embedding-3-small".to_owned(),
        texts: vec!["first".to_owned(), "second text".to_owned()],
        correlation_id: "trace-1".into(),
        timeout: Duration::from_secs(20),
    }
}

fn answer(data: &Value, usage: &Value) -> Said {
    let body = json!({ "object": "list", "model": "text-embedding-3-small", "data": data, "usage": usage });
    Said::json(200, &body).header("x-request-id", "req_9")
}

fn item(index: u64, vector: &Value) -> Value {
    json!({ "object": "embedding", "index": index, "embedding": vector })
}

#[tokio::test]
async fn vectors_come_in_the_order_of_their_texts() {
    for kind in [ProviderKind::Openai, ProviderKind::OpenaiResponses] {
        let server = Raw::start().await;
        let called = Called::at(kind, &format!("{}/v1", server.url));
        let data = json!([item(1, &json!([0.5, -1, 2e-3])), item(0, &json!([1, 0, 0]))]);
        server.says(answer(&data, &json!({ "prompt_tokens": 7, "total_tokens": 7 })));
        let embedded = called.provider.embed(&request()).await.unwrap();
        assert_eq!(embedded.vectors, [vec![1.0, 0.0, 0.0], vec![0.5, -1.0, 0.002]]);
        assert_eq!(embedded.usage, Usage { uncached_input: 7, ..Usage::default() });
        assert_eq!(
            (embedded.usage_source, embedded.request_id.as_deref()),
            (UsageSource::Provider, Some("req_9"))
        );
        assert_eq!(embedded.served_model.as_deref(), Some("text-embedding-3-small"));
        let asked = &server.asked()[0];
        assert_eq!(asked.line, "POST /v1/embeddings");
        assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        let body = json!({ "model": "text-embedding-3-small", "input": ["first", "second text"], "encoding_format": "float" });
        assert_eq!(asked.body, body);
    }
}

#[tokio::test]
async fn counts_that_are_missing_are_estimated() {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Openai, &server.url);
    let data = json!([item(0, &json!([1.0])), item(1, &json!([2.0]))]);
    server.says(answer(&data, &json!(null)));
    let embedded = called.provider.embed(&request()).await.unwrap();
    assert_eq!((embedded.usage.uncached_input, embedded.usage_source), (5, UsageSource::Estimated));
}

#[tokio::test]
async fn what_is_not_one_vector_for_each_text_is_no_answer() {
    let server = Raw::start().await;
    let called = Called::at(ProviderKind::Openai, &server.url);
    let usage = json!({ "prompt_tokens": 7, "total_tokens": 7 });
    for data in [
        json!(null),
        json!([item(0, &json!([1.0]))]),
        json!([item(0, &json!([1.0])), item(0, &json!([1.0]))]),
        json!([item(0, &json!([1.0])), item(1, &json!([1.0, 2.0]))]),
        json!([item(0, &json!([1.0])), item(1, &json!("AACAPw=="))]),
    ] {
        server.says(answer(&data, &usage));
        let result = called.provider.embed(&request()).await;
        assert!(matches!(result, Err(CallError::Unknown(_))), "{data}: {result:?}");
    }
    for (status, body, expected) in [
        (429, error("requests", "rate_limit_exceeded"), Rejection::RateLimited),
        (400, error("invalid_request_error", "context_length_exceeded"), Rejection::ContextOverflow),
        (200, error("server_error", ""), Rejection::Transient),
    ] {
        server.says(Said::json(status, &body));
        match called.provider.embed(&request()).await {
            Err(CallError::Rejected { class, .. }) => assert_eq!(class, expected),
            other => panic!("{other:?}"),
        }
    }
}
