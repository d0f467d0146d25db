//! DF-2, WA-25, RCE-12: senders proved by public keys, tokens, certificates or their organisation; each with a good
//! request and many bad ones. Keys are our own, made for these tests.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    config::{KeySettings, SourceSettings},
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    sources::{
        contract::{Order, Scheme},
        inspect::prove,
        scheme,
        sign::sign_request,
    },
};
use serde_json::{Value, json};

const SIGNED_AT: i64 = 1_795_000_000;
const BODY: &[u8] = b"[{\"event\":\"tide\",\"cm\":-12}]\r\n";
const TOPIC: &str = "arn:aws:sns:eu-north-1:000011112222:harbour-events";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/signatures/", $name))
    };
}

const ED25519: (&str, &str) = (fixture!("harbour-ed25519.key.pem"), fixture!("harbour-ed25519.pub.pem"));
const P256: (&str, &str) = (fixture!("harbour-p256.key.pem"), fixture!("harbour-p256.pub.pem"));
const RSA: (&str, &str) = (fixture!("harbour-rsa.key.pem"), fixture!("harbour-rsa.cert.pem"));

fn row(name: &str) -> &'static Scheme {
    scheme(name).unwrap()
}

fn key(text: &str) -> KeySettings {
    KeySettings::of_text("k", text)
}

fn settings(keys: &[&str]) -> SourceSettings {
    let mut settings = SourceSettings::of_vendor("generic").unwrap();
    settings.keys = keys.iter().map(|text| key(text)).collect();
    settings.topic_arns = vec![TOPIC.to_owned()];
    settings
}

fn signed(scheme: &str, secret: &str, body: &[u8]) -> HttpRequest {
    let (at, url) = (Timestamp::from_seconds(SIGNED_AT), "https://hooks.tides.example/in");
    let (body, settings) = (body.to_vec(), &settings(&[]));
    let order = Order { settings, secret, key_id: None, method: "POST", url, body, id: "msg-1", at };
    sign_request(row(scheme), &order).unwrap()
}

fn end(scheme: &str, settings: &SourceSettings, request: &HttpRequest) -> &'static str {
    end_at(scheme, settings, request, SIGNED_AT)
}

fn end_at(scheme: &str, settings: &SourceSettings, request: &HttpRequest, now: i64) -> &'static str {
    match prove(row(scheme), settings, request, Timestamp::from_seconds(now)) {
        Ok(()) => "valid",
        Err((reason, detail)) => {
            assert!(!detail.contains("tide") && !detail.contains("-----BEGIN"), "{detail}");
            reason.code()
        }
    }
}

fn with(request: &HttpRequest, name: &str, value: &str) -> HttpRequest {
    let mut changed = request.clone();
    changed.headers.retain(|(known, _)| known != name);
    changed.headers.push((name.to_owned(), value.to_owned()));
    changed
}

fn without(request: &HttpRequest, name: &str) -> HttpRequest {
    let mut changed = request.clone();
    changed.headers.retain(|(known, _)| known != name);
    changed
}

fn base64_of_pem(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

fn pkcs8(pem: &str) -> Vec<u8> {
    STANDARD.decode(base64_of_pem(pem)).unwrap()
}

fn rsa(padding: &'static dyn aws_lc_rs::signature::RsaEncoding, pem: &str, message: &[u8]) -> String {
    let pair = RsaKeyPair::from_pkcs8(&pkcs8(pem)).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
    STANDARD.encode(signature)
}

/// The bad variants that every scheme with a signature header has.
fn common_variants(scheme: &str, header: &str, (secret, public): (&str, &str), other: (&str, &str)) {
    let good = signed(scheme, secret, BODY);
    let value = good.header(header).unwrap();
    let ours = settings(&[public]);
    assert_eq!(end(scheme, &ours, &good), "valid");
    assert_eq!(end(scheme, &settings(&[other.1, public]), &good), "valid", "any key");
    assert_eq!(end(scheme, &settings(&[&base64_of_pem(public)]), &good), "valid", "without armour");
    assert_eq!(end(scheme, &settings(&[secret]), &good), "valid", "the signing key proves, too");
    let raw = STANDARD.decode(&value).unwrap();
    let mut altered = good.clone();
    altered.body[3] ^= 1;
    let mut shorter = good.clone();
    shorter.body.pop();
    let bad = [
        ("altered byte", altered, "sig_invalid"),
        ("lost byte", shorter, "sig_invalid"),
        ("other key", signed(scheme, other.0, BODY), "sig_invalid"),
        ("truncated", with(&good, header, &STANDARD.encode(&raw[..raw.len() - 1])), "sig_invalid"),
        ("hex", with(&good, header, &hex::encode(&raw)), "sig_invalid"),
        ("joined", with(&good, header, &format!("{value}, {value}")), "sig_invalid"),
        ("zeros", with(&good, header, &STANDARD.encode(vec![0; raw.len()])), "sig_invalid"),
        ("missing", without(&good, header), "sig_missing"),
        ("empty", with(&good, header, ""), "sig_missing"),
    ];
    for (what, request, expected) in bad {
        assert_eq!(end(scheme, &ours, &request), expected, "{scheme}: {what}");
    }
    assert_eq!(end(scheme, &settings(&[]), &good), "sig_no_key");
    assert_eq!(end(scheme, &settings(&["not a key"]), &good), "secret_unavailable", "never valid");
}

#[test]
fn df_2_telnyx_and_its_forgeries() {
    let other = (fixture!("lighthouse-ed25519.key.pem"), fixture!("lighthouse-ed25519.pub.pem"));
    common_variants("telnyx", "telnyx-signature-ed25519", ED25519, other);
    let (good, ours) = (signed("telnyx", ED25519.0, BODY), settings(&[ED25519.1]));
    let stamp = |value: &str| end("telnyx", &ours, &with(&good, "telnyx-timestamp", value));
    assert_eq!(
        [stamp("1795000001"), stamp("+1795000000"), stamp("")],
        ["sig_invalid", "sig_invalid", "sig_missing"]
    );
    let at = |now| end_at("telnyx", &ours, &good, now);
    assert_eq!([at(SIGNED_AT + 300), at(SIGNED_AT - 300)], ["valid", "valid"]);
    assert_eq!([at(SIGNED_AT + 301), at(SIGNED_AT - 301)], ["sig_expired", "sig_expired"]);
    // The account's key as Telnyx shows it: base64 of the 32 bytes alone.
    let bare = STANDARD.encode(&pkcs8(ED25519.1)[12..]);
    assert_eq!(end("telnyx", &settings(&[&bare]), &good), "valid");
}

#[test]
fn df_2_sendgrid_and_its_forgeries() {
    let other = (fixture!("lighthouse-p256.key.pem"), fixture!("lighthouse-p256.pub.pem"));
    let header = "x-twilio-email-event-webhook-signature";
    common_variants("sendgrid", header, P256, other);
    let (good, ours) = (signed("sendgrid", P256.0, BODY), settings(&[P256.1]));
    let message = [SIGNED_AT.to_string().as_bytes(), BODY].concat();
    let p384 =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &pkcs8(fixture!("harbour-p384.key.pem")));
    let curve = p384.unwrap().sign(&SystemRandom::new(), &message).unwrap();
    let wrong_curve = with(&good, header, &STANDARD.encode(curve));
    assert_eq!(end("sendgrid", &ours, &wrong_curve), "sig_invalid");
    let configured = settings(&[fixture!("harbour-p384.pub.pem")]);
    assert_eq!(
        end("sendgrid", &configured, &wrong_curve),
        "secret_unavailable",
        "a key of another curve is none"
    );
    assert_eq!(end("sendgrid", &settings(&[ED25519.1]), &good), "secret_unavailable");
    let stamp = "x-twilio-email-event-webhook-timestamp";
    assert_eq!(end("sendgrid", &ours, &with(&good, stamp, "1795000001")), "sig_invalid");
    assert_eq!(end("sendgrid", &ours, &without(&good, stamp)), "sig_missing");
    assert_eq!(end_at("sendgrid", &ours, &good, SIGNED_AT + 80_000), "valid", "the vendor sets no age");
    // The boundary between timestamp and body cannot be moved.
    let mut moved = with(&good, stamp, &format!("{SIGNED_AT}["));
    moved.body.remove(0);
    assert_eq!(end("sendgrid", &ours, &moved), "sig_invalid");
}

#[test]
fn df_2_gohighlevel_and_its_retired_signature() {
    let other = (fixture!("lighthouse-ed25519.key.pem"), fixture!("lighthouse-ed25519.pub.pem"));
    common_variants("gohighlevel", "x-ghl-signature", ED25519, other);
    let good = signed("gohighlevel", ED25519.0, BODY);
    let mut ours = settings(&[ED25519.1]);
    assert_eq!(end("gohighlevel", &ours, &with(&good, "x-ghl-signature", "N/A")), "sig_missing");
    let retired = rsa(&RSA_PKCS1_SHA256, RSA.0, BODY);
    let old = with(&without(&good, "x-ghl-signature"), "x-wh-signature", &retired);
    assert_eq!(end("gohighlevel", &ours, &old), "sig_invalid", "no date, no keys");
    ours.legacy_keys = vec![key(fixture!("harbour-rsa.pub.pem"))];
    assert_eq!(end("gohighlevel", &ours, &old), "sig_invalid", "no date");
    ours.legacy_until = Some("soon".to_owned());
    assert_eq!(end("gohighlevel", &ours, &old), "sig_invalid", "no readable date");
    // 1795000000 is 2026-11-18T12:26:40Z.
    let limit = Timestamp::parse_rfc3339("2027-01-01T00:00:00Z").unwrap().seconds();
    ours.legacy_until = Some("2027-01-01T00:00:00Z".to_owned());
    assert_eq!(
        [limit, limit + 1].map(|now| end_at("gohighlevel", &ours, &old, now)),
        ["valid", "sig_invalid"]
    );
    let bad = [
        ("no way down", with(&old, "x-ghl-signature", &STANDARD.encode([7; 64]))),
        ("in the wrong header", with(&without(&old, "x-wh-signature"), "x-ghl-signature", &retired)),
        ("other hash", with(&old, "x-wh-signature", &rsa(&RSA_PKCS1_SHA512, RSA.0, BODY))),
        (
            "other key",
            with(&old, "x-wh-signature", &rsa(&RSA_PKCS1_SHA256, fixture!("lighthouse-rsa.key.pem"), BODY)),
        ),
    ];
    for (what, request) in bad {
        assert_eq!(end("gohighlevel", &ours, &request), "sig_invalid", "{what}");
    }
}

#[test]
fn df_2_vonage_binds_body_and_time() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (secret, ours) =
        ("harbour-signature-secret-0000001", settings(&["harbour-signature-secret-0000001"]));
    let good = signed("vonage-jwt", secret, BODY);
    assert_eq!(end("vonage-jwt", &ours, &good), "valid");
    let token = good.header("authorization").unwrap()["Bearer ".len()..].to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let head = |alg: &str| URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
    let mut other_body = good.clone();
    other_body.body.push(b' ');
    let authorized = |value: &str| with(&good, "authorization", value);
    let bad = [
        ("other body", other_body, "sig_invalid"),
        ("other secret", signed("vonage-jwt", "another", BODY), "sig_invalid"),
        ("none", authorized(&format!("Bearer {}.{}.", head("none"), parts[1])), "sig_invalid"),
        (
            "relabelled",
            authorized(&format!("Bearer {}.{}.{}", head("HS512"), parts[1], parts[2])),
            "sig_invalid",
        ),
        ("truncated", authorized(&format!("Bearer {}", &token[..token.len() - 4])), "sig_invalid"),
        ("padded", authorized(&format!("Bearer {token}=")), "sig_invalid"),
        ("four parts", authorized(&format!("Bearer {token}.{}", parts[2])), "sig_invalid"),
        ("basic", authorized("Basic aGFyYm91cjp0aWRl"), "sig_invalid"),
        ("empty", authorized(""), "sig_missing"),
        ("missing", without(&good, "authorization"), "sig_missing"),
    ];
    for (what, request, expected) in bad {
        assert_eq!(end("vonage-jwt", &ours, &request), expected, "{what}");
    }
    assert_eq!(end_at("vonage-jwt", &ours, &good, SIGNED_AT + 301), "sig_expired");
    assert_eq!(end_at("vonage-jwt", &ours, &good, SIGNED_AT - 301), "sig_expired");
    assert_eq!(end("vonage-jwt", &settings(&[]), &good), "sig_no_key");
}

#[test]
fn df_2_sns_by_certificate_topic_and_place() {
    let plain = json!({"TopicArn": TOPIC, "Message": "{\"tide\":\"fällt\"}\n", "Subject": "Ebbe"});
    let good = signed("sns", RSA.0, plain.to_string().as_bytes());
    let ours = settings(&[RSA.1]);
    assert_eq!(end("sns", &ours, &good), "valid");
    assert_eq!(end("sns", &ours, &signed("sns", RSA.0, BODY)), "valid", "any text, as the message");
    let changed = |name: &str, value: Value| {
        let mut fields: Value = serde_json::from_slice(&good.body).unwrap();
        fields[name] = value;
        HttpRequest { body: fields.to_string().into_bytes(), ..good.clone() }
    };
    let place = "https://sns.eu-north-1.amazonaws.com.tides.example/SimpleNotificationService-test.pem";
    let other_topic = json!({"TopicArn": format!("{TOPIC}-other"), "Message": "x"});
    let text = String::from_utf8(good.body.clone()).unwrap();
    let twice = text.replacen('{', "{\"Message\":\"x\",", 1).into_bytes();
    let bad = [
        ("message", changed("Message", json!("x")), "sig_invalid"),
        ("subject gone", changed("Subject", Value::Null), "sig_invalid"),
        ("look-alike host", changed("SigningCertURL", json!(place)), "sig_invalid"),
        ("no place", changed("SigningCertURL", json!("")), "sig_missing"),
        ("relabelled", changed("SignatureVersion", json!("1")), "sig_invalid"),
        ("unknown version", changed("SignatureVersion", json!("3")), "sig_invalid"),
        ("version as number", changed("SignatureVersion", json!(2)), "sig_invalid"),
        ("unknown type", changed("Type", json!("Rumour")), "sig_invalid"),
        ("no signature", changed("Signature", Value::Null), "sig_missing"),
        ("truncated", changed("Signature", json!("AAAA")), "sig_invalid"),
        ("a name twice", HttpRequest { body: twice, ..good.clone() }, "sig_invalid"),
        ("raw delivery", HttpRequest { body: b"{\"tide\":1}".to_vec(), ..good.clone() }, "sig_missing"),
        ("other topic", signed("sns", RSA.0, other_topic.to_string().as_bytes()), "sig_invalid"),
        (
            "other key",
            signed("sns", fixture!("lighthouse-rsa.key.pem"), plain.to_string().as_bytes()),
            "sig_invalid",
        ),
    ];
    for (what, request, expected) in bad {
        assert_eq!(end("sns", &ours, &request), expected, "{what}");
    }
    let unlisted = SourceSettings { topic_arns: Vec::new(), ..ours.clone() };
    assert_eq!(end("sns", &unlisted, &good), "sig_invalid", "a list of topics is required");
    assert_eq!(end("sns", &settings(&[]), &good), "sig_no_key");
    let old = HttpRequest { body: fixture!("sns_version_1.json").as_bytes().to_vec(), ..good };
    assert_eq!(end("sns", &ours, &old), "valid", "SHA-1, the topic's default");
    assert_eq!(end("sns", &SourceSettings { min_signature_version: 2, ..ours }, &old), "sig_invalid");
}

fn outbound(inside: &str) -> HttpRequest {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <n:notifications xmlns:n=\"http://soap.sforce.com/2005/09/outbound\">{inside}</n:notifications>\
         </s:Body></s:Envelope>\r\n"
    );
    signed("salesforce-outbound-message", "", body.as_bytes())
}

#[test]
fn df_2_salesforce_organisations_by_their_id_alone() {
    let mut ours = settings(&[]);
    let name = "salesforce-outbound-message";
    let ours_is = |id: &str| outbound(&format!("<n:OrganizationId>{id}</n:OrganizationId>"));
    assert_eq!(end(name, &ours, &ours_is("00DHarbour00001")), "sig_no_key");
    ours.organization_ids = vec!["00DHarbour00001AAA".to_owned(), "00D".to_owned()];
    let id = "<n:OrganizationId>00DHarbour00001</n:OrganizationId>";
    let dtd = |dtd: &str| {
        let good = ours_is("00DHarbour00001");
        let body = String::from_utf8(good.body.clone()).unwrap().replacen('\n', dtd, 1);
        HttpRequest { body: body.into_bytes(), ..good }
    };
    let cases = [
        ("15", ours_is("00DHarbour00001"), "valid"),
        ("18", ours_is("00DHarbour00001AAA"), "valid"),
        ("CDATA", ours_is("<![CDATA[00DHarbour00001AAA]]>"), "valid"),
        ("other case", ours_is("00DhARBOUR00001"), "sig_invalid"),
        ("longer", ours_is("00DHarbour00001A"), "sig_invalid"),
        ("a short entry is no prefix", ours_is("00DLighthouse01"), "sig_invalid"),
        ("blanks", ours_is(" 00DHarbour00001 "), "sig_invalid"),
        ("cut by a comment", ours_is("00DHarbour00001<!-- -->x"), "sig_invalid"),
        ("an element inside", ours_is("00DHarbour00001<b/>"), "sig_invalid"),
        ("empty", ours_is(""), "sig_missing"),
        ("none", outbound("<n:ActionId>x</n:ActionId>"), "sig_missing"),
        ("in a comment", outbound(&format!("<!--{id}-->")), "sig_missing"),
        ("twice", outbound(&format!("{id}{id}")), "sig_invalid"),
        (
            "in an object",
            outbound(&format!("<n:Notification><n:sObject>{id}</n:sObject></n:Notification>")),
            "sig_missing",
        ),
        ("no namespace", outbound("<OrganizationId>00DHarbour00001</OrganizationId>"), "sig_missing"),
        ("DTD", dtd("<!DOCTYPE s [<!ENTITY e 'x'>]>"), "sig_invalid"),
        ("empty DTD", dtd("<!DOCTYPE s>"), "sig_invalid"),
        ("deep", outbound(&("<a>".repeat(40) + &"</a>".repeat(40) + id)), "sig_invalid"),
        ("JSON", signed(name, "", b"{\"OrganizationId\":\"00DHarbour00001\"}"), "sig_invalid"),
    ];
    for (what, request, expected) in cases {
        assert_eq!(end(name, &ours, &request), expected, "{what}");
    }
}

#[test]
fn df_2_session_ids_are_taken_out_and_nothing_else() {
    let redact = row("salesforce-outbound-message").redact.unwrap();
    let tail = "<n:Notification>ä &amp;\r\n <x xmlns=\"urn:o\"><SessionId>own field</SessionId></x></n:Notification>";
    let sessions = [
        "<n:SessionId>00D!secret</n:SessionId>",
        "<n:SessionId\n a='>'><![CDATA[00D!secret<]]></n:SessionId >",
        "<SessionId xmlns='http://soap.sforce.com/2005/09/outbound'>00D!secret</SessionId>",
        "<n:SessionId/>",
        "<n:SessionId xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>",
        "<n:SessionId>00D!secret</n:SessionId><n:SessionId>00D!secret</n:SessionId>",
    ];
    let clean = outbound(tail).body;
    assert_eq!(redact(&clean), None);
    for session in sessions {
        let body = outbound(&format!("{session}{tail}")).body;
        assert_eq!(redact(&body).as_deref(), Some(clean.as_slice()), "{session}");
        // Cut off, or not even text: what is kept as evidence holds none either.
        let cut = &body[..body.len() - 30];
        let kept = redact(cut).unwrap_or_else(|| cut.to_vec());
        let binary = [b"\xff", body.as_slice()].concat();
        let kept_binary = redact(&binary).unwrap_or(binary);
        for kept in [kept, kept_binary] {
            assert!(!String::from_utf8_lossy(&kept).contains("secret"), "{session}");
        }
    }
}

#[test]
fn df_2_a_queue_source_is_never_proved_by_a_request() {
    let request = signed("telnyx", ED25519.0, BODY);
    assert_eq!(end("queue", &settings(&[ED25519.1]), &request), "sig_missing");
    let (at, url) = (Timestamp::from_seconds(SIGNED_AT), "https://hooks.tides.example/in");
    let settings = &settings(&[]);
    let order =
        |secret| Order { settings, secret, key_id: None, method: "POST", url, body: Vec::new(), id: "m", at };
    assert!(sign_request(row("queue"), &order("")).is_err());
    for name in ["telnyx", "sendgrid", "gohighlevel", "sns"] {
        let error = sign_request(row(name), &order(ED25519.1)).unwrap_err().to_string();
        assert!(!error.contains("BEGIN"), "{error}");
    }
}
