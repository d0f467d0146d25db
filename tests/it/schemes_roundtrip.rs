//! Every symmetric scheme against its own signer: what it signs counts, and nothing that differs from it does.

use longshore::{
    config::{KeySettings, SourceSettings},
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    sources::{
        contract::{Order, Scheme, SignError},
        inspect::prove,
        schemes::SCHEMES,
        sign::sign_request,
    },
};

use crate::senders::{NOW, URL, at};

/// A scheme with a good key, another one, and what it covers.
struct Case {
    scheme: &'static str,
    key: &'static str,
    other: &'static str,
    /// Is the body signed?
    body: bool,
    /// Is a time signed?
    timed: bool,
}

const fn text(scheme: &'static str, timed: bool) -> Case {
    Case { scheme, key: "a-secret-of-the-tests", other: "another-secret", body: true, timed }
}

const fn whsec(scheme: &'static str) -> Case {
    Case {
        key: "whsec_c2VuZGVyLWtleS1vZi10aGUtdGVzdHMtMDEyMzQ=",
        other: "whsec_c3RyYW5nZXItMDEyMzQ1Njc4OTAxMjM0NTY3ODk=",
        ..text(scheme, true)
    }
}

const CASES: [Case; 15] = [
    text("meta-sha256", false),
    text("hubspot-v1", false),
    text("hubspot-v2", false),
    text("hubspot-v3", true),
    whsec("standard-webhooks"),
    whsec("svix"),
    whsec("longshore"),
    text("stripe", true),
    text("slack", true),
    text("salesforce-ens", false),
    text("salesforce-datacloud", false),
    text("twilio", false),
    text("mandrill", false),
    Case { key: "user:password", other: "user:Password", body: false, ..text("basic-auth", false) },
    Case { body: false, ..text("dataverse", false) },
];
/// Bodies of both kinds, since Twilio signs them in different ways.
const BODIES: [&str; 2] = [r#"{"text":"caf\u00e9"}"#, "From=%2B1555&Body=h%C3%A9&Empty="];
/// Headers that a scheme can do without.
const OPTIONAL: [&str; 3] = ["content-type", "webhook-key-id", "x-twilio-webhooks-signature-settings"];
const KEY_ID: &str = "k-1";

impl Case {
    fn row(&self) -> &'static Scheme {
        SCHEMES.iter().find(|row| row.name == self.scheme).unwrap()
    }

    fn signed(&self, key: &str, body: &str) -> Result<HttpRequest, SignError> {
        let settings = settings(&[]);
        let (url, body) = (URL, body.as_bytes().to_vec());
        let order = Order {
            secret: key,
            key_id: Some(KEY_ID),
            method: "POST",
            url,
            body,
            id: "msg_1",
            at: NOW,
            settings: &settings,
        };
        sign_request(self.row(), &order)
    }

    fn verdict(&self, keys: &[&str], request: &HttpRequest, now: Timestamp) -> Option<Reason> {
        prove(self.row(), &settings(keys), request, now).err().map(|(reason, _)| reason)
    }

    /// The headers that prove the sender.
    fn proofs(&self) -> impl Iterator<Item = &'static str> {
        self.row().headers.iter().copied().filter(|name| !OPTIONAL.contains(name))
    }
}

fn settings(keys: &[&str]) -> SourceSettings {
    let key = |text: &&str| KeySettings::of_text(KEY_ID, *text);
    SourceSettings {
        keys: keys.iter().map(key).collect(),
        ..SourceSettings::of_vendor("standard-webhooks").unwrap()
    }
}

/// The request with every line of this header made into others.
fn with(request: &HttpRequest, name: &str, make: impl Fn(&str) -> Vec<String>) -> HttpRequest {
    let lines = |(found, value): &(String, String)| {
        let values = if found == name { make(value) } else { vec![value.clone()] };
        values.into_iter().map(|value| (found.clone(), value)).collect::<Vec<_>>()
    };
    HttpRequest { headers: request.headers.iter().flat_map(lines).collect(), ..request.clone() }
}

fn each(mut check: impl FnMut(&Case, HttpRequest)) {
    for case in &CASES {
        for body in BODIES {
            check(case, case.signed(case.key, body).unwrap());
        }
    }
}

#[test]
fn df_2_what_is_signed_counts_under_any_active_key() {
    each(|case, request| {
        for keys in [&[case.key][..], &[case.other, case.key], &[case.key, case.other]] {
            assert_eq!(case.verdict(keys, &request, NOW), None, "{}", case.scheme);
        }
        let upper = |name: &String| name.to_ascii_uppercase();
        let headers = request.headers.iter().map(|(name, value)| (upper(name), value.clone())).collect();
        let request = HttpRequest { headers, ..request };
        assert_eq!(case.verdict(&[case.key], &request, NOW), None, "{}: names have no case", case.scheme);
    });
}

#[test]
fn df_2_rce_12_no_byte_of_the_body_can_change() {
    each(|case, request| {
        for place in 0..request.body.len() {
            let mut body = request.body.clone();
            // Stays a letter or digit, so that a form keeps its shape.
            body[place] = if body[place] == b'x' { b'y' } else { b'x' };
            let verdict = case.verdict(&[case.key], &HttpRequest { body, ..request.clone() }, NOW);
            assert_eq!(verdict, case.body.then_some(Reason::SigInvalid), "{}: byte {place}", case.scheme);
        }
        let longer = HttpRequest { body: [&request.body[..], b"x"].concat(), ..request.clone() };
        let verdict = case.verdict(&[case.key], &longer, NOW);
        assert_eq!(verdict, case.body.then_some(Reason::SigInvalid), "{}: longer", case.scheme);
    });
}

#[test]
fn df_2_rce_12_no_other_key_and_no_missing_key_will_do() {
    each(|case, request| {
        let verdict = |keys: &[&str]| case.verdict(keys, &request, NOW);
        assert_eq!(verdict(&[case.other]), Some(Reason::SigInvalid), "{}", case.scheme);
        assert_eq!(verdict(&[]), Some(Reason::SigNoKey), "{}", case.scheme);
        assert_eq!(verdict(&[""]), Some(Reason::SecretUnavailable), "{}: empty secret", case.scheme);
        assert_eq!(verdict(&["", case.key]), None, "{}: beside an empty one", case.scheme);
        assert!(matches!(case.signed("", BODIES[0]), Err(SignError::Key(_))), "{}", case.scheme);
    });
}

#[test]
fn df_2_wa_25_every_header_of_the_proof_is_needed_as_it_was_sent() {
    each(|case, request| {
        for name in case.proofs() {
            assert!(request.header(name).is_some(), "{} signs without {name}", case.scheme);
            let verdict = |make: &dyn Fn(&str) -> Vec<String>| {
                case.verdict(&[case.key], &with(&request, name, make), NOW)
            };
            let place = format!("{}: {name}", case.scheme);
            assert_eq!(verdict(&|_| vec![]), Some(Reason::SigMissing), "{place} absent");
            assert_eq!(verdict(&|_| vec![String::new()]), Some(Reason::SigMissing), "{place} empty");
            let twice = |value: &str| vec![value.to_owned(), value.to_owned()];
            assert_eq!(verdict(&twice), Some(Reason::SigInvalid), "{place} twice");
            let longer = |value: &str| vec![format!("{value}0")];
            assert_eq!(verdict(&longer), Some(Reason::SigInvalid), "{place} longer");
            let shorter = |value: &str| vec![value[..value.len() - 1].to_owned()];
            assert_ne!(verdict(&shorter), None, "{place} shorter");
        }
    });
}

#[test]
fn df_2_signed_times_count_for_300_seconds_both_ways() {
    each(|case, request| {
        for (seconds, late) in [(300, false), (-300, false), (301, true), (-301, true), (1 << 25, true)] {
            let expected = (late && case.timed).then_some(Reason::SigExpired);
            let verdict = |key| case.verdict(&[key], &request, at(seconds));
            assert_eq!(verdict(case.key), expected, "{} {seconds} s later", case.scheme);
            assert_eq!(
                verdict(case.other),
                Some(Reason::SigInvalid),
                "{}: forged is not expired",
                case.scheme
            );
        }
    });
}

#[test]
fn a_shared_key_of_twilio_is_announced_and_a_token_is_not() {
    let twilio = SCHEMES.iter().find(|row| row.name == "twilio").unwrap();
    let settings = settings(&[]);
    for (id, announced) in
        [("webhooks_sharedkey_1", Some("key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")), (KEY_ID, None)]
    {
        let order = Order {
            secret: "s",
            key_id: Some(id),
            method: "POST",
            url: URL,
            body: BODIES[1].as_bytes().to_vec(),
            id: "msg_1",
            at: NOW,
            settings: &settings,
        };
        let request = sign_request(twilio, &order).unwrap();
        assert_eq!(request.header("x-twilio-webhooks-signature-settings").as_deref(), announced);
        let mut settings = self::settings(&["s"]);
        settings.keys[0].id = id.to_owned();
        assert!(prove(twilio, &settings, &request, NOW).is_ok());
    }
}

#[test]
fn a_credential_stands_where_the_settings_say() {
    let row = SCHEMES.iter().find(|row| row.name == "dataverse").unwrap();
    for (place, header, url) in [
        (None, Some("x-longshore-key"), URL.to_owned()),
        (Some("header:X-Ours"), Some("x-ours"), URL.to_owned()),
        (Some("query:code"), None, format!("{URL}&code=a%2Bb%26c")),
    ] {
        let mut settings = settings(&["a+b&c"]);
        settings.credential_in = place.map(str::to_owned);
        let order = Order {
            secret: "a+b&c",
            key_id: None,
            method: "POST",
            url: URL,
            body: Vec::new(),
            id: "msg_1",
            at: NOW,
            settings: &settings,
        };
        let request = sign_request(row, &order).unwrap();
        assert_eq!(request.url, url);
        assert_eq!(header.map(|name| request.header(name)), header.map(|_| Some("a+b&c".to_owned())));
        assert_eq!(prove(row, &settings, &request, NOW), Ok(()));
    }
}
