//! Valid signed messages for every scheme: for `longshore sign`, for the scheduler's wakes, for samples and tests.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    domain::{
        envelope::{BodyRef, HttpRequest, Peer},
        ids::{EventKey, Revision, SourceName, sha256_hex},
        timestamp::Timestamp,
    },
    signature::{Key, is_id},
    sources::{
        contract::{Order, Scheme, SignError},
        decode::{ENVELOPE_V1, FORM, JOB_V1, SOURCE, WAKE_V1},
    },
};

/// Largest request body that fits into an envelope beside its headers, in bytes; a larger one belongs into an object
/// store. In base64 it takes a third more, and Amazon SQS takes 1 MiB in all.
pub const LARGEST_INLINE_BODY: usize = 700 * 1024;

/// A message for the queue: body and text attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    /// The message body.
    pub body: String,
    /// Its attributes, all of type `String`.
    pub attributes: BTreeMap<String, String>,
}

/// A key of the internal scheme.
#[derive(Clone, Copy)]
pub struct SealKey<'a> {
    /// Goes into `webhook-key-id`; none is sent when absent.
    pub id: Option<&'a str>,
    /// `whsec_...` or `whsk_...`.
    pub secret: &'a str,
}

impl std::fmt::Debug for SealKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Signs a request as a sender of this scheme would.
///
/// # Errors
/// When the secret is not a signing key of the scheme.
pub fn sign_request(scheme: &Scheme, order: &Order<'_>) -> Result<HttpRequest, SignError> {
    (scheme.sign)(order)
}

/// Signs a CloudEvents job for the queue. Its `id` becomes `webhook-id`.
///
/// # Errors
/// When the job has no usable id, or the key cannot sign.
pub fn sign_job(
    source: &SourceName,
    key: SealKey<'_>,
    job: &Value,
    at: Timestamp,
) -> Result<SignedMessage, SignError> {
    let id = job.get("id").and_then(Value::as_str).ok_or(SignError::Message("the job has no `id`"))?;
    let mut message = seal(key, id, at, job.to_string(), JOB_V1)?;
    message.attributes.insert(SOURCE.to_owned(), source.to_string());
    Ok(message)
}

/// Puts a vendor's request into an envelope and seals it, as an edge does.
///
/// # Errors
/// When `id` is not usable as `webhook-id`, or the key cannot sign.
pub fn seal_envelope(
    source: &SourceName,
    key: SealKey<'_>,
    id: &str,
    (request, peer): (&HttpRequest, &Peer),
    received_at: Timestamp,
    at: Timestamp,
) -> Result<SignedMessage, SignError> {
    let body = ("body_base64", json!(STANDARD.encode(&request.body)));
    envelope(source, key, id, (request, peer, body), received_at, at)
}

/// The same for a body that lies in an object store, where `Objects::put` has put it: `request.body` does not travel.
///
/// # Errors
/// As [`seal_envelope`].
pub fn seal_referring_envelope(
    source: &SourceName,
    key: SealKey<'_>,
    id: &str,
    (request, peer, body): (&HttpRequest, &Peer, &BodyRef),
    received_at: Timestamp,
    at: Timestamp,
) -> Result<SignedMessage, SignError> {
    envelope(source, key, id, (request, peer, ("body_ref", json!(body))), received_at, at)
}

fn envelope(
    source: &SourceName,
    key: SealKey<'_>,
    id: &str,
    (request, peer, (place, content)): (&HttpRequest, &Peer, (&str, Value)),
    received_at: Timestamp,
    at: Timestamp,
) -> Result<SignedMessage, SignError> {
    let mut body = json!({
        "v": 1,
        "id": id,
        "source": source,
        "received_at_ms": received_at.millis(),
        "request": { "method": request.method, "url": request.url, "headers": request.headers },
        "peer": peer,
    });
    body["request"][place] = content;
    let mut message = seal(key, id, at, body.to_string(), ENVELOPE_V1)?;
    message.attributes.insert(SOURCE.to_owned(), source.to_string());
    Ok(message)
}

/// Seals the word that a parked event is due.
///
/// # Errors
/// When the key cannot sign.
pub fn seal_wake(
    key: SealKey<'_>,
    event: &EventKey,
    revision: Revision,
    at: Timestamp,
) -> Result<SignedMessage, SignError> {
    let body = json!({ "event_key": event, "revision": revision }).to_string();
    let id = format!("wake_{}", &sha256_hex(&[body.as_bytes(), &at.0.to_be_bytes()])[..32]);
    seal(key, &id, at, body, WAKE_V1)
}

fn seal(
    key: SealKey<'_>,
    id: &str,
    at: Timestamp,
    body: String,
    form: &str,
) -> Result<SignedMessage, SignError> {
    if !is_id(id, 128) {
        return Err(SignError::Message("the id must be 1 to 128 letters, digits, `_` or `-`"));
    }
    let timestamp = at.seconds().to_string();
    let signature = Key::parse(key.secret)?
        .sign(id, &timestamp, body.as_bytes())
        .ok_or(SignError::Key("a public key cannot sign"))?;
    let mut attributes = BTreeMap::from(
        [
            (FORM, form.to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    attributes.extend(key.id.map(|id| ("webhook-key-id".to_owned(), id.to_owned())));
    Ok(SignedMessage { body, attributes })
}
