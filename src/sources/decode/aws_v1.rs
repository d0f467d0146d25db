//! `aws.v1`: what AWS services send, taken out of their envelopes. Only for queues whose policy vouches for them.

use crate::{
    domain::envelope::{AwsMessage, Form, HttpRequest, Notification},
    sources::{
        decode::{
            aws_shape::{Shape, shape},
            loaded::Loaded,
            names::{CONTENT_ENCODING, SOURCE},
            request::{MOST_HEADERS, attribute_headers, header, request},
        },
        rejection::{Rejection, malformed},
    },
};

/// Most envelopes around a body: Amazon S3 in Amazon SNS, EventBridge in SNS ...
const DEEPEST: usize = 3;

/// A message that says what it is.
pub(super) fn decode(loaded: &Loaded<'_>) -> Result<Form, Rejection> {
    let mut message = AwsMessage {
        source: loaded.source(SOURCE)?,
        origins: Vec::new(),
        notifications: Vec::new(),
        request: request(loaded)?,
    };
    let Ok(text) = std::str::from_utf8(&message.request.body) else { return Ok(Form::Aws(message)) };
    let Some(inner) = unwrap(text)? else { return Ok(Form::Test) };
    if inner.layers == 0 {
        return Ok(Form::Aws(message));
    }
    // What surrounds a service's own envelope describes the envelope.
    let mut headers = attribute_headers(loaded);
    headers.retain(|(name, _)| name != CONTENT_ENCODING);
    headers.extend(inner.headers);
    headers.truncate(MOST_HEADERS);
    message.request =
        HttpRequest { method: "POST".to_owned(), url: String::new(), headers, body: inner.body.into_bytes() };
    message.origins = inner.origins;
    message.notifications = inner.notifications;
    Ok(Form::Aws(message))
}

/// A message without a form. One that names its sender is that sender's, as it is: services cannot do that.
pub(super) fn detect(loaded: &Loaded<'_>) -> Result<Form, Rejection> {
    match loaded.source(SOURCE)? {
        Some(source) => {
            let request = request(loaded).map_err(|rejection| rejection.claimed_by(&source))?;
            Ok(Form::Webhook { source, request })
        }
        None => decode(loaded),
    }
}

/// A body and what it was taken out of.
struct Unwrapped {
    body: String,
    layers: usize,
    origins: Vec<String>,
    notifications: Vec<Notification>,
    headers: Vec<(String, String)>,
}

/// Takes a body out of its envelopes; `None` for Amazon S3's test. EventBridge's and CloudEvents' own JSON stays,
/// for the vendors that read it, unless it holds another envelope.
fn unwrap(text: &str) -> Result<Option<Unwrapped>, Rejection> {
    let mut inner = Unwrapped {
        body: text.to_owned(),
        layers: 0,
        origins: Vec::new(),
        notifications: Vec::new(),
        headers: Vec::new(),
    };
    loop {
        let found = shape(&inner.body);
        if matches!(found, Shape::Raw) {
            break;
        }
        inner.layers += 1;
        if inner.layers > DEEPEST {
            return Err(malformed("more than three envelopes in each other"));
        }
        let (origin, content) = match found {
            Shape::Notification { topic, message, attributes } => {
                let pairs = attributes.iter().filter_map(|(name, value)| header(name, value));
                inner.headers = pairs.collect();
                inner.notifications.push(Notification { topic: topic.clone(), json: inner.body });
                inner.body = message;
                inner.origins.insert(0, topic);
                continue;
            }
            Shape::Event { origin, content } => (origin, content),
            Shape::Bucket(bucket) => (format!("s3:{bucket}"), None),
            Shape::BucketTest => return Ok(None),
            Shape::Raw => break,
        };
        inner.origins.insert(0, origin);
        match content.filter(|content| !matches!(shape(content), Shape::Raw)) {
            Some(content) => inner.body = content,
            None => break,
        }
    }
    Ok(Some(inner))
}
