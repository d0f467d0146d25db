//! `Delivery` -> `Envelope`: what a message body holds, strictly read and not yet believed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    domain::{
        delivery::{Attribute, Delivery},
        envelope::{Envelope, Form, HttpRequest, Peer, Seal},
        ids::{EventKey, Revision, SourceName},
        reason::Reason,
        timestamp::Timestamp,
    },
    queue::contract::LARGEST_MESSAGE,
    sources::rejection::{Rejection, json_fault},
};

/// Attribute that says what the body is.
pub const FORM: &str = "longshore-form";
/// Attribute that names the sender of a job.
pub const SOURCE: &str = "longshore-source";
/// A vendor's request in an envelope.
pub const ENVELOPE_V1: &str = "envelope.v1";
/// A signed job.
pub const JOB_V1: &str = "job.v1";
/// A wake of our own scheduler.
pub const WAKE_V1: &str = "wake.v1";

/// Most headers that an envelope may carry.
const MOST_HEADERS: usize = 100;
/// Longest URL, in bytes.
const LONGEST_URL: usize = 16 * 1024;

/// What the queue's configuration says about messages without attributes.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Form of messages without [`FORM`].
    pub form: Option<String>,
    /// Source of messages without [`SOURCE`].
    pub source: Option<String>,
}

/// Reads a message body by its form. Nothing is guessed.
///
/// # Errors
/// `unknown_form`, `unknown_version`, `oversize`, `envelope_malformed` or, for a job that names no sender, `unknown_source`.
pub fn decode(delivery: &Delivery, defaults: &Defaults) -> Result<Envelope, Rejection> {
    if delivery.size() > LARGEST_MESSAGE {
        return Err(Rejection::new(Reason::Oversize, format!("{} bytes in all", delivery.size())));
    }
    let form = match attribute(delivery, FORM).or_else(|| defaults.form.clone()).as_deref() {
        Some(ENVELOPE_V1) => request(&delivery.body)?,
        Some(JOB_V1) => job(delivery, defaults)?,
        Some(WAKE_V1) => wake(&delivery.body)?,
        Some(other) => return Err(unknown_form(other)),
        None => return Err(Rejection::new(Reason::UnknownForm, "no longshore-form attribute")),
    };
    Ok(Envelope {
        seal: Seal {
            id: attribute(delivery, "webhook-id"),
            timestamp: attribute(delivery, "webhook-timestamp"),
            signature: attribute(delivery, "webhook-signature"),
            key_id: attribute(delivery, "webhook-key-id"),
        },
        sealed: delivery.body.clone(),
        sent_at: delivery.sent_at,
        content_hash: delivery.content_hash(),
        form,
    })
}

/// A text attribute; names are compared without regard to case, because edges copy them from HTTP headers.
fn attribute(delivery: &Delivery, name: &str) -> Option<String> {
    let text = delivery.text(name).map(str::to_owned).or_else(|| {
        delivery.attributes.iter().find_map(|(found, value)| match value {
            Attribute::Text(text) if found.eq_ignore_ascii_case(name) => Some(text.clone()),
            _ => None,
        })
    });
    text.filter(|text| !text.is_empty())
}

/// A form that we know in another version is told apart from one that we never heard of.
fn unknown_form(form: &str) -> Rejection {
    let known = [ENVELOPE_V1, JOB_V1, WAKE_V1].iter().filter_map(|known| known.rsplit_once('.'));
    let name = form.rsplit_once(".v").map(|(name, _)| name);
    match known.map(|(known, _)| known).find(|known| Some(*known) == name) {
        Some(known) => {
            Rejection::new(Reason::UnknownVersion, format!("a version of the {known} form other than v1"))
        }
        None => Rejection::new(Reason::UnknownForm, "a form other than envelope.v1, job.v1 and wake.v1"),
    }
}

fn malformed(detail: impl Into<String>) -> Rejection {
    Rejection::new(Reason::EnvelopeMalformed, detail)
}

#[derive(Deserialize)]
struct Version {
    v: Option<serde_json::Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeWire {
    #[serde(rename = "v")]
    _version: u64,
    id: String,
    source: String,
    received_at_ms: u64,
    request: RequestWire,
    #[serde(default)]
    peer: Option<Peer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestWire {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_base64: Option<String>,
    #[serde(default)]
    body_ref: Option<IgnoredAny>,
}

fn request(body: &str) -> Result<Form, Rejection> {
    let version: Version = serde_json::from_str(body).map_err(|e| malformed(json_fault(&e)))?;
    match version.v {
        Some(v) if v.as_u64() == Some(1) => {}
        Some(_) => return Err(Rejection::new(Reason::UnknownVersion, "envelope `v` is not 1")),
        None => return Err(malformed("`v` is missing")),
    }
    let wire: EnvelopeWire = serde_json::from_str(body).map_err(|e| malformed(json_fault(&e)))?;
    if !is_name(&wire.source) {
        return Err(malformed("`source` is not a source's name"));
    }
    let source = SourceName(wire.source);
    let parts = received(&wire.id, wire.received_at_ms)
        .and_then(|at| http_request(wire.request).map(|request| (at, request)))
        .map_err(|rejection| rejection.claimed_by(&source))?;
    Ok(Form::Request {
        id: wire.id,
        source,
        received_at: parts.0,
        request: parts.1,
        peer: wire.peer.unwrap_or_default(),
    })
}

fn received(id: &str, at: u64) -> Result<Timestamp, Rejection> {
    if !is_name(id) {
        return Err(malformed("`id` must be 1 to 128 letters, digits, `_`, `-` or `.`"));
    }
    // The calendar of the store ends in 9999; microseconds must fit as well.
    i64::try_from(at)
        .ok()
        .filter(|ms| *ms <= 253_402_300_799_000)
        .map(Timestamp::from_millis)
        .ok_or_else(|| malformed("`received_at_ms` is not a time"))
}

fn http_request(wire: RequestWire) -> Result<HttpRequest, Rejection> {
    let body = match (wire.body_base64, wire.body_ref) {
        (Some(text), None) => STANDARD.decode(text).map_err(|_| malformed("`body_base64` is not base64"))?,
        (None, Some(_)) => {
            return Err(malformed("`body_ref` is not supported by this release: send `body_base64`"));
        }
        (Some(_), Some(_)) => return Err(malformed("both `body_base64` and `body_ref`")),
        (None, None) => return Err(malformed("`body_base64` is missing")),
    };
    let method = !wire.method.is_empty() && wire.method.bytes().all(|b| b.is_ascii_uppercase());
    let absolute = wire.url.starts_with("https://") || wire.url.starts_with("http://");
    if !method || !absolute || wire.url.len() > LONGEST_URL {
        return Err(malformed("`method` must be upper case and `url` absolute, at most 16 KiB"));
    }
    if wire.headers.len() > MOST_HEADERS {
        return Err(malformed("more than 100 headers"));
    }
    Ok(HttpRequest { method: wire.method, url: wire.url, headers: wire.headers, body })
}

fn job(delivery: &Delivery, defaults: &Defaults) -> Result<Form, Rejection> {
    match attribute(delivery, SOURCE).or_else(|| defaults.source.clone()) {
        Some(name) if is_name(&name) => Ok(Form::Job { source: SourceName(name) }),
        Some(_) => Err(malformed("longshore-source is not a source's name")),
        None => Err(Rejection::new(Reason::UnknownSource, "no longshore-source attribute")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WakeWire {
    event_key: String,
    revision: i32,
}

fn wake(body: &str) -> Result<Form, Rejection> {
    let wire: WakeWire = serde_json::from_str(body).map_err(|e| malformed(json_fault(&e)))?;
    Ok(Form::Wake { key: EventKey(wire.event_key), revision: Revision(wire.revision) })
}

/// Names of sources and edges: what can stand in a metric label and in a path.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
