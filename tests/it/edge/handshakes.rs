//! Handshakes besides Meta's: Salesforce's acknowledgement, and first requests that confirm something.

use longshore::domain::envelope::HttpRequest;
use serde_json::json;

use super::harness::{Unusual, World, body_of, post};

const SOURCES: &str = r#"
[sources.outbound]
vendor = "salesforce"
scheme = "salesforce-outbound-message"
tenant = "acme"
organization_ids = ["00DHu00000Edge1"]
[sources.ens]
vendor = "salesforce"
scheme = "salesforce-ens"
tenant = "acme"
[sources.topic]
vendor = "generic"
scheme = "sns"
tenant = "acme"
topic_arns = ["arn:aws:sns:eu-west-1:111122223333:listed"]
confirm_subscriptions = true
"#;

fn unsigned(path: &str, body: &str) -> Vec<u8> {
    let headers = vec![("content-type".to_owned(), "text/xml".to_owned())];
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: String::new(),
        headers,
        body: body.as_bytes().to_vec(),
    };
    post(path, &request, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn salesforce_is_acknowledged_and_its_session_never_reaches_the_queue() {
    let world = World::with(Unusual { whatsapp: SOURCES, ..Unusual::default() }).await;
    let body = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>
<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00DHu00000Edge1</OrganizationId>
<ActionId>04kHu0000001</ActionId><SessionId>00D!SESSION-OF-A-USER</SessionId>
<Notification><Id>04lHu0000001</Id></Notification></notifications></soapenv:Body></soapenv:Envelope>"#;
    let answer = world.ask(&unsigned("/hooks/outbound", body)).await;
    assert_eq!((answer.status, answer.header("content-type").unwrap()), (200, "text/xml; charset=utf-8"));
    assert!(answer.body.contains("<Ack>true</Ack>"), "{}", answer.body);
    let (_, envelope) = world.only().await;
    let kept = String::from_utf8(body_of(&envelope)).unwrap();
    assert!(kept.contains("04lHu0000001") && !kept.contains("SESSION-OF-A-USER"), "{kept}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_s_key_is_kept_for_the_operator_and_not_queued() {
    let world = World::with(Unusual { whatsapp: SOURCES, ..Unusual::default() }).await;
    let first = json!({ "callbackId": "cb-1", "verificationKey": "shown-once" }).to_string();
    let answer = world.ask(&unsigned("/hooks/ens", &first)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(world.messages().await.len(), 0);
    let files: Vec<_> = std::fs::read_dir(world.folder.path().join("state")).unwrap().collect();
    let kept = std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    assert!(files.len() == 1 && kept.contains("shown-once"), "{kept}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_topic_is_not_confirmed() {
    let world = World::with(Unusual { whatsapp: SOURCES, ..Unusual::default() }).await;
    let confirmation = |topic: &str| {
        json!({ "Type": "SubscriptionConfirmation", "MessageId": "1", "Token": "t", "Message": "m",
            "TopicArn": format!("arn:aws:sns:eu-west-1:111122223333:{topic}"), "Timestamp": "2026-11-20T12:00:00Z",
            "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "SignatureVersion": "2", "Signature": "AAAA", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/a.pem" })
        .to_string()
    };
    let other = world.ask(&unsigned("/hooks/topic", &confirmation("other"))).await;
    assert_eq!((other.status, other.code().as_str()), (403, "handshake_refused"));
    let unproved = world.ask(&unsigned("/hooks/topic", &confirmation("listed"))).await;
    assert_eq!((unproved.status, unproved.code().as_str()), (401, "sig_no_key"));
    assert_eq!(world.messages().await.len(), 0);
    world.finish().await;
}
