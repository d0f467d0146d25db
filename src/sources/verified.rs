//! `Complete` -> `Verified`: the sender's own signature. Only this file makes a [`Verified`].

use std::sync::Arc;

use crate::{
    config::SourceSettings,
    domain::{
        envelope::{AwsMessage, Envelope, Form, HttpRequest, Notification, Peer, Seal},
        ids::{EventKey, Revision, SourceName},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{BY_POLICY, Evidence},
        gzip::unpack_text,
        opened::{Complete, WAKE},
        rejection::{Fault, Rejection},
        schemes::{SCHEMES, longshore::seal_hash},
        senders::{Sender, Senders},
    },
};

/// The scheme of Amazon SNS.
const SNS: &str = "sns";

/// What was proved.
#[derive(Debug)]
pub enum Verified {
    /// A message of a configured sender.
    Message(Message),
    /// Our own scheduler's word that an event is due.
    Wake(Wake),
    /// Nothing to work.
    Nothing,
}

/// A body whose sender was proved.
pub struct Message {
    pub(super) sender: Arc<Sender>,
    pub(super) source: SourceName,
    pub(super) request: HttpRequest,
    pub(super) received_at: Timestamp,
    pub(super) correlation: Option<String>,
    seal: String,
}

// By hand: a body, a header or a key must not reach a log through `{:?}`.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("source", &self.source)
            .field("received_at", &self.received_at)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// The configured sender.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// When the edge, or the queue, received it.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }

    /// The hash that recognises a redriven copy; goes into `ClaimRequest::seal`.
    #[must_use]
    pub fn seal_hash(&self) -> &str {
        &self.seal
    }
}

/// A proved wake.
#[derive(Debug)]
pub struct Wake {
    key: EventKey,
    revision: Revision,
}

impl Wake {
    /// Which event is due.
    #[must_use]
    pub fn key(&self) -> &EventKey {
        &self.key
    }

    /// Of which fresh start.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

/// How far the proof carries.
#[derive(Debug)]
pub enum Checked {
    /// Counts as it is.
    Trusted(Verified),
    /// Authentic, but too old or signed with a retired key: counts only if the store knows it.
    IfKnown(Doubtful),
}

/// An authentic message whose time or key does not suffice on its own.
#[derive(Debug)]
pub struct Doubtful {
    verified: Verified,
    seal: String,
    content_hash: String,
    rejection: Rejection,
}

impl Doubtful {
    /// First argument for `Store::seal_known`.
    #[must_use]
    pub fn seal_hash(&self) -> &str {
        &self.seal
    }

    /// Second argument for `Store::seal_known`.
    #[must_use]
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// The store's word decides.
    ///
    /// # Errors
    /// `sig_expired`, or `sig_invalid` for a retired key, when the store does not know it.
    pub fn resolve(self, known: bool) -> Result<Verified, Rejection> {
        if known { Ok(self.verified) } else { Err(self.rejection) }
    }
}

/// Proves who sent it.
///
/// # Errors
/// `sig_missing`, `sig_invalid`, `sig_expired`, `sig_no_key`, `unknown_source`, `oversize`; or `secret_unavailable`,
/// a deferral, when a key could not be read.
pub fn verify(complete: Complete, senders: &Senders) -> Result<Checked, Rejection> {
    let Complete { envelope, doubt: edge } = complete;
    let Envelope { seal, sealed, sent_at, content_hash, form } = envelope;
    match form {
        Form::Request { id, source, received_at, request, peer, .. } => {
            let hash = seal_hash(source.as_str(), seal.id.as_deref().unwrap_or_default(), sealed.as_bytes());
            let proof = senders.find(&source).and_then(|sender| {
                known_client(&sender.settings, &peer)?;
                Ok((sender, judge(senders, sender, &request, received_at)?))
            });
            let (sender, vendor) = proof.map_err(|f| reject(f, &source))?;
            let doubt = edge.or(vendor).map(|fault| reject(fault, &source));
            let message = message(sender, source, request, received_at, hash.clone());
            let verified = Verified::Message(Message { correlation: Some(id), ..message });
            Ok(checked(verified, doubt, hash, content_hash))
        }
        Form::Job { source, packed } => {
            let hash = seal_hash(source.as_str(), seal.id.as_deref().unwrap_or_default(), sealed.as_bytes());
            let job = senders
                .find(&source)
                .and_then(|sender| job(senders, sender, (seal, sealed, packed), sent_at));
            let (sender, request, doubt) = job.map_err(|f| reject(f, &source))?;
            let doubt = doubt.map(|fault| reject(fault, &source));
            let message = message(sender, source, request, sent_at, hash.clone());
            Ok(checked(Verified::Message(message), doubt, hash, content_hash))
        }
        Form::Wake { key, revision } => {
            let doubt = edge.map(|(reason, detail)| Rejection::new(reason, detail));
            let hash = seal_hash(WAKE, seal.id.as_deref().unwrap_or_default(), sealed.as_bytes());
            Ok(checked(Verified::Wake(Wake { key, revision }), doubt, hash, content_hash))
        }
        Form::Webhook { source, request } => {
            let proof = senders
                .find(&source)
                .and_then(|sender| Ok((sender, judge(senders, sender, &request, sent_at)?)));
            unsealed(source, request, proof, sent_at, content_hash)
        }
        Form::Aws(sent) => {
            let source =
                senders.source_of(&sent).map_err(|(reason, detail)| Rejection::new(reason, detail))?;
            let proof = senders
                .find(&source)
                .and_then(|sender| Ok((sender, judge_aws(senders, sender, &sent, sent_at)?)));
            unsealed(source, sent.request, proof, sent_at, content_hash)
        }
        Form::Test => Ok(Checked::Trusted(Verified::Nothing)),
    }
}

/// A message without a seal: a redriven copy is recognised by everything that the message is.
fn unsealed(
    source: SourceName,
    request: HttpRequest,
    proof: Result<(&Arc<Sender>, Option<Fault>), Fault>,
    sent_at: Timestamp,
    content_hash: String,
) -> Result<Checked, Rejection> {
    let (sender, doubt) = proof.map_err(|fault| reject(fault, &source))?;
    let doubt = doubt.map(|fault| reject(fault, &source));
    let hash = seal_hash(source.as_str(), "", content_hash.as_bytes());
    let message = message(sender, source, request, sent_at, hash.clone());
    Ok(checked(Verified::Message(message), doubt, hash, content_hash))
}

fn reject((reason, detail): Fault, source: &SourceName) -> Rejection {
    Rejection::new(reason, detail).claimed_by(source)
}

fn checked(verified: Verified, doubt: Option<Rejection>, seal: String, content_hash: String) -> Checked {
    match doubt {
        None => Checked::Trusted(verified),
        Some(rejection) => Checked::IfKnown(Doubtful { verified, seal, content_hash, rejection }),
    }
}

fn message(
    sender: &Arc<Sender>,
    source: SourceName,
    request: HttpRequest,
    received_at: Timestamp,
    seal: String,
) -> Message {
    Message { sender: Arc::clone(sender), source, request, received_at, correlation: None, seal }
}

/// Where the source lists client certificates, the edge must have seen one of them.
fn known_client(settings: &SourceSettings, peer: &Peer) -> Result<(), Fault> {
    let listed = &settings.client_certificates;
    match &peer.tls_client_cert_sha256 {
        _ if listed.is_empty() => Ok(()),
        None => Err((Reason::SigMissing, "the edge saw no client certificate".to_owned())),
        Some(shown) if listed.iter().any(|known| known.eq_ignore_ascii_case(shown)) => Ok(()),
        Some(_) => Err((Reason::SigInvalid, "the client certificate is not one of the source's".to_owned())),
    }
}

/// The sender's own signature, judged by the time it was received; or the policy of the queue, where the sender has
/// nothing else and the queue is trusted.
fn judge(
    senders: &Senders,
    sender: &Sender,
    request: &HttpRequest,
    now: Timestamp,
) -> Result<Option<Fault>, Fault> {
    let settings = &sender.settings;
    if request.body.len() > settings.max_body {
        let why = format!("{} bytes, {} are allowed", request.body.len(), settings.max_body);
        return Err((Reason::Oversize, why));
    }
    if sender.scheme.name == BY_POLICY && senders.defaults().trusted {
        return Ok(None);
    }
    let evidence = Evidence { request, settings, now };
    (sender.scheme.verify)(&evidence).map(|proof| proof.doubt)
}

/// A message of an AWS service. What came through Amazon SNS must come from a listed topic; its signature is checked
/// where the source has keys.
fn judge_aws(
    senders: &Senders,
    sender: &Sender,
    sent: &AwsMessage,
    now: Timestamp,
) -> Result<Option<Fault>, Fault> {
    let settings = &sender.settings;
    if !sent.notifications.iter().all(|notification| settings.topic_arns.contains(&notification.topic)) {
        return Err((Reason::UnknownSource, "the topic is not in the source's topic_arns".to_owned()));
    }
    let of_sns = sender.scheme.name == SNS && !sent.notifications.is_empty();
    let by_policy = sender.scheme.name == BY_POLICY && !settings.keys.is_empty();
    let mut doubt = if of_sns { None } else { judge(senders, sender, &sent.request, now)? };
    for notification in sent.notifications.iter().filter(|_| of_sns || by_policy) {
        doubt = doubt.or(judge_notification(settings, notification, now)?);
    }
    Ok(doubt)
}

/// The signature that Amazon SNS puts on a notification.
fn judge_notification(
    settings: &SourceSettings,
    notification: &Notification,
    now: Timestamp,
) -> Result<Option<Fault>, Fault> {
    let scheme = SCHEMES.iter().find(|scheme| scheme.name == SNS);
    let scheme = scheme.ok_or_else(|| (Reason::SigNoKey, "no scheme `sns` in this release".to_owned()))?;
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: String::new(),
        headers: Vec::new(),
        body: notification.json.clone().into_bytes(),
    };
    (scheme.verify)(&Evidence { request: &request, settings, now }).map(|proof| proof.doubt)
}

/// A job is signed as it was sent, and unpacked only then.
fn job<'a>(
    senders: &Senders,
    sender: &'a Arc<Sender>,
    (seal, sealed, packed): (Seal, String, bool),
    now: Timestamp,
) -> Result<(&'a Arc<Sender>, HttpRequest, Option<Fault>), Fault> {
    if !sender.vendor.jobs {
        let why = "this source sends through an edge, not job.v1 messages".to_owned();
        return Err((Reason::UnknownSource, why));
    }
    let mut request = as_request(seal, sealed);
    let doubt = judge(senders, sender, &request, now)?;
    if packed {
        let text = String::from_utf8_lossy(&request.body);
        request.body = unpack_text(&text, sender.settings.max_body)?.into_bytes();
    }
    Ok((sender, request, doubt))
}

/// A job's four attributes stand for the headers that it would have had over HTTP.
fn as_request(seal: Seal, body: String) -> HttpRequest {
    let headers = [
        ("webhook-id", seal.id),
        ("webhook-timestamp", seal.timestamp),
        ("webhook-signature", seal.signature),
        ("webhook-key-id", seal.key_id),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    HttpRequest { method: "POST".to_owned(), url: String::new(), headers, body: body.into_bytes() }
}
