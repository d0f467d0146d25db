//! One source as the edge knows it: its address, the headers that its requests keep, its limits.

use std::{collections::BTreeMap, sync::Arc};

use hyper::{
    Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    http::request,
};

use crate::{
    config::Settings,
    domain::{
        envelope::HttpRequest,
        ids::SourceName,
        reason::{Class, Reason},
        timestamp::Timestamp,
    },
    edge::{
        answer::{Refusal, Why},
        limits::Rate,
    },
    sources::{
        contract::{BY_POLICY, Handshake},
        inspect::prove,
        senders::Sender,
        senders::Senders,
    },
};

/// Where sources stand.
const PATH: &str = "/hooks/";
/// Longest URL that an envelope tells, in bytes.
const LONGEST_URL: usize = 16 * 1024;

/// One source.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) name: SourceName,
    pub(super) sender: Arc<Sender>,
    /// Up to and without the query.
    url: String,
    /// Lower-case names.
    headers: Vec<String>,
    rate: Option<Rate>,
}

/// All sources, by name. `listening`: scheme and host where nothing else is configured.
pub(super) fn doors(settings: &Settings, senders: &Senders, listening: &str) -> BTreeMap<String, Door> {
    let host = settings.intake.public_url.as_deref().unwrap_or(listening);
    let door = |name: &String| {
        // Proved by the policy of its queue: over HTTP anybody could speak for it.
        let sender = senders.get(name).filter(|sender| sender.scheme.name != BY_POLICY)?;
        Some((name.clone(), Door::new(name, sender, host)))
    };
    settings.sources.keys().filter_map(door).collect()
}

/// The source that a path names; nothing is decoded or trimmed.
pub(super) fn find<'a>(doors: &'a BTreeMap<String, Door>, path: &str) -> Result<&'a Door, Refusal> {
    let found = path.strip_prefix(PATH).and_then(|name| doors.get(name));
    found.ok_or_else(|| Refusal::new(Why::UnknownSource, "no source of this name is configured"))
}

impl Door {
    fn new(name: &str, sender: &Arc<Sender>, host: &str) -> Self {
        let settings = &sender.settings;
        let url = settings.public_url.clone();
        let credential = settings.credential_in.as_deref().and_then(|place| place.strip_prefix("header:"));
        let fixed = [CONTENT_TYPE.as_str(), CONTENT_ENCODING.as_str()];
        let named = sender.scheme.headers.iter().chain(sender.vendor.headers).copied();
        Self {
            name: SourceName::from(name),
            sender: Arc::clone(sender),
            url: url.unwrap_or_else(|| format!("{}{PATH}{name}", host.trim_end_matches('/'))),
            headers: fixed.into_iter().chain(named).chain(credential).map(str::to_ascii_lowercase).collect(),
            rate: Rate::new(settings.requests_per_second),
        }
    }

    /// # Errors
    /// [`Why::RateLimited`].
    pub(super) fn rate(&self) -> Result<(), Refusal> {
        self.rate.as_ref().map_or(Ok(()), Rate::check)
    }

    /// Is this a method of the vendor's? A `GET` counts when it carries a signature, as some vendors can be told
    /// to send it; a browser's or a probe's does not.
    ///
    /// # Errors
    /// [`Why::Method`].
    pub(super) fn method(&self, parts: &request::Parts) -> Result<(), Refusal> {
        let signed = || self.sender.scheme.headers.iter().any(|name| parts.headers.contains_key(*name));
        match parts.method {
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
            Method::GET if signed() => Ok(()),
            _ => Err(Refusal::new(Why::Method, "the vendor does not call with this method")),
        }
    }

    /// The request as its envelope tells it: the URL as configured, with the raw query; of the headers those that
    /// somebody looks at, duplicates kept.
    ///
    /// # Errors
    /// A URL that is too long, or a header that is no text.
    pub(super) fn request(&self, parts: &request::Parts, body: Vec<u8>) -> Result<HttpRequest, Refusal> {
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if self.url.len() + query.len() > LONGEST_URL {
            return Err(Refusal::new(Why::LongUrl, format!("longer than {LONGEST_URL} bytes")));
        }
        let kept =
            parts.headers.iter().filter(|(name, _)| self.headers.iter().any(|kept| kept == name.as_str()));
        let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            // An envelope is JSON. What is no text matches no vendor's signature either.
            let value = std::str::from_utf8(value.as_bytes())
                .map_err(|_| Refusal::new(Why::HeaderNotText, format!("{name} is not UTF-8")))?;
            Ok((name.as_str().to_owned(), value.to_owned()))
        };
        Ok(HttpRequest {
            method: parts.method.as_str().to_owned(),
            url: format!("{}{query}", self.url),
            headers: kept.map(text).collect::<Result<_, Refusal>>()?,
            body,
        })
    }

    /// Where the source wants it: does the signature hold? What only we can mend (no key, a secret that cannot be
    /// read) is left to the worker, which keeps the request.
    ///
    /// # Errors
    /// [`Why::Signature`].
    pub(super) fn prove(&self, request: &HttpRequest, now: Timestamp) -> Result<(), Refusal> {
        if !self.sender.settings.verify_at_edge {
            return Ok(());
        }
        match prove(self.sender.scheme, &self.sender.settings, request, now) {
            Err((reason, detail)) if reason.class() == Class::Fatal && reason != Reason::SigNoKey => {
                Err(Refusal::new(Why::Signature(reason), detail))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn handshake(&self) -> Handshake {
        self.sender.scheme.handshake
    }
}
