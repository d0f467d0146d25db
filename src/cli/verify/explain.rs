//! A judgement in steps: what is there, what was expected, where it ends, and what would change it.

use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    cli::verify::diagnosis::{Case, diagnose},
    config::KeyState,
    domain::reason::Reason,
};

/// Everything that is said about one request. Holds no secret, no digest and no body.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// The configured source.
    pub(super) source: String,
    /// Its scheme.
    pub(super) scheme: &'static str,
    /// Is it authentic, and in time?
    pub(super) valid: bool,
    /// The reason code, where it is not.
    pub(super) reason: Option<&'static str>,
    /// Why.
    pub(super) detail: Option<String>,
    /// In the order in which they are checked.
    pub(super) steps: Vec<Step>,
    /// What the scheme expects.
    pub(super) expected: &'static str,
    /// What would make it match.
    pub(super) diagnosis: Vec<String>,
    /// Why this scheme usually fails.
    pub(super) usual_causes: &'static [&'static str],
}

/// One check.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// What is checked.
    pub(super) step: &'static str,
    /// `ok`, `failed` or `not reached`.
    pub(super) end: &'static str,
    /// What was found.
    pub(super) found: String,
}

/// Judges a request, and says why.
pub(super) fn explain(source: &str, case: &Case, others: &[(String, Case)]) -> Explanation {
    let judged = case.judge();
    let failed_at = judged.as_ref().err().map(stage);
    let found = [
        ("source", format!("{source}: vendor {}, scheme {}", case.settings.vendor, case.scheme.name)),
        ("keys", keys(case)),
        ("headers", headers(case)),
        ("form", format!("expected: {}", case.scheme.shape)),
        ("signature", tried(case)),
        ("time", format!("received {}, tolerance {} s", time(case), case.settings.tolerance.as_secs())),
    ];
    let steps = found.into_iter().enumerate().map(|(at, (step, found))| Step {
        step,
        end: match failed_at {
            Some(failed) if failed == at => "failed",
            Some(failed) if failed < at => "not reached",
            _ => "ok",
        },
        found,
    });
    let (reason, detail) = judged.clone().err().unzip();
    Explanation {
        source: source.to_owned(),
        scheme: case.scheme.name,
        valid: judged.is_ok(),
        reason: reason.map(Reason::code),
        detail,
        steps: steps.collect(),
        expected: case.scheme.shape,
        diagnosis: judged.err().map(|fault| advice(case, others, &fault)).unwrap_or_default(),
        usual_causes: case.scheme.causes,
    }
}

/// Position of the step that failed. A retired key is right, but not now.
fn stage((reason, detail): &(Reason, String)) -> usize {
    match reason {
        Reason::SigNoKey | Reason::SecretUnavailable => 1,
        Reason::SigMissing => 2,
        Reason::SigExpired => 5,
        _ if detail.contains("is good only for") => 5,
        _ if detail.starts_with("no match") => 4,
        _ => 3,
    }
}

fn advice(case: &Case, others: &[(String, Case)], (reason, detail): &(Reason, String)) -> Vec<String> {
    if *reason == Reason::SigExpired {
        return vec![format!("the signature is right, only the time is not: {detail}")];
    }
    let mut found = diagnose(case);
    let right = others.iter().filter(|(_, other)| other.is_authentic());
    found.extend(right.map(|(what, _)| format!("it would match {what}")));
    found
}

fn keys(case: &Case) -> String {
    let key = |key: &crate::config::KeySettings| {
        let state = match key.state {
            KeyState::Active => "active",
            KeyState::ReplayOnly => "replay-only",
            KeyState::Revoked => "revoked",
        };
        format!("{} ({state})", key.id)
    };
    let all: Vec<_> = case.settings.keys.iter().map(key).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn headers(case: &Case) -> String {
    let one = |name: &&str| match case.request.header(name) {
        Some(value) if !value.is_empty() => format!("{name}: {} characters", value.chars().count()),
        Some(_) => format!("{name}: empty"),
        None => format!("{name}: absent"),
    };
    let all: Vec<_> = case.scheme.headers.iter().map(one).collect();
    if all.is_empty() { "none needed".to_owned() } else { all.join("; ") }
}

/// Each key on its own: ids only.
fn tried(case: &Case) -> String {
    let one = |key: &crate::config::KeySettings| {
        let mut alone = case.clone();
        alone.settings.keys = vec![key.clone()];
        let blanks = key.read().is_ok_and(|text| text.expose_secret().trim() != text.expose_secret());
        let end = match alone.judge() {
            Ok(()) | Err((Reason::SigExpired, _)) => "match",
            Err((Reason::SigNoKey, _)) => "does not count now",
            Err((Reason::SecretUnavailable, _)) => "cannot be read as a key of this scheme",
            Err((_, why)) if why.contains("is good only for") => "match, but retired",
            Err(_) if blanks => "no match (the key has blanks around it)",
            Err(_) => "no match",
        };
        format!("{}: {end}", key.id)
    };
    let all: Vec<_> = case.settings.keys.iter().map(one).collect();
    if all.is_empty() { "no keys to try".to_owned() } else { all.join(", ") }
}

fn time(case: &Case) -> String {
    let text = case.now.to_calendar().format(&time::format_description::well_known::Rfc3339);
    text.unwrap_or_else(|_| "at an unknown time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{KeySettings, SourceSettings},
        domain::{envelope::HttpRequest, timestamp::Timestamp},
        sources::{contract::Order, scheme, sign::sign_request},
    };

    const SECRET: &str = "harbour-test-secret";

    fn case(name: &str, secret: &str) -> Case {
        let mut settings = SourceSettings::of_vendor("generic").unwrap();
        settings.keys.push(KeySettings::of_text("k1", secret));
        let (scheme, now) = (scheme(name).unwrap(), Timestamp::from_seconds(1_795_000_000));
        let order = Order {
            settings: &settings,
            secret,
            key_id: None,
            method: "POST",
            url: "https://hooks.tides.example/in?a=1",
            body: b"{\"tide\": \"high\", \"list\": [1, 2]}\r\n".to_vec(),
            id: "m1",
            at: now,
        };
        let request = sign_request(scheme, &order).unwrap();
        Case { scheme, settings, request, now }
    }

    fn told(case: &Case) -> Explanation {
        let told = explain("harbour", case, &[]);
        let text = serde_json::to_string(&told).unwrap();
        assert!(!text.contains(SECRET) && !text.contains("high"), "{text}");
        told
    }

    #[test]
    fn df_2_a_valid_request_passes_every_step() {
        let told = told(&case("hubspot-v3", SECRET));
        assert!(told.valid && told.diagnosis.is_empty() && told.steps.iter().all(|step| step.end == "ok"));
    }

    #[test]
    fn df_2_common_changes_are_recognised() {
        type Spoil = fn(&mut Case);
        let spoils: [(&str, Spoil, &str); 9] = [
            ("line end", |c| c.request.body.truncate(c.request.body.len() - 2), "with CRLF behind the body"),
            ("added", |c| c.request.body.extend(b"\n"), "with CRLF behind the body"),
            ("http", |c| c.request.url = c.request.url.replace("https", "http"), "https in the URL"),
            (
                "port",
                |c| c.request.url = c.request.url.replace(".example", ".example:8443"),
                "no port in the URL",
            ),
            (
                "slash",
                |c| c.request.url = c.request.url.replace("/in", "/in/"),
                "no slash at the end of the path",
            ),
            (
                "public",
                |c| c.settings.public_url = Some("https://x.example/y".to_owned()),
                "the URL as seen instead",
            ),
            (
                "blanks",
                |c| c.settings.keys[0].public_key = Some(format!(" {SECRET}\n")),
                "blanks around the key",
            ),
            ("revoked", |c| c.settings.keys[0].state = KeyState::Revoked, "if key k1 counted"),
            (
                "two at once",
                |c| {
                    c.request.url = c.request.url.replace("https", "http");
                    c.request.body.truncate(c.request.body.len() - 2);
                },
                "with CRLF behind the body, and for https in the URL",
            ),
        ];
        for (what, spoil, expected) in spoils {
            let mut case = case("hubspot-v3", SECRET);
            spoil(&mut case);
            let told = told(&case);
            assert!(
                told.diagnosis.iter().any(|line| line.contains(expected)),
                "{what}: {:?}",
                told.diagnosis
            );
        }
    }

    #[test]
    fn df_2_layout_keys_and_time_are_recognised() {
        let mut compact = case("meta-sha256", SECRET);
        let signed = Order {
            settings: &compact.settings,
            secret: SECRET,
            key_id: None,
            method: "POST",
            url: "https://hooks.tides.example/in",
            body: b"{\"tide\":\"high\",\"list\":[1,2]}".to_vec(),
            id: "m",
            at: compact.now,
        };
        let headers = sign_request(compact.scheme, &signed).unwrap().headers;
        compact.request.headers = headers;
        assert!(told(&compact).diagnosis.iter().any(|line| line.contains("written compactly")));

        let mut undecoded = case("standard-webhooks", "whsec_aGFyYm91ci10ZXN0LXNlY3JldC0wMDAx");
        let text = "d2hzZWNfYUdGeVltOTFjaTEwWlhOMExYTmxZM0psZEMwd01EQXg=";
        undecoded.request = case("standard-webhooks", text).request;
        assert!(told(&undecoded).diagnosis.iter().any(|line| line.contains("used as it is")));

        let mut late = case("hubspot-v3", SECRET);
        late.now = late.now.plus(std::time::Duration::from_secs(4_000));
        let late = told(&late);
        assert_eq!(
            (late.reason, late.steps[5].end, late.steps[4].end),
            (Some("sig_expired"), "failed", "ok")
        );
        assert!(late.diagnosis[0].contains("4000 s before"));
    }

    #[test]
    fn df_2_each_failure_stands_at_its_step() {
        let good = case("hubspot-v3", SECRET);
        let no_headers =
            Case { request: HttpRequest { headers: Vec::new(), ..good.request.clone() }, ..good.clone() };
        let mut no_keys = good.clone();
        no_keys.settings.keys.clear();
        let mut form = good.clone();
        form.request.headers.iter_mut().for_each(|(_, value)| value.push('!'));
        let mut forged = good;
        forged.request.body = b"{}".to_vec();
        for (case, step) in [(no_keys, 1), (no_headers, 2), (form, 3), (forged, 4)] {
            let ends: Vec<_> = told(&case).steps.iter().map(|step| step.end).collect();
            let expected: Vec<_> = (0..6)
                .map(|at| {
                    if at < step {
                        "ok"
                    } else if at == step {
                        "failed"
                    } else {
                        "not reached"
                    }
                })
                .collect();
            assert_eq!(ends, expected);
        }
    }
}
