//! The other forms through a worker, from the queue to the rows.

use std::{sync::atomic::Ordering, time::Duration};

use longshore::{
    clock::{Clock as _, SystemClock},
    domain::{delivery::Attribute, reason::Reason},
    queue::{contract::OutgoingMessage, objects::ObjectStore as _},
    worker::trail::Happening,
};
use serde_json::{Value, json};

use super::s3::{Door, bucket, client, localstack};
use crate::world::{Kind, Knobs, World, judge::judge, on_both};

const SOON: Duration = Duration::from_secs(30);
const TOPIC: &str = "arn:aws:sns:eu-central-1:444455556666:crm";

/// The request that an edge has put into this message.
fn enveloped(message: &OutgoingMessage) -> (String, Vec<(String, String)>) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let envelope: Value = serde_json::from_str(&message.body).unwrap();
    let request = &envelope["request"];
    let body = STANDARD.decode(request["body_base64"].as_str().unwrap()).unwrap();
    let headers = serde_json::from_value(request["headers"].clone()).unwrap();
    (String::from_utf8(body).unwrap(), headers)
}

/// The same request as a gateway puts it on the queue.
fn as_webhook(message: &mut OutgoingMessage) {
    let (body, headers) = enveloped(message);
    let named = [("longshore-form", "webhook.v1"), ("longshore-source", "whatsapp")];
    let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let attributes = headers.into_iter().chain(named);
    message.attributes = attributes.map(|(name, value)| (name, Attribute::Text(value))).collect();
    message.body = body;
}

/// The same request through a topic.
fn as_notification(message: &mut OutgoingMessage) {
    let (body, headers) = enveloped(message);
    let attributes: serde_json::Map<String, Value> = headers
        .into_iter()
        .map(|(name, value)| (name, json!({ "Type": "String", "Value": value })))
        .collect();
    message.attributes.clear();
    message.body = json!({
        "Type": "Notification", "MessageId": "1", "TopicArn": TOPIC, "Message": body, "MessageAttributes": attributes,
        "Timestamp": "2026-11-20T12:00:00.000Z",
    })
    .to_string();
}

/// The same message as the extended client library sends it.
fn as_pointer(message: &mut OutgoingMessage, bucket: &str, key: &str) -> String {
    let class = "software.amazon.payloadoffloading.PayloadS3Pointer";
    let pointer = json!([class, { "s3BucketName": bucket, "s3Key": key }]).to_string();
    let size = Attribute::Text(message.body.len().to_string());
    message.attributes.insert("ExtendedPayloadSize".to_owned(), size);
    std::mem::replace(&mut message.body, pointer)
}

/// A change of a record, as a bus tells it; or as its input transformer does, which leaves the region out.
fn changed(transformed: bool) -> Value {
    let now = SystemClock.now().to_string();
    let detail =
        json!({ "ChangeEventHeader": { "entityName": "Account", "changeType": "UPDATE" }, "Name": "Ö" });
    let mut event = json!({
        "id": "5f2c", "source": "crm.accounts", "account": "444455556666", "time": now, "detail": detail,
    });
    let more = match transformed {
        true => json!({ "type": "AccountChangeEvent" }),
        false => {
            json!({ "version": "0", "detail-type": "AccountChangeEvent", "region": "eu-central-1", "resources": [] })
        }
    };
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

async fn a_gateway_and_a_topic(kind: Kind) {
    let knobs = Knobs {
        queue: "trust = \"queue\"\ndefault_source = \"whatsapp\"",
        source: format!("topic_arns = [\"{TOPIC}\"]"),
        more: "[sources.bus]\nvendor = \"eventbridge\"\ntenant = \"acme\"\norigins = [\"crm.*\"]\n"
            .to_owned(),
        ..Knobs::default()
    };
    let mut world = World::with(kind, knobs).await;
    world.whatsapp("34611000001", "How much is the plan?");
    as_webhook(world.last());
    world.again();
    world.whatsapp("34611000002", "And in euros?");
    as_notification(world.last());
    let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b" }).to_string();
    world.whatsapp_forgotten(|message| {
        message.attributes.clear();
        message.body = test;
    });
    world.send().await;
    let worker = world.inside().await;
    world.settled(SOON).await;
    let findings = judge(&world).await;
    assert_eq!(findings.messages, 2);
    // RCE-4: an event of a bus becomes one row, whole or transformed, and however often it comes.
    for transformed in [false, true, false] {
        world.whatsapp_forgotten(|message| {
            message.attributes.clear();
            message.body = changed(transformed).to_string();
        });
    }
    world.send().await;
    let key = "inbox WHERE state = 'done' AND key LIKE 'bus:%'";
    world
        .until(SOON, || async {
            match world.database.count(key).await {
                2 => Ok(()),
                some => Err(format!("{some} rows")),
            }
        })
        .await;
    world.settled(SOON).await;
    assert_eq!(world.database.count("dead_letters").await, 0);
    worker.stop().await;
    world.finish().await;
}

/// NX-44, and an object store that is away at first: nothing is lost, nothing is counted against the message.
async fn a_pointer(kind: Kind) {
    let endpoint = localstack();
    let (bucket, door) = (bucket(&endpoint).await, Door::to(&endpoint).await);
    let more = format!(
        "[objects]\nbuckets = [\"{bucket}\"]\nendpoint = \"{}\"\npath_style = true\ntimeout = \"5s\"\n",
        door.endpoint
    );
    let mut world = World::with(kind, Knobs { more, ..Knobs::default() }).await;
    world.whatsapp("34611000001", "How much is the plan?");
    let original = as_pointer(world.last(), &bucket, "messages/1");
    client(&endpoint, SOON).await.put(&bucket, "messages/1", original.into_bytes()).await.unwrap();
    world.send().await;
    let mut worker = world.inside().await;
    let put_back = async {
        loop {
            match worker.trail.recv().await.unwrap() {
                Happening::PutBack { reason, .. } => return reason,
                Happening::Rejected { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, put_back).await.unwrap(), Reason::ObjectUnavailable);
    door.open.store(true, Ordering::SeqCst);
    world.settled(SOON).await;
    judge(&world).await;

    // Now the store answers: what is not there, and what nobody listed, is buried.
    for (bucket, key, reason) in
        [(bucket.as_str(), "none", Reason::ObjectMissing), ("secrets", "k", Reason::ObjectRefused)]
    {
        world.whatsapp_forgotten(|message| drop(as_pointer(message, bucket, key)));
        world.expected.rejected.push(reason);
    }
    world.send().await;
    world
        .until(SOON, || async {
            match world.database.count("dead_letters").await {
                2 => Ok(()),
                some => Err(format!("{some} dead letters")),
            }
        })
        .await;
    world.settled(SOON).await;
    judge(&world).await;
    worker.stop().await;
    world.finish().await;
}

on_both! {
    a_gateway_and_a_topic
    a_pointer
}
