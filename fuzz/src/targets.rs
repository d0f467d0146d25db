//! What is fuzzed: a message as decoded, a request as verified by each scheme, a body as read by each vendor.
//! The fuzzer's binaries and the replay of the corpus in the test suite run the same functions.

use std::collections::BTreeMap;

use longshore::{
    config::{KeySettings, KeyState, SealKeySettings, SealSettings, SourceSettings},
    domain::{
        delivery::{Attribute, Delivery, Receipt},
        envelope::HttpRequest,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Scheme, Vendor},
        decode::{Defaults, decode},
        inspect::{prove, take_apart},
        schemes::SCHEMES,
        senders::Senders,
        sign::SealKey,
        vendors::VENDORS,
        verified::verify,
    },
};

/// 2026-11-20T12:00:00Z.
pub const NOW: Timestamp = Timestamp(1_795_176_000_000_000);

/// Every target by its name: `envelope`, `verify/SCHEME`, `read/VENDOR`.
pub fn names() -> Vec<String> {
    let schemes = SCHEMES.iter().map(|scheme| format!("verify/{}", scheme.name));
    let vendors = VENDORS.iter().map(|vendor| format!("read/{}", vendor.name));
    std::iter::once("envelope".to_owned()).chain(schemes).chain(vendors).collect()
}

/// Runs one target on one input. A panic is a find; so is a slow or a greedy input, which the fuzzer's limits tell.
pub fn run(target: &str, input: &[u8]) {
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
        seen.iter().map(|item: &Result<longshore::sources::inspect::Seen, _>| item.as_ref().ok().map(|s| s.id.clone())).collect()
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
    let defaults = Defaults::default();
    if let Ok(envelope) = decode(&delivery, &defaults) {
        let _ = verify(envelope, &senders(defaults));
    }
}

/// Settings that let every scheme come as far as it can.
fn settings(vendor: &str) -> SourceSettings {
    let mut settings = SourceSettings::of_vendor(vendor).expect("defaults");
    settings.tenant = Some("acme".to_owned());
    settings.keys = KEYS.iter().enumerate().map(|(index, text)| key(&format!("key-{index}"), text)).collect();
    settings
}

/// One of each kind that schemes take; none guards anything.
const KEYS: [&str; 2] = ["a-shared-secret-for-fuzzing", "whsec_ZnV6emluZy1rZXktbm90LWEtc2VjcmV0LTAxMjM="];

fn key(id: &str, text: &str) -> KeySettings {
    KeySettings {
        id: id.to_owned(),
        secret: None,
        public_key: Some(text.to_owned()),
        state: KeyState::Active,
        not_before: None,
        not_after: None,
    }
}

fn senders(defaults: Defaults) -> Senders {
    let edge = SealKey { id: Some("edge"), secret: KEYS[1] };
    let seal = SealSettings {
        keys: vec![SealKeySettings { key: key("edge", edge.secret), sources: vec!["*".to_owned()] }],
        sign_with: None,
    };
    let sources = VENDORS.iter().filter(|row| row.scheme.is_some());
    let sources = sources.map(|row| (row.name.to_owned(), settings(row.name))).collect();
    Senders::new(&seal, &sources, (false, defaults)).expect("senders")
}

/// The target of this binary: its own name and, where it has rows, the one in the environment variable FUZZ_ROW.
pub fn chosen(binary: &'static str) -> &'static str {
    static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| match std::env::var("FUZZ_ROW") {
        Ok(row) => format!("{binary}/{row}"),
        Err(_) => binary.to_owned(),
    })
}
