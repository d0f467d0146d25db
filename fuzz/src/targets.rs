//! What is fuzzed: a message as decoded, a request as verified by each scheme, a body as read by each vendor.
//! The fuzzer's binaries and the replay of the corpus in the test suite run the same functions.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use longshore::{
    config::{KeySettings, SealKeySettings, SealSettings, SourceSettings},
    domain::{
        delivery::{Attribute, Delivery, Receipt},
        envelope::HttpRequest,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Scheme, Vendor},
        decode::Defaults,
        inspect::{prove, take_apart},
        objects::Objects,
        prove::prove as prove_sender,
        read::read,
        schemes::SCHEMES,
        senders::Senders,
        vendors::VENDORS,
        verified::{Checked, Verified},
    },
};

/// 2026-11-20T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_795_176_000_000_000);

/// Every target by its name: `envelope`, `verify/SCHEME`, `read/VENDOR`.
pub(crate) fn names() -> Vec<String> {
    let schemes = SCHEMES.iter().map(|scheme| format!("verify/{}", scheme.name));
    let vendors = VENDORS.iter().map(|vendor| format!("read/{}", vendor.name));
    std::iter::once("envelope".to_owned()).chain(schemes).chain(vendors).collect()
}

/// Runs one target on one input. A panic is a find; so is a slow or a greedy input, which the fuzzer's limits tell.
pub(crate) fn run(target: &str, input: &[u8]) {
    let row = target.split_once('/');
    match row {
        Some(("verify", name)) => {
            let scheme = SCHEMES.iter().find(|row| row.name == name).expect("a scheme's name");
            verify_request(scheme, input);
        }
        Some(("read", name)) => {
            let vendor = VENDORS.iter().find(|row| row.name == name).expect("a vendor's name");
            read_body(vendor, input);
        }
        _ => open_envelope(input),
    }
}

/// Head lines, an empty line, and the rest.
fn head_and_body(input: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = end.map_or((input, &input[input.len()..]), |at| (&input[..at], &input[at + 2..]));
    let head = String::from_utf8_lossy(head);
    let line = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    (head.lines().filter_map(line).collect(), body)
}

/// `url: ...`, headers, an empty line, the body.
fn request(input: &[u8]) -> HttpRequest {
    let (mut headers, body) = head_and_body(input);
    let mut take = |wanted: &str| {
        let at = headers.iter().position(|(name, _)| name == wanted)?;
        Some(headers.remove(at).1)
    };
    let method = take("method").unwrap_or_else(|| "POST".to_owned());
    let url = take("url").unwrap_or_else(|| "https://hooks.example.com/in".to_owned());
    HttpRequest { method, url, headers, body: body.to_vec() }
}

fn verify_request(scheme: &Scheme, input: &[u8]) {
    let settings = settings("generic");
    let request = request(input);
    if let Some(redact) = scheme.redact
        && let Some(clean) = redact(&request.body)
    {
        assert!(redact(&clean).is_none(), "what was redacted holds nothing more to redact");
    }
    let _ = prove(scheme, &settings, &request, NOW);
}

fn read_body(vendor: &Vendor, input: &[u8]) {
    let settings = settings(vendor.name);
    let seen = take_apart(vendor, &settings, &request(input), NOW);
    let again = take_apart(vendor, &settings, &request(input), NOW);
    let keys = |seen: &[Result<_, _>]| -> Vec<Option<String>> {
        seen.iter()
            .map(|item: &Result<longshore::sources::inspect::Seen, _>| {
                item.as_ref().ok().map(|s| s.id.clone())
            })
            .collect()
    };
    assert_eq!(keys(&seen), keys(&again), "the same body has the same keys");
}

/// Attributes, an empty line, the message body.
fn open_envelope(input: &[u8]) {
    let (attributes, body) = head_and_body(input);
    let attributes: BTreeMap<_, _> =
        attributes.into_iter().map(|(name, value)| (name, Attribute::Text(value))).collect();
    let delivery = Delivery {
        message_id: "m-1".to_owned(),
        receipt: Receipt("r-1".to_owned()),
        body: String::from_utf8_lossy(body).into_owned(),
        attributes,
        sent_at: NOW,
        receive_count: 1,
        group: None,
    };
    for trusted in [false, true] {
        let defaults = Defaults { form: None, source: None, trusted };
        let senders = senders(defaults);
        // Without an object store nothing is waited for.
        let proved = prove_sender(&delivery, &senders, &Objects::none()).now_or_never();
        if let Some(Ok(Checked::Trusted(Verified::Message(message)))) = proved {
            let _ = read(&message);
        }
    }
}

/// Settings that let every scheme come as far as it can.
fn settings(vendor: &str) -> SourceSettings {
    let mut settings = SourceSettings::of_vendor(vendor).expect("defaults");
    settings.tenant = Some("acme".to_owned());
    settings.keys = KEYS
        .iter()
        .enumerate()
        .map(|(index, text)| KeySettings::of_text(format!("key-{index}"), *text))
        .collect();
    settings.legacy_keys = vec![KeySettings::of_text("legacy", RSA)];
    settings.legacy_until = Some("2027-01-01T00:00:00Z".to_owned());
    settings.organization_ids = vec!["00D5g000004Zq1AEAS".to_owned()];
    settings.topic_arns = vec!["arn:aws:sns:eu-west-1:123456789012:crm-events".to_owned()];
    settings.origins = vec!["*".to_owned()];
    settings.fields.system = Some("invented".to_owned());
    settings.fields.id = vec!["/id".to_owned(), "/sub/id".to_owned()];
    settings.fields.event_type = Some("/type".to_owned());
    settings.fields.time = Some("/at".to_owned());
    settings.fields.account = Some("/account".to_owned());
    settings.fields.items = (vendor == "generic").then(|| "/items".to_owned());
    settings
}

/// One of each kind that schemes take; none guards anything.
const KEYS: [&str; 6] = [SHARED, WHSEC, ED25519, P256, RSA, CERTIFICATE];
/// For schemes that take text.
pub(crate) const SHARED: &str = "fuzz-user:a-shared-secret-for-fuzzing";
/// For Standard Webhooks and what is built like it.
pub(crate) const WHSEC: &str = "whsec_ZnV6emluZy1rZXktbm90LWEtc2VjcmV0LTAxMjM=";
const ED25519: &str = include_str!("../../tests/fixtures/signatures/harbour-ed25519.pub.pem");
const P256: &str = include_str!("../../tests/fixtures/signatures/harbour-p256.pub.pem");
const RSA: &str = include_str!("../../tests/fixtures/signatures/harbour-rsa.pub.pem");
const CERTIFICATE: &str = include_str!("../../tests/fixtures/signatures/harbour-rsa.cert.pem");

fn senders(defaults: Defaults) -> Senders {
    let seal = SealSettings {
        keys: vec![SealKeySettings {
            key: KeySettings::of_text("edge", WHSEC),
            sources: vec!["*".to_owned()],
        }],
        sign_with: None,
    };
    // Proved by the queue's policy, so that a trusted message comes as far as its events.
    let by_policy = |row: &Vendor| SourceSettings { scheme: Some("queue".to_owned()), ..settings(row.name) };
    let sources = VENDORS.iter().map(|row| (row.name.to_owned(), by_policy(row))).collect();
    Senders::new(&seal, &sources, (false, defaults)).expect("senders")
}
