//! The queue in trouble: never a 5xx, never a 2xx for what it does not have.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::QueueAttributeName,
};
use futures_util::future::join_all;
use longshore::{
    app::intake::Intake,
    queue::{
        contract::Queue as _,
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::harness::{LONG, Unusual, World, ask, body_of, settings, text, whatsapp};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_away_makes_callers_come_again() {
    let world = World::with(Unusual { intake: "send_timeout = \"300ms\"", ..Unusual::default() }).await;
    let bytes = whatsapp(b"{\"n\":1}");
    assert_eq!(world.ask(&bytes).await.status, 200);
    let World { intake, server, folder, queue } = world;
    let listen = server.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    server.shutdown().await;
    for _ in 0..2 {
        let answer = ask(intake.address(), &bytes).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "queue_unavailable"));
        assert_eq!(answer.header("retry-after"), Some("10"));
    }
    let server = Server::start(Options::new(listen, folder.path().join("queue"))).await.unwrap();
    let world = World { intake, server, folder, queue };
    let deadline = tokio::time::Instant::now() + LONG;
    while world.ask(&bytes).await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "it does not recover");
    }
    assert!(world.messages().await.len() >= 2);
    world.finish().await;
}

/// A whole call that fails is each request's own 429; an entry that fails alone is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_the_answer_of_its_own_entry() {
    for (fault, expected) in [("SendMessageBatch:partial:x1", Some(20)), ("SendMessageBatch:partial", None)] {
        let unusual = Unusual {
            intake: "linger = \"200ms\"\nsend_timeout = \"10s\"\ndrain = \"20s\"",
            faults: &[fault],
            ..Unusual::default()
        };
        let world = World::with(unusual).await;
        let bodies: Vec<String> = (0..20).map(|number| json!({ "n": number }).to_string()).collect();
        let answers = join_all(bodies.iter().map(|body| {
            let bytes = whatsapp(body.as_bytes());
            let address = world.address();
            async move { ask(address, &bytes).await }
        }))
        .await;
        let taken: BTreeSet<&str> = bodies
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.status == 200)
            .map(|(body, _)| body.as_str())
            .collect();
        let refused = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!(taken.len() + refused, 20, "{answers:?}");
        match expected {
            Some(all) => assert_eq!(taken.len(), all),
            None => assert!(refused >= 2 && !taken.is_empty(), "{refused} refused"),
        }
        let there: Vec<String> = on_queue(&world).await;
        assert_eq!(there.iter().map(String::as_str).collect::<BTreeSet<_>>(), taken);
        assert_eq!(there.len(), taken.len(), "each once");
        world.finish().await;
    }
}

async fn on_queue(world: &World) -> Vec<String> {
    let bodies = world.messages().await.into_iter().map(|delivery| {
        let envelope: Value = serde_json::from_str(&delivery.body).unwrap();
        String::from_utf8(body_of(&envelope)).unwrap()
    });
    bodies.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_together_share_a_call() {
    let world = World::with(Unusual { intake: "linger = \"500ms\"", ..Unusual::default() }).await;
    let bytes = whatsapp(b"{}");
    let answers = join_all((0..40).map(|_| world.ask(&bytes))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let calls = world.server.counters().calls("SendMessageBatch");
    assert!(calls <= 8, "{calls} calls for 40 requests");
    world.finish().await;
}

/// Four of 300 KiB fit into no single call.
#[tokio::test(flavor = "multi_thread")]
async fn large_requests_share_a_call_only_as_far_as_they_fit() {
    let world = World::with(Unusual { intake: "linger = \"200ms\"", ..Unusual::default() }).await;
    let bytes = whatsapp(&vec![b'x'; 300 * 1024]);
    let answers = join_all((0..4).map(|_| world.ask(&bytes))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(world.messages().await.len(), 4);
    world.finish().await;
}

/// For making queues.
fn sdk(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// A FIFO queue: the conversation is the group, the envelope's id deduplicates. Against LocalStack.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test`")]
async fn on_a_fifo_queue_conversations_keep_their_order() {
    let endpoint =
        std::env::var("LONGSHORE_TEST_AWS").expect("LONGSHORE_TEST_AWS is not set: run `make test`");
    let sqs = sdk(&endpoint);
    let name = format!("edge-{}.fifo", uuid::Uuid::new_v4().simple());
    let made =
        sqs.create_queue().queue_name(&name).attributes(QueueAttributeName::FifoQueue, "true").send().await;
    made.unwrap();
    let url = format!("{endpoint}/000000000000/{name}");
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&text(
        &folder,
        [&endpoint, &url],
        &Unusual { intake: "send_timeout = \"10s\"", ..Unusual::default() },
    ));
    let queue = SqsQueue::connect(&settings.queue, &url).await;
    let intake = Intake::start(settings).await.unwrap();
    let body = |from: &str, id: &str| {
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": {
            "messaging_product": "whatsapp", "metadata": { "display_phone_number": "1", "phone_number_id": "2" },
            "messages": [{ "from": from, "id": id, "timestamp": "1795176000", "type": "text", "text": { "body": "hi" } }] } }] }] })
        .to_string()
    };
    for (from, id) in [("15550001", "a"), ("15550001", "b"), ("15550002", "c")] {
        assert_eq!(ask(intake.address(), &whatsapp(body(from, id).as_bytes())).await.status, 200);
    }
    assert_eq!(ask(intake.address(), &whatsapp(b"no json")).await.status, 200);
    let mut groups = Vec::new();
    while groups.len() < 4 {
        for delivery in queue.receive(10, Duration::from_secs(5), Duration::from_secs(60)).await.unwrap() {
            let group = delivery.group.unwrap();
            assert!(!group.contains("1555"), "no number in a group: {group}");
            groups.push(group);
        }
    }
    groups.sort();
    groups.dedup();
    assert_eq!(groups.len(), 3, "{groups:?}");
    assert!(intake.stop(CancellationToken::new()).await);
    sqs.delete_queue().queue_url(&url).send().await.unwrap();
}
