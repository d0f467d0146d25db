//! What of a request reaches the queue, and which requests do not.

use longshore::sources::{
    decode::Defaults,
    objects::Objects,
    prove::prove,
    senders::Senders,
    verified::{Checked, Verified},
};
use serde_json::json;

use super::harness::{PUBLIC, Unusual, World, body_of, get, post, settings, signed, text, whatsapp};

/// DF-2: what an edge takes, the worker believes.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_is_on_the_queue_and_verifies_there() {
    let world = World::usual().await;
    let body = "{\"object\":\"x\",\"text\":\"\\u00e4 / \u{1F600}\"}".as_bytes();
    let answer = world.ask(&whatsapp(body)).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("content-type")), (200, "", None));

    let (delivery, envelope) = world.only().await;
    assert_eq!((body_of(&envelope).as_slice(), delivery.group.as_deref()), (body, Some("acme")));
    assert_eq!(delivery.text("longshore-form"), Some("envelope.v1"));
    assert_eq!(delivery.text("longshore-source"), Some("whatsapp"));
    assert_eq!(envelope["peer"], json!({ "ip": "127.0.0.1" }));

    let read = settings(&text(&world.folder, ["http://x.test", "http://x.test/q"], &Unusual::default()));
    let senders = Senders::new(&read.seal, &read.sources, (false, Defaults::default())).unwrap();
    let checked = prove(&delivery, &senders, &Objects::none()).await.unwrap();
    assert!(matches!(checked, Checked::Trusted(Verified::Message(_))), "{checked:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn url_and_headers_are_told_as_configured_and_as_sent() {
    let world = World::usual().await;
    let request = signed("hubspot", &format!("{PUBLIC}/hooks/hubspot?b=2&a=%2f1"), b"[]");
    let more = "X-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: http\r\nForwarded: host=evil.test\r\n\
                Authorization: Bearer t0p-s3cret\r\nCookie: c=1\r\nContent-Encoding: identity\r\n\
                X-HubSpot-Signature-V3:  second one \r\n";
    assert_eq!(world.ask(&post("/hooks/hubspot?b=2&a=%2f1", &request, more)).await.status, 200);
    let (delivery, envelope) = world.only().await;
    let told = &envelope["request"];
    assert_eq!(told["url"], "https://hooks.example.test/hooks/hubspot?b=2&a=%2f1");
    assert_eq!(told["method"], "POST");
    let headers: Vec<(String, String)> = serde_json::from_value(told["headers"].clone()).unwrap();
    let values = |name: &str| -> Vec<&str> {
        headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(
        values("x-hubspot-signature-v3"),
        ["second one", &request.header("x-hubspot-signature-v3").unwrap()]
    );
    assert_eq!(values("content-encoding"), ["identity"]);
    for dropped in ["authorization", "cookie", "host", "x-forwarded-host", "forwarded", "content-length"] {
        assert!(values(dropped).is_empty(), "{dropped}");
    }
    assert!(!delivery.body.contains("t0p-s3cret") && !delivery.body.contains("evil.test"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_has_its_own_address_and_its_own_credential_header() {
    let unusual = Unusual {
        intake: "client_certificate_header = \"x-cert\"\nclient_ip_header = \"x-real-ip\"",
        whatsapp: "public_url = \"https://a.example.test/wa\"\ncredential_in = \"header:X-Our-Key\"",
        ..Unusual::default()
    };
    let world = World::with(unusual).await;
    let print = "AA".repeat(32);
    let more = format!("x-our-key: k\r\nX-CERT: {print}\r\nX-Real-IP: 203.0.113.7\r\n");
    let request = post("/hooks/whatsapp?q=1", &signed("whatsapp", PUBLIC, b"{}"), &more);
    assert_eq!(world.ask(&request).await.status, 200);
    let (_, envelope) = world.only().await;
    assert_eq!(envelope["request"]["url"], "https://a.example.test/wa?q=1");
    assert!(envelope["request"]["headers"].as_array().unwrap().contains(&json!(["x-our-key", "k"])));
    let peer = json!({ "ip": "203.0.113.7", "tls_client_cert_sha256": print.to_lowercase() });
    assert_eq!(envelope["peer"], peer);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_of_the_account_is_the_group() {
    let unusual = Unusual {
        whatsapp: "accounts = { \"77\" = \"north\", \"88\" = \"zwei wörter\" }",
        ..Unusual::default()
    };
    let world = World::with(unusual).await;
    let body = |phone: &str| {
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": {
            "messaging_product": "whatsapp", "metadata": { "display_phone_number": "1", "phone_number_id": phone },
            "messages": [{ "from": "15550001", "id": format!("wamid.{phone}"), "timestamp": "1795176000", "type": "text",
                "text": { "body": "hi" } }] } }] }] })
        .to_string()
    };
    for phone in ["77", "88", "99"] {
        assert_eq!(world.ask(&whatsapp(body(phone).as_bytes())).await.status, 200);
    }
    assert_eq!(world.ask(&whatsapp(b"no json")).await.status, 200);
    let is_hash = |group: &String| group.len() == 64 && group.bytes().all(|b| b.is_ascii_hexdigit());
    let groups = world.messages().await.into_iter().map(|delivery| delivery.group.unwrap());
    let (hashes, mut names): (Vec<_>, Vec<_>) = groups.partition(is_hash);
    names.sort();
    assert_eq!(names, ["acme", "acme", "north"]);
    assert_eq!(hashes.len(), 1, "a name that is no group: {hashes:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_source_or_no_method_is_refused() {
    let world = World::usual().await;
    let request = signed("whatsapp", PUBLIC, b"{}");
    for path in [
        "/hooks/nobody",
        "/hooks/",
        "/hooks",
        "/",
        "/hooks/whatsapp/",
        "/hooks/whats%61pp",
        "/hooks/a/../whatsapp",
    ] {
        let answer = world.ask(&post(path, &request, "")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_source"), "{path}");
    }
    assert_eq!(world.ask(&get("/hooks/hubspot")).await.status, 405, "a browser is no vendor");
    let signed_get = "GET /hooks/hubspot?a=1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-hubspot-signature-v3: s\r\n\r\n";
    assert_eq!(world.ask(signed_get.as_bytes()).await.status, 200);
    assert_eq!(world.only().await.1["request"]["method"], "GET");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_s_challenge_goes_back_for_the_right_token_only() {
    let folder = tempfile::tempdir().unwrap();
    let token = super::harness::secret(&folder, "token", "verify-me");
    let world =
        World::with(Unusual { whatsapp: &format!("verify_token = \"{token}\""), ..Unusual::default() }).await;
    let ask = |mode: &str, token: &str| {
        get(&format!("/hooks/whatsapp?hub.mode={mode}&hub.challenge=11584&hub.verify_token={token}"))
    };
    let good = world.ask(&ask("subscribe", "verify-me")).await;
    assert_eq!((good.status, good.body.as_str()), (200, "11584"));
    assert!(good.header("content-type").unwrap().starts_with("text/plain"));
    for bad in
        [ask("subscribe", "verify-mf"), ask("subscribe", ""), ask("x", "verify-me"), get("/hooks/whatsapp")]
    {
        let answer = world.ask(&bad).await;
        assert_eq!(answer.status, 403);
        assert!(!answer.body.contains("verify-me") && !answer.body.contains("11584"), "{answer:?}");
    }
    assert_eq!(world.messages().await.len(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_signature_is_refused_where_the_source_wants_it() {
    let world = World::with(Unusual { whatsapp: "verify_at_edge = true", ..Unusual::default() }).await;
    let good = signed("whatsapp", PUBLIC, b"{}");
    let mut forged = good.clone();
    forged.body = b"{\"a\":1}".to_vec();
    let mut bare = good.clone();
    bare.headers.retain(|(name, _)| name == "content-type");
    for (request, code) in [(&forged, "sig_invalid"), (&bare, "sig_missing")] {
        let answer = world.ask(&post("/hooks/whatsapp", request, "")).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, code));
    }
    assert_eq!(world.ask(&post("/hooks/whatsapp", &good, "")).await.status, 200);
    assert_eq!(world.messages().await.len(), 1);
    // Where it is not asked for, the worker decides.
    let forged = signed("whatsapp", PUBLIC, b"[]");
    assert_eq!(world.ask(&post("/hooks/hubspot", &forged, "")).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_envelope_cannot_tell_is_refused_for_good() {
    let world = World::usual().await;
    let request = signed("whatsapp", PUBLIC, b"{}");
    let mut bytes = post("/hooks/whatsapp", &request, "X-Hub-Signature-256: a?b\r\nX-Other: a?b\r\n");
    let places: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, b)| **b == b'?').map(|(at, _)| at).collect();
    bytes[places[1]] = 0xFF;
    assert_eq!(world.ask(&bytes).await.status, 200, "a header that nobody looks at may hold anything");
    bytes[places[0]] = 0xFF;
    let answer = world.ask(&bytes).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "header_not_text"));
    let long = post(&format!("/hooks/whatsapp?{}", "x".repeat(17_000)), &request, "");
    assert_eq!(world.ask(&long).await.status, 414);
    let many = post("/hooks/whatsapp", &request, &"x: y\r\n".repeat(200));
    assert_eq!(world.ask(&many).await.status, 431);
    world.finish().await;
}
