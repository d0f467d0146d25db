//! Reading a captured request: JSON, or the text of an HTTP/1.1 request.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::domain::{envelope::HttpRequest, timestamp::Timestamp};

/// A request, and when it was received, where the file says so.
#[derive(Debug)]
pub(super) struct Captured {
    /// The request.
    pub(super) request: HttpRequest,
    /// The edge's clock.
    pub(super) received_at: Option<Timestamp>,
}

/// A map, or a list of pairs where one name stands on several lines.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    Map(BTreeMap<String, String>),
    List(Vec<(String, String)>),
}

/// An `envelope.v1`, of which only these two are looked at.
#[derive(Deserialize)]
struct Envelope {
    request: Request,
    received_at_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
    headers: Headers,
    body_base64: Option<String>,
    body: Option<String>,
    received_at_ms: Option<i64>,
}

/// Reads either form. A path without a host gets those of `base`, else of the `Host` header.
///
/// # Errors
/// What is wrong, without a word of the content.
pub(super) fn parse(file: &[u8], base: Option<&str>) -> Result<Captured, String> {
    match file.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => json(file),
        Some(_) => http(file, base),
        None => Err("the file is empty".to_owned()),
    }
}

fn json(file: &[u8]) -> Result<Captured, String> {
    let place =
        |e: serde_json::Error| format!("not a captured request: line {} column {}", e.line(), e.column());
    let value: serde_json::Value = serde_json::from_slice(file).map_err(place)?;
    let whole = value.get("request").is_some();
    let needed = "`method`, `url`, `headers` and `body_base64` or `body` are needed";
    let (request, at) = if whole {
        let envelope: Envelope = serde_json::from_value(value).map_err(|_| needed.to_owned())?;
        (envelope.request, envelope.received_at_ms)
    } else {
        (serde_json::from_value::<Request>(value).map_err(|_| needed.to_owned())?, None)
    };
    let body = match (&request.body_base64, &request.body) {
        (Some(text), None) => STANDARD.decode(text).map_err(|_| "`body_base64` is not base64".to_owned())?,
        (None, Some(text)) => text.clone().into_bytes(),
        _ => return Err("exactly one of `body_base64` and `body` is needed".to_owned()),
    };
    let headers = match request.headers {
        Headers::Map(map) => map.into_iter().collect(),
        Headers::List(list) => list,
    };
    let received_at = at.or(request.received_at_ms).map(Timestamp::from_millis);
    let (method, url) = (request.method, request.url);
    Ok(Captured { request: HttpRequest { method, url, headers, body }, received_at })
}

fn http(file: &[u8], base: Option<&str>) -> Result<Captured, String> {
    let (head, body) = split(file).ok_or("no empty line between headers and body")?;
    let head = std::str::from_utf8(head).map_err(|_| "the headers are not UTF-8")?;
    let mut lines = head.lines();
    let line: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let [method, target, "HTTP/1.0" | "HTTP/1.1"] = line[..] else {
        return Err("the first line is not `METHOD target HTTP/1.1`".to_owned());
    };
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header line without a colon")?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    if header("transfer-encoding").is_some() {
        return Err("a body in chunks cannot be read: capture it after the server joined them".to_owned());
    }
    let url =
        absolute(target, base, header("host")).ok_or("neither Host, nor a public_url, nor a full URL")?;
    let request = HttpRequest { method: method.to_owned(), url, headers, body: body.to_vec() };
    Ok(Captured { request, received_at: None })
}

/// At the first empty line, whichever line ends the file has.
fn split(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let at =
        |end: &[u8]| file.windows(end.len()).position(|window| window == end).map(|at| (at, at + end.len()));
    let (head, body) = [at(b"\r\n\r\n"), at(b"\n\n")].into_iter().flatten().min()?;
    Some((&file[..head], &file[body..]))
}

fn absolute(target: &str, base: Option<&str>, host: Option<&str>) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return Some(target.to_owned());
    }
    let known = base.and_then(|base| {
        let (scheme, rest) = base.split_once("://")?;
        Some(format!("{scheme}://{}", rest.split(['/', '?']).next()?))
    });
    let origin = known.or_else(|| host.map(|host| format!("https://{host}")))?;
    Some(format!("{origin}{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_same_request() {
        let raw = b"POST /in?a=1 HTTP/1.1\r\nHost: hooks.tides.example\r\nX-Key: a: b\r\n\r\n{}\r\n";
        let unix = b"POST /in?a=1 HTTP/1.1\nhost: other.example\nx-key: a: b\n\n{}\r\n";
        let request = r#"{"method":"POST","url":"https://hooks.tides.example/in?a=1","headers":{"x-key":"a: b"},"body_base64":"e30NCg=="}"#;
        let envelope = format!(r#"{{"v":1,"id":"e","source":"s","received_at_ms":5,"request":{request}}}"#);
        let text = r#"{"method":"POST","url":"https://hooks.tides.example/in?a=1","headers":[["X-Key","a: b"]],"body":"{}\r\n","received_at_ms":5}"#;
        let forms: [&[u8]; 5] = [raw, unix, request.as_bytes(), envelope.as_bytes(), text.as_bytes()];
        for file in forms {
            let captured = parse(file, Some("https://hooks.tides.example/elsewhere")).unwrap();
            assert_eq!(captured.request.url, "https://hooks.tides.example/in?a=1");
            assert_eq!(captured.request.body, b"{}\r\n");
            assert_eq!(captured.request.header("x-key").as_deref(), Some("a: b"));
        }
        assert_eq!(parse(envelope.as_bytes(), None).unwrap().received_at, Some(Timestamp::from_millis(5)));
        assert_eq!(parse(raw, None).unwrap().request.url, "https://hooks.tides.example/in?a=1");
    }

    #[test]
    fn what_cannot_be_read_is_said_without_its_content() {
        let bad: [&[u8]; 7] = [
            b"",
            b"{\"secret-marker\":1}",
            b"{\"secret-marker\":",
            b"GET / HTTP/1.1\r\n",
            b"secret-marker\n\nx",
            b"GET / HTTP/1.1\nsecret-marker\n\n",
            b"GET / HTTP/1.1\nTransfer-Encoding: chunked\nHost: a\n\n0\n\n",
        ];
        for file in bad {
            let why = parse(file, None).unwrap_err();
            assert!(!why.contains("marker"), "{why}");
        }
    }
}
