//! `longshore verify --vectors`: requests with known outcomes, held against what this release says.

use std::{collections::BTreeMap, fmt};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cli::{
        output::{say, say_json, say_table},
        signing::read,
    },
    config::{KeySettings, SourceSettings},
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    lifecycle::{ExitCode, Stop},
    sources::{inspect::prove, scheme, vendors::VENDORS},
};

/// One request and what should be said of it. Fields that are not named here are comments.
#[derive(Deserialize)]
struct Vector {
    scheme: String,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    public_key: Option<String>,
    #[serde(default)]
    also_active: Vec<String>,
    #[serde(default)]
    secrets_by_id: BTreeMap<String, String>,
    #[serde(default)]
    config: Extras,
    method: String,
    url: String,
    headers: Headers,
    body_base64: String,
    now_unix: i64,
    expect: Outcome,
}

/// A map, or a list of pairs where one name stands on several lines.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    Map(BTreeMap<String, String>),
    List(Vec<(String, String)>),
}

/// What schemes need besides keys.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Extras {
    legacy_rsa_public_key: Option<String>,
    legacy_until_unix: Option<i64>,
    mode: Option<String>,
    name: Option<String>,
    topic_arns: Vec<String>,
    min_signature_version: Option<u8>,
    organization_ids: Vec<String>,
    public_url: Option<String>,
    escaped_body: bool,
}

/// What is said of a request.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Valid,
    Missing,
    Invalid,
    Expired,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
        })
    }
}

/// A vector that did not end as expected.
#[derive(Debug, Serialize)]
struct Disagreement {
    scheme: String,
    case: String,
    expected: String,
    got: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    disagreements: Vec<Disagreement>,
}

/// Judges every vector of the file and says where it disagrees.
pub(super) fn run(file: &str, json: bool) -> anyhow::Result<ExitCode> {
    let vectors: Vec<Value> = serde_json::from_slice(&read(file)?).map_err(|error| {
        let hint = "a vector file is a JSON list of cases; `longshore verify --help` names their fields";
        Stop::new(ExitCode::BadInput, format!("{file}: {error}")).hint(hint)
    })?;
    if vectors.is_empty() {
        return Err(Stop::new(ExitCode::BadInput, format!("{file}: holds no vectors")).into());
    }
    let report = judged(&vectors);
    if json {
        say_json(&report)?;
    } else {
        if report.failed > 0 {
            let row = |d: &Disagreement| {
                [&d.scheme, &d.case, &d.expected, &d.got, &d.why].map(Clone::clone).to_vec()
            };
            let rows: Vec<_> = report.disagreements.iter().map(row).collect();
            say_table(&["scheme", "case", "expected", "got", "why"], &rows);
        }
        say(&format!("{} passed, {} failed", report.passed, report.failed));
    }
    Ok(if report.failed == 0 { ExitCode::Ok } else { ExitCode::No })
}

fn judged(vectors: &[Value]) -> Report {
    let disagreements: Vec<_> = vectors.iter().filter_map(disagreement).collect();
    let failed = disagreements.len();
    Report { passed: vectors.len() - failed, failed, disagreements }
}

fn disagreement(vector: &Value) -> Option<Disagreement> {
    let text = |field| vector.get(field).and_then(Value::as_str).unwrap_or("-").to_owned();
    let (got, why) = match Vector::deserialize(vector).context("cannot be read").and_then(outcome) {
        Ok((expected, got, _)) if got == expected => return None,
        Ok((_, got, why)) => (got.to_string(), why),
        Err(error) => ("error".to_owned(), format!("{error:#}")),
    };
    Some(Disagreement { scheme: text("scheme"), case: text("case"), expected: text("expect"), got, why })
}

/// What was expected, what came out, and why.
fn outcome(vector: Vector) -> anyhow::Result<(Outcome, Outcome, String)> {
    let scheme = scheme(&vector.scheme)
        .with_context(|| format!("this release knows no scheme `{}`", vector.scheme))?;
    let expected = vector.expect;
    let now = Timestamp::from_seconds(vector.now_unix);
    let (settings, request) = (settings(&vector)?, request(vector)?);
    Ok(match prove(scheme, &settings, &request, now) {
        Ok(()) => (expected, Outcome::Valid, "the signature holds".to_owned()),
        Err((Reason::SigMissing, why)) => (expected, Outcome::Missing, why),
        Err((Reason::SigExpired, why)) => (expected, Outcome::Expired, why),
        Err((_, why)) => (expected, Outcome::Invalid, why),
    })
}

fn request(vector: Vector) -> anyhow::Result<HttpRequest> {
    let headers: Vec<_> = match vector.headers {
        Headers::Map(map) => map.into_iter().collect(),
        Headers::List(list) => list,
    };
    let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
    Ok(HttpRequest {
        method: vector.method,
        url: vector.url,
        headers: headers.into_iter().map(lower).collect(),
        body: STANDARD.decode(vector.body_base64).context("`body_base64` is not base64")?,
    })
}

/// Only the scheme counts here: any vendor will do.
fn settings(vector: &Vector) -> anyhow::Result<SourceSettings> {
    let vendor = VENDORS.first().context("this release has no vendors")?;
    let (own, config) = (SourceSettings::of_vendor(vendor.name)?, &vector.config);
    let first =
        vector.secret.iter().chain(&vector.public_key).map(|text| KeySettings::of_text("primary", text));
    let further = vector
        .also_active
        .iter()
        .enumerate()
        .map(|(i, text)| KeySettings::of_text(format!("further-{i}"), text));
    let named = vector.secrets_by_id.iter().map(|(id, text)| KeySettings::of_text(id, text));
    let place = config.mode.as_ref().zip(config.name.as_ref());
    let until = config.legacy_until_unix.map(Timestamp::from_seconds);
    Ok(SourceSettings {
        keys: first.chain(further).chain(named).collect(),
        public_url: config.public_url.clone(),
        credential_in: place.map(|(mode, name)| format!("{mode}:{name}")),
        organization_ids: config.organization_ids.clone(),
        topic_arns: config.topic_arns.clone(),
        min_signature_version: config.min_signature_version.unwrap_or(own.min_signature_version),
        legacy_keys: config
            .legacy_rsa_public_key
            .iter()
            .map(|text| KeySettings::of_text("legacy", text))
            .collect(),
        legacy_until: until.map(|at| at.to_string()),
        escaped_body: config.escaped_body,
        ..own
    })
}
