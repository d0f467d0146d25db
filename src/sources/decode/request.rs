//! A vendor's request whose parts stand in message attributes, as a gateway maps them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    domain::{delivery::Attribute, envelope::HttpRequest},
    sources::{
        decode::{
            loaded::Loaded,
            names::{BODY_ENCODING, FORM, HEADERS, METHOD, POINTER_MARKS, SOURCE, URL},
        },
        rejection::{Rejection, malformed},
    },
};

/// Most headers that a request may carry.
pub(super) const MOST_HEADERS: usize = 100;
/// Longest URL, in bytes.
pub(super) const LONGEST_URL: usize = 16 * 1024;

/// Upper case, as HTTP has it.
pub(super) fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// With scheme and host.
pub(super) fn is_absolute(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The request. A gateway that could not map its URL leaves it out.
pub(super) fn request(loaded: &Loaded<'_>) -> Result<HttpRequest, Rejection> {
    let method = loaded.attribute(METHOD).unwrap_or_else(|| "POST".to_owned());
    let url = loaded.attribute(URL).unwrap_or_default();
    if !is_method(&method) {
        return Err(malformed("attribute `method` must be upper case"));
    }
    if (!url.is_empty() && !is_absolute(&url)) || url.len() > LONGEST_URL {
        return Err(malformed("attribute `url` must be absolute, at most 16 KiB"));
    }
    let mut headers = attribute_headers(loaded);
    headers.extend(json_headers(loaded)?);
    if headers.len() > MOST_HEADERS {
        return Err(malformed("more than 100 headers"));
    }
    Ok(HttpRequest { method, url, headers, body: body(loaded)? })
}

fn body(loaded: &Loaded<'_>) -> Result<Vec<u8>, Rejection> {
    match loaded.attribute(BODY_ENCODING).as_deref() {
        None => Ok(loaded.body.as_bytes().to_vec()),
        Some("base64") => {
            STANDARD.decode(loaded.body.as_bytes()).map_err(|_| malformed("the body is not base64"))
        }
        Some(_) => Err(malformed("attribute `body-encoding` can only be `base64`")),
    }
}

/// Every text attribute that means nothing to us is a header of its name. Binary ones are not: no header is.
pub(super) fn attribute_headers(loaded: &Loaded<'_>) -> Vec<(String, String)> {
    let ours = [FORM, SOURCE, METHOD, URL, HEADERS, BODY_ENCODING];
    let is_ours =
        |name: &str| ours.into_iter().chain(POINTER_MARKS).any(|own| name.eq_ignore_ascii_case(own));
    let texts = loaded.delivery.attributes.iter().filter_map(|(name, value)| match value {
        Attribute::Text(text) if !is_ours(name) => Some((name.as_str(), text.as_str())),
        _ => None,
    });
    texts.filter_map(|(name, value)| header(name, value)).collect()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    Pairs(Vec<(String, String)>),
    Object(std::collections::BTreeMap<String, String>),
}

/// The headers in the one attribute that can hold many.
fn json_headers(loaded: &Loaded<'_>) -> Result<Vec<(String, String)>, Rejection> {
    let Some(text) = loaded.attribute(HEADERS) else { return Ok(Vec::new()) };
    let bad = "attribute `headers` must be JSON: an object of texts, or a list of pairs of texts";
    let pairs = match serde_json::from_str(&text) {
        Ok(Headers::Pairs(pairs)) => pairs,
        Ok(Headers::Object(object)) => object.into_iter().collect(),
        Err(_) => return Err(malformed(bad)),
    };
    let checked = pairs.iter().map(|(name, value)| header(name, value));
    checked.collect::<Option<_>>().ok_or_else(|| malformed("attribute `headers` holds what no header can be"))
}

/// A header that HTTP allows, its name in lower case.
pub(super) fn header(name: &str, value: &str) -> Option<(String, String)> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let named = (1..=256).contains(&name.len()) && name.bytes().all(token);
    let printable = value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f));
    (named && printable).then(|| (name.to_ascii_lowercase(), value.to_owned()))
}
