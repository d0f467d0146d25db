//! What a source supplies: a row of plain functions. To add one, copy a neighbour.

use serde_json::Value;

use crate::{
    config::SourceSettings,
    domain::{envelope::HttpRequest, event::Fact, reason::Reason, timestamp::Timestamp},
    signature::BadKey,
    sources::{
        freshness::stale,
        keys::{Candidate, Matched, usable},
        rejection::Fault,
    },
};

/// One kind of sender: what its bodies say. How it is proved is its scheme's business.
pub struct Vendor {
    /// What `vendor` in the configuration says.
    pub name: &'static str,
    /// Its scheme where the configuration names none. `None`: the configuration must name one.
    pub scheme: Option<&'static str>,
    /// Headers that `read` looks at, in lower case: an edge must keep them.
    pub headers: &'static [&'static str],
    /// May it send `job.v1` messages, without an edge?
    pub(super) jobs: bool,
    /// Does the account in its payload decide the tenant? Never for our own systems: there the key set does.
    pub(super) tenant_by_account: bool,
    /// Takes the verified body apart.
    pub(super) read: fn(&Reading<'_>) -> Vec<Item>,
}

/// Takes credentials out of a body; `None` when it holds none.
pub type Redact = fn(&[u8]) -> Option<Vec<u8>>;

/// One way to prove a sender.
pub struct Scheme {
    /// What `scheme` in the configuration says.
    pub name: &'static str,
    /// Headers that it looks at, in lower case: an edge must keep them.
    pub headers: &'static [&'static str],
    /// What an edge answers, where the vendor wants more than a 200.
    pub handshake: Handshake,
    /// Applied before anything keeps a body. Only for schemes that do not sign it.
    pub redact: Option<Redact>,
    /// For people: what a signature looks like, and what is signed.
    pub shape: &'static str,
    /// For people: why it usually fails.
    pub causes: &'static [&'static str],
    /// Proves the sender.
    pub(super) verify: fn(&Evidence<'_>) -> Result<Proof, Fault>,
    /// Signs a request as the vendor would.
    pub(super) sign: fn(&Order<'_>) -> Result<HttpRequest, SignError>,
}

// By hand: a row's name says all, wherever settings are shown.
impl std::fmt::Debug for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Vendor").field(&self.name).finish()
    }
}

impl std::fmt::Debug for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scheme").field(&self.name).finish()
    }
}

/// Name of the scheme that proves nothing: it counts only where the queue's policy vouches for its senders.
pub const BY_POLICY: &str = "queue";

/// What a vendor wants from an edge besides a 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Nothing.
    None,
    /// Meta: `GET` with `hub.challenge`, to be given back when `hub.verify_token` is ours.
    MetaChallenge,
    /// Salesforce outbound messages: a SOAP `Ack`.
    SoapAck,
    /// Marketing Cloud event notifications: an unsigned first request with a `verificationKey`.
    EnsConfirmation,
    /// Amazon SNS over HTTP: a `SubscriptionConfirmation`.
    SnsConfirmation,
}

/// What a signature is judged by.
pub(super) struct Evidence<'a> {
    /// The request, byte for byte.
    pub(super) request: &'a HttpRequest,
    /// The source's settings: keys in the configured order, tolerance, public URL, the scheme's own.
    pub(super) settings: &'a SourceSettings,
    /// When it was received: the "now" of every tolerance and key date.
    pub(super) now: Timestamp,
}

impl<'a> Evidence<'a> {
    /// A header that the scheme requires.
    pub(super) fn required(&self, name: &str) -> Result<String, Fault> {
        self.request
            .header(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| (Reason::SigMissing, format!("{name} is absent or empty")))
    }

    /// The source's keys that may be tried now.
    ///
    /// # Errors
    /// `sig_no_key` when none is left.
    pub(super) fn candidates(&self) -> Result<Vec<Candidate<'a>>, Fault> {
        usable(self.settings.keys.iter(), self.now)
    }

    /// The doubt, if a signed time lies outside the tolerance.
    pub(super) fn stale(&self, at: Timestamp) -> Option<String> {
        stale(at, self.now, self.settings.tolerance)
    }

    /// The URL that the vendor signs: scheme, host and path as configured, where the edge sees others; the
    /// request's own query.
    pub(super) fn url(&self) -> String {
        let url = &self.request.url;
        let query = url.find('?').map_or("", |at| &url[at..]);
        self.settings.public_url.as_ref().map_or_else(|| url.clone(), |base| format!("{base}{query}"))
    }
}

/// `sig_invalid`, and why.
pub(super) fn invalid(why: impl Into<String>) -> Fault {
    (Reason::SigInvalid, why.into())
}

/// An authentic signature.
#[derive(Debug)]
pub(super) struct Proof {
    /// Position of the key that matched.
    pub(super) key: usize,
    /// Authentic, but only good for what the store knows: the reason to reject it otherwise.
    pub(super) doubt: Option<Fault>,
}

impl Proof {
    /// Joins what the key and the clock say. Called after the signature was found right, so that
    /// `sig_expired` always means authentic.
    pub(super) fn new(matched: Matched, stale: Option<String>) -> Self {
        let expired = stale.map(|why| (Reason::SigExpired, why));
        let retired = matched.retired.map(|why| (Reason::SigInvalid, why));
        Self { key: matched.index, doubt: expired.or(retired) }
    }
}

/// A verified body to take apart.
pub(super) struct Reading<'a> {
    /// The request, for its headers.
    pub(super) request: &'a HttpRequest,
    /// Its body, no longer compressed.
    pub(super) body: &'a [u8],
    /// When it was received: stands in where the vendor tells no time and a fact needs one.
    pub(super) received_at: Timestamp,
    /// The source's settings.
    pub(super) settings: &'a SourceSettings,
    /// Are drills allowed?
    pub(super) drills: bool,
}

/// One item of a body.
pub(super) struct Item {
    /// Position, where a body can hold several.
    pub(super) index: Option<usize>,
    /// The item, where a body can hold several.
    pub(super) json: Option<Value>,
    /// What it says, or what is wrong with it.
    pub(super) draft: Result<Draft, Fault>,
}

impl Item {
    /// A body that cannot be read at all.
    pub(super) fn unreadable(fault: Fault) -> Vec<Self> {
        vec![Self::alone(Err(fault))]
    }

    /// Each item of a list, in its order: a bad one is refused alone.
    pub(super) fn each(items: Vec<Value>, read: impl Fn(&Value) -> Result<Draft, Fault>) -> Vec<Self> {
        let numbered = items.into_iter().enumerate();
        numbered
            .map(|(index, item)| Self { index: Some(index), draft: read(&item), json: Some(item) })
            .collect()
    }

    /// The only item of its body.
    pub(super) fn alone(draft: Result<Draft, Fault>) -> Self {
        Self { index: None, json: None, draft }
    }
}

/// An event before it has a key and a tenant.
pub(super) struct Draft {
    /// The vendor's own name for what happened: `contact.creation`, `cdc` ...
    pub(super) vendor_type: String,
    /// The sender's account.
    pub(super) account: String,
    /// The sender's own id, composite where that is not unique.
    pub(super) id: String,
    /// When it happened, by the sender's clock, as told.
    pub(super) occurred_at: Option<Timestamp>,
    /// Not before.
    pub(super) due_at: Option<Timestamp>,
    /// Not after.
    pub(super) expires_at: Option<Timestamp>,
    /// Worked in order with others of this name.
    pub(super) order_key: Option<String>,
    /// The sender's correlation id.
    pub(super) correlation: Option<String>,
    /// What happened.
    pub(super) fact: Fact,
}

impl Draft {
    /// An event without wishes of its own.
    pub(super) fn new(
        vendor_type: impl Into<String>,
        account: impl Into<String>,
        id: impl Into<String>,
        at: Option<Timestamp>,
        fact: Fact,
    ) -> Self {
        Self {
            vendor_type: vendor_type.into(),
            account: account.into(),
            id: id.into(),
            occurred_at: at,
            due_at: None,
            expires_at: None,
            order_key: None,
            correlation: None,
            fact,
        }
    }
}

/// A request to sign as a vendor would.
#[derive(Clone)]
pub struct Order<'a> {
    /// The secret as it stands in the secret store.
    pub secret: &'a str,
    /// Names the key, in schemes that can.
    pub key_id: Option<&'a str>,
    /// `POST` ...
    pub method: &'a str,
    /// Absolute URL that the vendor calls.
    pub url: &'a str,
    /// The body's bytes.
    pub body: Vec<u8>,
    /// The sender's id of the message, in schemes that carry one.
    pub id: &'a str,
    /// When it is signed.
    pub at: Timestamp,
    /// The source's settings: the scheme's own, such as where a credential stands.
    pub settings: &'a SourceSettings,
}

impl Order<'_> {
    /// The request as ordered, with these headers.
    pub(super) fn request(&self, headers: impl IntoIterator<Item = (&'static str, String)>) -> HttpRequest {
        HttpRequest {
            method: self.method.to_owned(),
            url: self.url.to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: self.body.clone(),
        }
    }
}

// By hand: it holds a secret and a body.
impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("key_id", &self.key_id).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why something cannot be signed. Never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret is not a key that can sign in this scheme.
    #[error("the secret is not a signing key of this scheme: {0}")]
    Key(&'static str),
    /// The message lacks what its signature needs.
    #[error("{0}")]
    Message(&'static str),
}

impl From<BadKey> for SignError {
    fn from(key: BadKey) -> Self {
        Self::Key(key.0)
    }
}
