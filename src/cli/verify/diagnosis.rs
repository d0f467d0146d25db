//! Changes that happen to requests and keys on their way, tried one by one: which of them makes the signature right?

use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{
    config::{KeySettings, KeyState, SourceSettings},
    domain::{envelope::HttpRequest, reason::Reason, timestamp::Timestamp},
    sources::{contract::Scheme, inspect::prove},
};

/// What is judged.
#[derive(Clone)]
pub(super) struct Case {
    /// The scheme.
    pub(super) scheme: &'static Scheme,
    /// The source's settings.
    pub(super) settings: SourceSettings,
    /// The request.
    pub(super) request: HttpRequest,
    /// When it was received.
    pub(super) now: Timestamp,
}

impl Case {
    /// The judgement.
    ///
    /// # Errors
    /// Reason and detail.
    pub(super) fn judge(&self) -> Result<(), (Reason, String)> {
        prove(self.scheme, &self.settings, &self.request, self.now)
    }

    /// Is the signature right, whatever the time?
    pub(super) fn is_authentic(&self) -> bool {
        matches!(self.judge(), Ok(()) | Err((Reason::SigExpired, _)))
    }
}

/// One change, and what it is called.
struct Change {
    what: String,
    case: Case,
}

/// Every change that would make the request authentic, told in a sentence; pairs of changes where no single one does.
pub(super) fn diagnose(case: &Case) -> Vec<String> {
    let singles: Vec<Change> =
        [bodies(case), urls(case), keys(case), states(case), headers(case)].into_iter().flatten().collect();
    let found = matching(&singles);
    if !found.is_empty() {
        return found;
    }
    let pairs = bodies(case).into_iter().flat_map(|body| {
        urls(&body.case)
            .into_iter()
            .chain(keys(&body.case))
            .map(move |other| Change { what: format!("{}, and {}", body.what, other.what), case: other.case })
    });
    let pairs: Vec<_> = pairs.collect();
    matching(&pairs)
}

fn matching(changes: &[Change]) -> Vec<String> {
    let right = changes.iter().filter(|change| change.case.is_authentic());
    right.map(|change| format!("it would match {}", change.what)).collect()
}

fn bodies(case: &Case) -> Vec<Change> {
    let body = &case.request.body;
    let trimmed = body.trim_ascii_end();
    let with = |end: &[u8]| Some([trimmed, end].concat());
    let text = std::str::from_utf8(body).ok();
    let json = serde_json::from_slice::<Value>(body).ok();
    let tries = [
        ("without the line end behind the body", Some(trimmed.to_vec())),
        ("with a line feed behind the body", with(b"\n")),
        ("with CRLF behind the body", with(b"\r\n")),
        (
            "with CRLF instead of line feeds",
            text.map(|t| t.replace("\r\n", "\n").replace('\n', "\r\n").into()),
        ),
        ("with line feeds instead of CRLF", text.map(|t| t.replace("\r\n", "\n").into())),
        ("with the JSON written compactly", json.is_some().then(|| respaced(body, false))),
        (
            "with the JSON written with blanks behind commas and colons",
            json.is_some().then(|| respaced(body, true)),
        ),
        ("with the JSON written compactly and its names sorted", json.as_ref().map(|j| j.to_string().into())),
        ("with the JSON indented", json.as_ref().and_then(|j| serde_json::to_vec_pretty(j).ok())),
        ("with characters beyond ASCII written as \\u escapes", text.map(|t| escaped(t).into())),
    ];
    let changed = tries.into_iter().filter_map(|(what, body)| Some((what, body?)));
    changed
        .filter(|(_, changed)| changed != body)
        .map(|(what, body)| {
            let mut case = case.clone();
            case.request.body = body;
            Change { what: what.to_owned(), case }
        })
        .collect()
}

/// JSON without blanks outside its strings, or with one behind each comma and colon; the order stays.
fn respaced(body: &[u8], blanks: bool) -> Vec<u8> {
    let (mut text, mut quoted, mut escape) = (Vec::with_capacity(body.len()), false, false);
    for &byte in body {
        if quoted {
            quoted = escape || byte != b'"';
            escape = !escape && byte == b'\\';
            text.push(byte);
        } else if !byte.is_ascii_whitespace() {
            quoted = byte == b'"';
            text.push(byte);
            if blanks && matches!(byte, b',' | b':') {
                text.push(b' ');
            }
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let mut units = [0; 2];
    text.chars()
        .map(|c| match c {
            c if c.is_ascii() => c.to_string(),
            c => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        })
        .collect()
}

/// The URL as seen and the configured one, each in every usual guise.
fn urls(case: &Case) -> Vec<Change> {
    let seen = &case.request.url;
    let query = seen.find('?').map_or("", |at| &seen[at..]);
    let public = case.settings.public_url.as_ref().map(|base| (format!("{base}{query}"), "public_url"));
    let other = public.is_some();
    let bases = [Some((seen.clone(), "the URL as seen")), public].into_iter().flatten();
    let mut found = Vec::new();
    for (index, (base, name)) in bases.enumerate() {
        for (how, url) in guises(&base) {
            let in_use = index == usize::from(other);
            if how.is_empty() && in_use {
                continue;
            }
            let mut case = case.clone();
            (case.request.url, case.settings.public_url) = (url, None);
            let instead =
                if in_use { String::new() } else { format!("{name} instead of the configured one") };
            let parts: Vec<_> = std::iter::once(instead).chain(how).filter(|part| !part.is_empty()).collect();
            found.push(Change { what: format!("for {}", parts.join(", ")), case });
        }
    }
    found
}

/// A URL with each scheme, with and without port, with and without a slash at the end of its path.
fn guises(url: &str) -> Vec<(Vec<String>, String)> {
    let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
    let (place, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let other = if scheme == "https" { "http" } else { "https" };
    let slash = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    let mut found = Vec::new();
    for scheme in [scheme, other] {
        let usual = if scheme == "https" { "443" } else { "80" };
        for authority in [authority.to_owned(), host.to_owned(), format!("{host}:{usual}")] {
            for path in [path, &slash] {
                let how = differences(url, scheme, &authority, path);
                let url = format!("{scheme}://{authority}{path}{query}");
                if !found.iter().any(|(_, known)| *known == url) {
                    found.push((how, url));
                }
            }
        }
    }
    found
}

fn differences(url: &str, scheme: &str, authority: &str, path: &str) -> Vec<String> {
    let mut how = Vec::new();
    if !url.starts_with(&format!("{scheme}://")) {
        how.push(format!("{scheme} in the URL"));
    }
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let before = rest.split(['/', '?']).next().unwrap_or_default();
    if before != authority {
        let port = authority.rsplit_once(':').map(|(_, port)| port);
        how.push(port.map_or("no port in the URL".to_owned(), |port| format!("port {port} in the URL")));
    }
    let place = rest.split('?').next().unwrap_or_default();
    if place.strip_prefix(before) != Some(path) {
        let end = if path.ends_with('/') { "a slash" } else { "no slash" };
        how.push(format!("{end} at the end of the path"));
    }
    how
}

/// The keys as they stand, read in other ways.
fn keys(case: &Case) -> Vec<Change> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    type Way = fn(&str) -> Option<String>;
    let decoded = |text: &str| String::from_utf8(STANDARD.decode(text).ok()?).ok();
    let ways: [(&str, Way); 7] = [
        ("with the blanks around the key taken away", |key| Some(key.trim().to_owned())),
        ("with a line feed behind the key, as from a file", |key| Some(format!("{}\n", key.trim()))),
        ("with the key's text used as it is, not decoded", |key| Some(STANDARD.encode(key))),
        ("with the text behind whsec_ used as it is, not decoded", |key| {
            Some(STANDARD.encode(key.strip_prefix("whsec_")?))
        }),
        ("with the key without its whsec_", |key| key.strip_prefix("whsec_").map(str::to_owned)),
        ("with whsec_ in front of the key", |key| Some(format!("whsec_{key}"))),
        ("with the key in lower case", |key| Some(key.to_ascii_lowercase())),
    ];
    let mut found: Vec<_> = ways.iter().filter_map(|(what, way)| with_keys(case, what, way)).collect();
    let behind = |key: &str| decoded(key.strip_prefix("whsec_").unwrap_or(key));
    found.extend(with_keys(case, "with the key decoded from base64", behind));
    found
}

/// `None` when the change leaves every key as it is.
fn with_keys(case: &Case, what: &str, way: impl Fn(&str) -> Option<String>) -> Option<Change> {
    let mut changed = case.clone();
    changed.settings.keys.clear();
    for key in &case.settings.keys {
        let Ok(text) = key.read() else { continue };
        let text = text.expose_secret();
        if let Some(other) = way(text).filter(|other| other != text) {
            changed.settings.keys.push(KeySettings { secret: None, public_key: Some(other), ..key.clone() });
        }
    }
    (!changed.settings.keys.is_empty()).then(|| Change { what: what.to_owned(), case: changed })
}

/// Keys that do not count now.
fn states(case: &Case) -> Vec<Change> {
    let one = |key: &KeySettings| {
        let mut changed = case.clone();
        let (state, not_before, not_after) = (KeyState::Active, None, None);
        changed.settings.keys = vec![KeySettings { state, not_before, not_after, ..key.clone() }];
        Change {
            what: format!("if key {} counted, which is retired, revoked or out of its dates", key.id),
            case: changed,
        }
    };
    case.settings.keys.iter().map(one).collect()
}

/// Header values as proxies leave them.
fn headers(case: &Case) -> Vec<Change> {
    let mut trimmed = case.clone();
    trimmed.request.headers.iter_mut().for_each(|(_, value)| *value = value.trim().to_owned());
    let mut first = case.clone();
    first.request.headers.clear();
    for (name, value) in &case.request.headers {
        if !first.request.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            let alone = value.split(", ").next().unwrap_or_default().to_owned();
            first.request.headers.push((name.clone(), alone));
        }
    }
    vec![
        Change { what: "with the blanks around header values taken away".to_owned(), case: trimmed },
        Change { what: "with the first of repeated headers alone".to_owned(), case: first },
    ]
}
