//! The wire itself: headers, stopping, counting, many at once.

use std::{collections::BTreeSet, time::Duration};

use longshore::queue::{
    contract::{BATCH, Depth, Queue as _},
    local::server::Server,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::harness::{LONG, client, gather, serve, text, until};

/// One request by hand; the whole answer as text.
async fn raw(server: &Server, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let length = body.len();
    let request = format!("{head}Host: here\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn call(operation: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.{operation}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_name_their_type_twice() {
    let (server, _folder) = serve(|_| ()).await;
    let missing = raw(&server, &call("ReceiveMessage"), r#"{"QueueUrl":"http://here/0/none"}"#).await;
    assert!(missing.starts_with("HTTP/1.1 400 "), "{missing}");
    assert!(
        missing.contains("x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n"),
        "{missing}"
    );
    assert!(missing.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{missing}");
    let unknown = raw(&server, &call("NoSuchAction"), "{}").await;
    assert!(unknown.starts_with("HTTP/1.1 400 ") && unknown.contains("UnknownOperation"), "{unknown}");
    let unreadable = raw(&server, &call("SendMessage"), "{").await;
    assert!(unreadable.starts_with("HTTP/1.1 400 ") && unreadable.contains("Serialization"), "{unreadable}");
    let untargeted = raw(&server, "POST / HTTP/1.1\r\n", "Action=ListQueues").await;
    assert!(untargeted.starts_with("HTTP/1.1 400 "), "{untargeted}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_where_they_arrive() {
    let (server, _folder) = serve(|_| ()).await;
    server.ensure_queue("q", &[]).await.unwrap();
    let queue = client(&server, "q").await;
    queue.send(&[text("a"), text("b")]).await.unwrap();
    gather(&queue, 2).await;
    let counters = raw(&server, "GET /_longshore/counters HTTP/1.1\r\n", "").await;
    let body = counters.split("\r\n\r\n").nth(1).unwrap();
    let counted: std::collections::BTreeMap<String, u64> = serde_json::from_str(body).unwrap();
    assert_eq!(counted, server.counters().all());
    assert_eq!((counted["SendMessageBatch"], counted["ReceiveMessage"]), (1, 1));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_answers_those_who_wait() {
    let (server, _folder) = serve(|_| ()).await;
    server.ensure_queue("q", &[]).await.unwrap();
    let queue = client(&server, "q").await;
    let waiting = tokio::spawn(async move { queue.receive(1, LONG, LONG).await });
    until("the receive arrived", async || server.counters().calls("ReceiveMessage") == 1).await;
    let started = std::time::Instant::now();
    server.shutdown().await;
    assert!(waiting.await.unwrap().unwrap().is_empty());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_every_message_exactly_once() {
    const CLIENTS: usize = 8;
    const BATCHES: usize = 5;
    let (server, _folder) = serve(|_| ()).await;
    server.ensure_queue("q", &[]).await.unwrap();
    let queue = client(&server, "q").await;
    let senders = (0..CLIENTS).map(|client| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for batch in 0..BATCHES {
                let messages: Vec<_> = (0..BATCH).map(|at| text(&format!("{client}-{batch}-{at}"))).collect();
                queue.send(&messages).await.unwrap();
            }
        })
    });
    let receivers = (0..CLIENTS).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut bodies = Vec::new();
            loop {
                let got = queue.receive(BATCH, Duration::from_secs(2), LONG * 3).await.unwrap();
                if got.is_empty() {
                    return bodies;
                }
                let receipts: Vec<_> = got.iter().map(|delivery| delivery.receipt.clone()).collect();
                queue.delete(&receipts).await.unwrap();
                bodies.extend(got.into_iter().map(|delivery| delivery.body));
            }
        })
    });
    let (senders, receivers): (Vec<_>, Vec<_>) = (senders.collect(), receivers.collect());
    for sender in senders {
        sender.await.unwrap();
    }
    let mut bodies = Vec::new();
    for receiver in receivers {
        bodies.extend(receiver.await.unwrap());
    }
    let distinct: BTreeSet<&String> = bodies.iter().collect();
    assert_eq!((bodies.len(), distinct.len()), (CLIENTS * BATCHES * BATCH, CLIENTS * BATCHES * BATCH));
    assert_eq!(queue.depth().await.unwrap(), Depth::default());
    server.shutdown().await;
}
