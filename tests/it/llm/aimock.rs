//! Every provider against aimock, a server of their APIs that was not written here. What it answers stands in
//! `tests/support/aimock/fixtures.json`. Its streams of Bedrock are none (1.43: frames and errors are wrong), and it
//! drops cached and reasoning counts: those are the fakes' part.

use std::time::Duration;

use longshore::{
    config::ProviderKind,
    domain::usage::{Usage, UsageSource},
    llm::{
        contract::Turn,
        wire::{CallError, Completion, EmbedRequest, Finish, Rejection, Request},
    },
};
use serde_json::json;

use super::fakes::raw::{Called, adorned, plain, streamed};

/// The kinds, what each puts behind the server's address, and whether its streams are good.
const KINDS: [(ProviderKind, &str, bool); 5] = [
    (ProviderKind::Openai, "/v1", true),
    (ProviderKind::OpenaiResponses, "/v1", true),
    (ProviderKind::Anthropic, "/v1", true),
    (ProviderKind::Gemini, "/v1beta", true),
    (ProviderKind::Bedrock, "", false),
];

#[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test`")]
fn base() -> String {
    std::env::var("LONGSHORE_TEST_AIMOCK")
        .unwrap_or_else(|_| panic!("LONGSHORE_TEST_AIMOCK is not set: run `make test`, it brings an aimock"))
}

fn each() -> impl Iterator<Item = (ProviderKind, Called, bool)> {
    KINDS
        .into_iter()
        .map(|(kind, path, streams)| (kind, Called::at(kind, &format!("{}{path}", base())), streams))
}

fn asking(what: &str, request: Request) -> Request {
    Request { turns: vec![Turn::user(format!("aimock: {what}"))], ..request }
}

fn is_the_text(kind: ProviderKind, completion: &Completion) {
    let used = Usage { uncached_input: 11, output: 7, ..Usage::default() };
    assert_eq!(completion.text, "The price is ten euros: 10 €.", "{kind:?}");
    assert_eq!(completion.finish, Finish::Complete, "{kind:?}");
    assert_eq!((completion.usage, completion.usage_source), (used, UsageSource::Provider), "{kind:?}");
}

#[tokio::test]
async fn a_text_and_its_counts() {
    for (kind, called, streams) in each() {
        is_the_text(kind, &called.complete(&asking("text", plain())).await.unwrap());
        if streams {
            let (request, pieces) = streamed();
            is_the_text(kind, &called.complete(&asking("text", request)).await.unwrap());
            let pieces = pieces.lock().unwrap();
            assert!(
                pieces.len() > 1 && pieces.concat() == "The price is ten euros: 10 €.",
                "{kind:?} {pieces:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_question_with_a_schema_and_every_setting() {
    for (kind, called, _) in each() {
        let completion = called.complete(&asking("json", adorned())).await.unwrap();
        let value: serde_json::Value = serde_json::from_str(&completion.text).unwrap();
        assert_eq!((value, completion.finish), (json!({ "answer": "ten" }), Finish::Complete), "{kind:?}");
    }
}

#[tokio::test]
async fn a_cut_text_is_no_success() {
    for (kind, called, streams) in each() {
        let plain = called.complete(&asking("length", plain())).await.unwrap();
        let came = match streams {
            true => called.complete(&asking("length", streamed().0)).await.ok(),
            false => None,
        };
        for completion in [Some(plain), came].into_iter().flatten() {
            match kind {
                // It does not say why they are incomplete there, and ends the stream with the wrong event (1.43).
                ProviderKind::OpenaiResponses => assert!(matches!(completion.finish, Finish::Unknown(_))),
                _ => assert_eq!(completion.finish, Finish::Truncated, "{kind:?}"),
            }
        }
    }
}

#[tokio::test]
async fn errors_and_their_hints() {
    for (kind, called, streams) in each() {
        for request in [Some(plain()), streams.then(|| streamed().0)].into_iter().flatten() {
            let slow = called.complete(&asking("too fast", request.clone())).await.unwrap_err();
            let CallError::Rejected { class, wait, .. } = slow else { panic!("{kind:?} {slow:?}") };
            assert_eq!((class, wait), (Rejection::RateLimited, Some(Duration::from_secs(7))), "{kind:?}");
            let busy = called.complete(&asking("overloaded", request)).await.unwrap_err();
            let CallError::Rejected { class, .. } = busy else { panic!("{kind:?} {busy:?}") };
            assert_eq!(class, Rejection::Overloaded, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_no_success() {
    for (kind, called, streams) in each() {
        if streams {
            let (request, pieces) = streamed();
            let cut = called.complete(&asking("cut", request)).await.unwrap_err();
            let CallError::Interrupted { partial, .. } = cut else { panic!("{kind:?} {cut:?}") };
            let came = pieces.lock().unwrap().concat();
            assert!(!came.is_empty() && came == partial.text, "{kind:?} {partial:?}");
            assert!(partial.usage.output > 0, "{kind:?} {partial:?}");
            assert_eq!(partial.usage_source, UsageSource::Estimated, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn nx_7_vectors() {
    for (kind, called, _) in each().filter(|(kind, ..)| *kind == ProviderKind::Gemini) {
        let request = EmbedRequest {
            model: "gemini-embedding-2".to_owned(),
            texts: vec!["aimock: vector".to_owned()],
            correlation_id: "trace-1".into(),
            timeout: Duration::from_secs(20),
        };
        let embedded = called.provider.embed(&request).await.unwrap();
        assert_eq!(embedded.vectors, [[0.5, 0.25, -1.0]], "{kind:?}");
    }
}
