//! Limits of the API that LocalStack does not check, and what this server does not have.

use std::fmt::Debug;

use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{MessageAttributeValue, QueueAttributeName},
};
use longshore::queue::local::server::Server;

use super::harness::{sdk, serve};

async fn fresh() -> (Server, Client, String, tempfile::TempDir) {
    let (server, folder) = serve(|_| ()).await;
    let url = server.ensure_queue("q", &[]).await.unwrap();
    let sqs = sdk(&server.endpoint());
    (server, sqs, url, folder)
}

#[track_caller]
fn refused<T: Debug, E: ProvideErrorMetadata + Debug, R: Debug>(result: Result<T, SdkError<E, R>>) -> String {
    let error = result.unwrap_err();
    error.as_service_error().unwrap().code().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_out_of_range() {
    let (server, sqs, url, _folder) = fresh().await;
    let send = || sqs.send_message().queue_url(&url).message_body("b");
    assert_eq!(refused(send().delay_seconds(901).send().await), "InvalidParameterValue");
    assert_eq!(refused(send().delay_seconds(-1).send().await), "InvalidParameterValue");
    let receive = || sqs.receive_message().queue_url(&url);
    for number in [0, 11] {
        let result = receive().max_number_of_messages(number).send().await;
        assert_eq!(refused(result), "InvalidParameterValue", "{number} messages");
    }
    assert_eq!(refused(receive().wait_time_seconds(21).send().await), "InvalidParameterValue");
    assert_eq!(refused(receive().visibility_timeout(43_201).send().await), "InvalidParameterValue");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eleven_attributes() {
    let (server, sqs, url, _folder) = fresh().await;
    let value = MessageAttributeValue::builder().data_type("String").string_value("v").build().unwrap();
    let send = |count: usize| {
        let call = sqs.send_message().queue_url(&url).message_body("b");
        (0..count).fold(call, |call, at| call.message_attributes(format!("a{at}"), value.clone()))
    };
    send(10).send().await.unwrap();
    assert_eq!(refused(send(11).send().await), "InvalidParameterValue");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_queue_must_exist() {
    let (server, sqs, url, _folder) = fresh().await;
    let policy = |name: &str| {
        let arn = server.queue_arn(name);
        serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": "3" }).to_string()
    };
    let set = |name: &str| {
        let call = sqs.set_queue_attributes().queue_url(&url);
        call.attributes(QueueAttributeName::RedrivePolicy, policy(name)).send()
    };
    assert_eq!(refused(set("missing").await), "InvalidParameterValue");
    server.ensure_queue("dead", &[]).await.unwrap();
    set("dead").await.unwrap();
    let sources = sqs.list_dead_letter_source_queues().queue_url(server.queue_url("dead")).send().await;
    assert_eq!(sources.unwrap().queue_urls(), std::slice::from_ref(&url));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_count_attributes() {
    let (server, sqs, _url, _folder) = fresh().await;
    let url = server.ensure_queue("small", &[("MaximumMessageSize", "1024")]).await.unwrap();
    let send = |bytes: usize| sqs.send_message().queue_url(&url).message_body("x".repeat(bytes));
    send(1_024).send().await.unwrap();
    assert_eq!(refused(send(1_025).send().await), "InvalidParameterValue");
    let pad = MessageAttributeValue::builder().data_type("String").string_value("y".repeat(100)).build();
    let padded = send(1_000).message_attributes("pad", pad.unwrap());
    assert_eq!(refused(padded.send().await), "InvalidParameterValue");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_said() {
    let (server, sqs, _url, _folder) = fresh().await;
    let fifo = "AWS.SimpleQueueService.UnsupportedOperation";
    assert_eq!(refused(sqs.create_queue().queue_name("orders.fifo").send().await), fifo);
    let named = sqs.create_queue().queue_name("orders").attributes(QueueAttributeName::FifoQueue, "true");
    assert_eq!(refused(named.send().await), fifo);
    let arn = server.queue_arn("q");
    assert_eq!(refused(sqs.start_message_move_task().source_arn(&arn).send().await), fifo);
    assert_eq!(refused(sqs.list_message_move_tasks().source_arn(&arn).send().await), fifo);
    server.shutdown().await;
}
