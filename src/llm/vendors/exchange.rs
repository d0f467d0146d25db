//! One request to a provider over plain HTTP, answered at once or as server-sent events.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::{
    http::{Answer, Http, Opened, Post, SendError},
    llm::wire::CallError,
};

/// What comes back.
pub(crate) enum Reply {
    /// A whole answer, whatever its status, and its JSON where it has some.
    Whole(Answer, Option<Value>),
    /// A success whose events are still coming.
    Events(Opened),
}

/// Sends it. With `idle` the answer is read while it is made; an error, and a server that answers such a request in
/// one piece, are whole all the same: a whole answer is proof enough of being whole, and it is paid for.
///
/// # Errors
/// [`CallError::NotSent`] or [`CallError::Unknown`].
pub(crate) async fn exchange(
    http: &Http,
    post: Post<'_>,
    idle: Option<Duration>,
) -> Result<Reply, CallError> {
    let Some(idle) = idle else { return http.post(post).await.map(whole).map_err(lost) };
    let opened = http.open(post, idle).await.map_err(lost)?;
    if (200..=299).contains(&opened.status) && is_events(&opened) {
        Ok(Reply::Events(opened))
    } else {
        opened.whole().await.map(whole).map_err(lost)
    }
}

/// An answer of a gateway that gave up on the provider behind it: the question may have been answered there, and
/// billed.
pub(crate) fn is_from_a_gateway(status: u16) -> bool {
    matches!(status, 408 | 502 | 504 | 520..=524)
}

/// `{base}{tail}`, whatever slashes the base came with; a base without a path gets the version of the maker's API.
///
/// # Errors
/// When the base is no http(s) URL.
pub(crate) fn endpoint(base: &str, version: &str, tail: &str) -> Result<Url, String> {
    let mut url = Url::parse(base.trim()).map_err(|error| format!("`{base}` is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{base}` is no http(s) URL"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(tail).unwrap_or(path).trim_end_matches('/').to_owned();
    url.set_path(&format!("{}{tail}", if path.is_empty() { version } else { &path }));
    Ok(url)
}

fn whole(answer: Answer) -> Reply {
    let json = serde_json::from_slice(&answer.body).ok();
    Reply::Whole(answer, json)
}

fn is_events(opened: &Opened) -> bool {
    let kind = opened.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

fn lost(error: SendError) -> CallError {
    match error {
        SendError::NotSent(detail) => CallError::NotSent(detail),
        SendError::Unknown(detail) => CallError::Unknown(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn finds_the_endpoint_whatever_the_base_looks_like() {
        let whole = "https://api.example.com/v1/messages";
        for base in [
            "https://api.example.com",
            "https://api.example.com/",
            " https://api.example.com/v1/ ",
            "https://api.example.com/v1/messages",
        ] {
            assert_eq!(endpoint(base, "/v1", "/messages").unwrap().as_str(), whole, "{base}");
        }
        let proxied = endpoint("http://127.0.0.1:8080/anthropic/v1", "/v1", "/messages").unwrap();
        assert_eq!(proxied.as_str(), "http://127.0.0.1:8080/anthropic/v1/messages");
        for bad in ["", "api.example.com/v1", "ftp://example.com/v1"] {
            assert!(endpoint(bad, "/v1", "/messages").is_err(), "{bad}");
        }
    }
}
