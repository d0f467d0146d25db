//! The only outbound HTTP client: one pool, one set of time-outs, one answer to the question that matters
//! for anything that must not happen twice: was the request written?

pub mod handover;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::http::handover::{Handover, Watched};

/// How others see us in their logs.
const USER_AGENT: &str = concat!("longshore/", env!("CARGO_PKG_VERSION"));
/// Name lookup, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than what servers and balancers allow idle connections (60 s and more), so that a request is
/// seldom written to a connection that is just being closed: its fate would be unknown.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes. None of the calls made here has a longer one.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// One request. Not to be shown: headers may hold keys.
pub struct Post<'a> {
    /// Where to.
    pub url: Url,
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<&'a SecretString>,
    /// Further headers; names and values that are no header text are left out.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body: JSON where no `content-type` among the headers says otherwise.
    pub json: Vec<u8>,
    /// The whole exchange, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// The crash point reached when the request has been handed to the socket.
    pub written: &'static str,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// A header's text, where it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It failed before the request was written (name, connection, TLS): repeating it is safe.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It failed after the request may have been written, or the answer could not be read to its end: what
    /// the other side did is unknown.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// The client could not be made: no root certificates, no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up outbound HTTP: {0}")]
pub struct SetupError(#[from] reqwest::Error);

/// The client. Clones share one pool.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
}

impl Http {
    /// Redirects and the library's own retries are off: both would send a body twice without our knowing.
    /// Proxies from the environment are ignored.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, SetupError> {
        #[expect(clippy::disallowed_methods, reason = "the one place")]
        let builder = reqwest::Client::builder();
        let client = builder
            .user_agent(USER_AGENT)
            .tls_backend_rustls()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .build()?;
        Ok(Self { client })
    }

    /// Asks for one page.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn get(&self, url: &str, timeout: Duration) -> Result<Answer, SendError> {
        let response =
            self.client.get(url).timeout(timeout).send().await.map_err(|error| classify(&error, true))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: read(response).await? })
    }

    /// Sends one request and reads its answer. Cancelling it leaves the request's fate unknown.
    ///
    /// # Errors
    /// [`SendError::NotSent`] when it certainly was not written, [`SendError::Unknown`] otherwise. Any
    /// status is an answer, not an error.
    pub async fn post(&self, post: Post<'_>) -> Result<Answer, SendError> {
        let timeout = post.timeout;
        let (request, handover) = self.request(post);
        let response =
            request.timeout(timeout).send().await.map_err(|error| classify(&error, handover.happened()))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: read(response).await? })
    }

    /// Sends one request whose answer is read while it is made. `post.timeout` counts until the first byte, `idle`
    /// from then on, for each silence.
    ///
    /// # Errors
    /// As [`post`](Self::post); [`Opened`] tells what happens later.
    pub async fn open(&self, post: Post<'_>, idle: Duration) -> Result<Opened, SendError> {
        let timeout = post.timeout;
        let (request, handover) = self.request(post);
        let late = || {
            let text = "timed out".to_owned();
            if handover.happened() { SendError::Unknown(text) } else { SendError::NotSent(text) }
        };
        let sent = tokio::time::timeout(timeout, request.send()).await.map_err(|_| late())?;
        let response = sent.map_err(|error| classify(&error, handover.happened()))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Opened { status, headers, response, idle })
    }

    fn request(&self, post: Post<'_>) -> (reqwest::RequestBuilder, Handover) {
        let handover = Handover::default();
        let body = Watched::new(post.json.into(), handover.clone(), post.written);
        let mut request = self
            .client
            .post(post.url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .headers(extra(post.headers))
            .body(reqwest::Body::wrap(body));
        if let Some(bearer) = post.bearer {
            request = request.bearer_auth(bearer.expose_secret());
        }
        (request, handover)
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Opened {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    response: reqwest::Response,
    idle: Duration,
}

impl Opened {
    /// The next piece of the body; `None` at its proper end, which says nothing about whether what it holds is whole.
    ///
    /// # Errors
    /// [`SendError::Unknown`] when it broke off or was silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        match tokio::time::timeout(self.idle, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| SendError::Unknown(words(&error))),
            Err(_) => Err(SendError::Unknown(format!("silent for {} ms", self.idle.as_millis()))),
        }
    }

    /// All of it, for what turns out to be no stream.
    ///
    /// # Errors
    /// As [`next`](Self::next), and when it is too long.
    pub async fn whole(mut self) -> Result<Answer, SendError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            grow(&mut whole, &piece)?;
        }
        Ok(Answer { status: self.status, headers: self.headers, body: whole.freeze() })
    }
}

fn extra(pairs: &[(&str, &str)]) -> HeaderMap {
    let text = |(name, value): &(&str, &str)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        // `api-key`, `x-api-key`, `x-goog-api-key`: never shown, never put into an index.
        value.set_sensitive(name.to_ascii_lowercase().ends_with("key"));
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    pairs.iter().filter_map(text).collect()
}

/// Reads up to the cap. A body that is longer or breaks off is no answer.
async fn read(mut response: reqwest::Response) -> Result<Bytes, SendError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| SendError::Unknown(words(&error)))? {
        grow(&mut whole, &piece)?;
    }
    Ok(whole.freeze())
}

fn grow(whole: &mut BytesMut, piece: &[u8]) -> Result<(), SendError> {
    if whole.len() + piece.len() > LONGEST_ANSWER {
        return Err(SendError::Unknown(format!("the answer is longer than {LONGEST_ANSWER} bytes")));
    }
    whole.extend_from_slice(piece);
    Ok(())
}

/// What went wrong before the body was taken cannot have done anything over there: name, connection, TLS, a
/// time-out while still connecting. Everything else may have come after.
fn classify(error: &reqwest::Error, taken: bool) -> SendError {
    if error.is_connect() || error.is_builder() || !taken {
        SendError::NotSent(words(error))
    } else {
        SendError::Unknown(words(error))
    }
}

/// The chain of causes, without the URL: paths may hold account numbers.
fn words(error: &reqwest::Error) -> String {
    let kind = match () {
        () if error.is_timeout() && error.is_connect() => "connecting took too long",
        () if error.is_timeout() => "timed out",
        () if error.is_connect() => "cannot connect",
        () if error.is_builder() => "cannot be built",
        () => "broke off",
    };
    let mut text = kind.to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
