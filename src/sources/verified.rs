//! `Envelope` -> `Verified`: the seal first, then the vendor's signature. Only this file makes a [`Verified`].

use std::sync::Arc;

use crate::{
    config::SourceSettings,
    domain::{
        envelope::{Envelope, Form, HttpRequest, Peer, Seal},
        ids::{EventKey, Revision, SourceName},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::Evidence,
        rejection::{Fault, Rejection},
        schemes::longshore::{Signed, check, seal_hash},
        senders::{Sender, Senders},
    },
};

/// What an edge key must list to seal wakes. `*` does not include it: an edge has no business waking events.
const WAKE: &str = "wake";

/// What was proved.
#[derive(Debug)]
pub enum Verified {
    /// A message of a configured sender.
    Message(Message),
    /// Our own scheduler's word that an event is due.
    Wake(Wake),
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
pub fn verify(envelope: Envelope, senders: &Senders) -> Result<Checked, Rejection> {
    let Envelope { seal, sealed, sent_at, content_hash, form } = envelope;
    match form {
        Form::Request { id, source, received_at, request, peer } => {
            let sealing = (&seal, sealed.as_str(), sent_at);
            let edge = open_seal(senders, sealing, source.as_str()).map_err(|f| reject(f, &source))?;
            let hash = seal_hash(source.as_str(), seal.id.as_deref().unwrap_or_default(), sealed.as_bytes());
            let sender = senders.find(&source).map_err(|f| reject(f, &source))?;
            known_client(&sender.settings, &peer).map_err(|f| reject(f, &source))?;
            let vendor = judge(sender, &request, received_at).map_err(|f| reject(f, &source))?;
            let doubt = edge.or(vendor).map(|fault| reject(fault, &source));
            let message = message(sender, source, request, received_at, hash.clone());
            let verified = Verified::Message(Message { correlation: Some(id), ..message });
            Ok(checked(verified, doubt, hash, content_hash))
        }
        Form::Job { source } => {
            let sender = senders.find(&source).map_err(|f| reject(f, &source))?;
            if !sender.vendor.jobs {
                let why = "this source sends through an edge, not job.v1 messages".to_owned();
                return Err(reject((Reason::UnknownSource, why), &source));
            }
            let hash = seal_hash(source.as_str(), seal.id.as_deref().unwrap_or_default(), sealed.as_bytes());
            let request = as_request(seal, sealed);
            let doubt = judge(sender, &request, sent_at).map_err(|f| reject(f, &source))?;
            let doubt = doubt.map(|fault| reject(fault, &source));
            let message = message(sender, source, request, sent_at, hash.clone());
            Ok(checked(Verified::Message(message), doubt, hash, content_hash))
        }
        Form::Wake { key, revision } => {
            let doubt = open_seal(senders, (&seal, &sealed, sent_at), WAKE)
                .map_err(|(reason, detail)| Rejection::new(reason, detail))?;
            let doubt = doubt.map(|(reason, detail)| Rejection::new(reason, detail));
            let hash = seal_hash(WAKE, seal.id.as_deref().unwrap_or_default(), sealed.as_bytes());
            Ok(checked(Verified::Wake(Wake { key, revision }), doubt, hash, content_hash))
        }
    }
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

/// How far the clock of an edge may be off against the queue's.
const SEAL_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(300);

/// Checks the seal, judged by the time of the queue, and that its key may speak for `speaks_for`. Answers with
/// the doubt, if there is one.
fn open_seal(
    senders: &Senders,
    (seal, sealed, sent_at): (&Seal, &str, Timestamp),
    speaks_for: &str,
) -> Result<Option<Fault>, Fault> {
    let signed = Signed {
        id: seal.id.as_deref(),
        timestamp: seal.timestamp.as_deref(),
        signature: seal.signature.as_deref(),
        key_id: seal.key_id.as_deref(),
        body: sealed.as_bytes(),
    };
    let keys = senders.seal_keys.iter().map(|edge| &edge.key);
    let proof = check(&signed, keys, sent_at, SEAL_TOLERANCE)
        .map_err(|(reason, detail)| (reason, format!("seal: {detail}")))?;
    let listed = senders.seal_keys.get(proof.key).is_some_and(|edge| {
        edge.sources.iter().any(|name| name == speaks_for || (name == "*" && speaks_for != WAKE))
    });
    if listed {
        Ok(proof.doubt.map(|(reason, detail)| (reason, format!("seal: {detail}"))))
    } else {
        Err((Reason::UnknownSource, "the sealing key may not speak for this source".to_owned()))
    }
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

/// The sender's own signature, judged by the time it was received.
fn judge(sender: &Sender, request: &HttpRequest, now: Timestamp) -> Result<Option<Fault>, Fault> {
    let settings = &sender.settings;
    if request.body.len() > settings.max_body {
        let why = format!("{} bytes, {} are allowed", request.body.len(), settings.max_body);
        return Err((Reason::Oversize, why));
    }
    let evidence = Evidence { request, settings, now };
    (sender.scheme.verify)(&evidence).map(|proof| proof.doubt)
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
