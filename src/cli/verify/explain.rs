//! A judgement in steps: what is there, what was expected, where it ends, and what would change it.

use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{
    cli::verify::{
        diagnosis::{Case, diagnose},
        expected::expected,
    },
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
        ("form", format!("expected: {}", expected(case.scheme.name).shape)),
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
    let usual = expected(case.scheme.name);
    Explanation {
        source: source.to_owned(),
        scheme: case.scheme.name,
        valid: judged.is_ok(),
        reason: reason.map(Reason::code),
        detail,
        steps: steps.collect(),
        expected: usual.shape,
        diagnosis: judged.err().map(|fault| advice(case, others, &fault)).unwrap_or_default(),
        usual_causes: usual.causes,
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
