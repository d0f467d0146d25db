//! `Delivery` -> `Loaded`: the whole message body, also where the extended client libraries of SQS have put it into
//! Amazon S3 and sent a pointer.

use std::borrow::Cow;

use serde::Deserialize;

use crate::{
    domain::{
        delivery::{Attribute, Delivery},
        ids::SourceName,
        reason::Reason,
    },
    queue::contract::LARGEST_MESSAGE,
    sources::{
        decode::names::POINTER_MARKS,
        objects::Objects,
        rejection::{Fault, Rejection, malformed},
    },
};

/// Class names in a pointer, of version 2 and of version 1 of the libraries.
const POINTER_CLASSES: [&str; 2] =
    ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"];

/// A delivery whose whole body is here.
pub struct Loaded<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) body: Cow<'a, str>,
}

impl Loaded<'_> {
    /// A text attribute that is not empty; names are compared without regard to case, because edges copy them from
    /// HTTP headers.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let attributes = &self.delivery.attributes;
        let text = self.delivery.text(name).map(str::to_owned).or_else(|| {
            attributes.iter().find_map(|(found, value)| match value {
                Attribute::Text(text) if found.eq_ignore_ascii_case(name) => Some(text.clone()),
                _ => None,
            })
        });
        text.filter(|text| !text.is_empty())
    }

    /// The name of a source in an attribute.
    pub(crate) fn source(&self, name: &str) -> Result<Option<SourceName>, Rejection> {
        match self.attribute(name) {
            Some(text) if is_name(&text) => Ok(Some(SourceName(text))),
            Some(_) => Err(malformed(format!("{name} is not a source's name"))),
            None => Ok(None),
        }
    }
}

/// Names of sources and edges: what can stand in a metric label and in a path.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Fetches the body that a pointer names, from a listed bucket only. Anything else is whole already.
///
/// # Errors
/// `oversize`, `envelope_malformed`, `object_refused`, `object_missing`; or `object_unavailable`, a deferral.
pub async fn load<'a>(delivery: &'a Delivery, objects: &Objects) -> Result<Loaded<'a>, Rejection> {
    if delivery.size() > LARGEST_MESSAGE {
        return Err(Rejection::new(Reason::Oversize, format!("{} bytes in all", delivery.size())));
    }
    let Some(pointer) = pointer(delivery)? else {
        return Ok(Loaded { delivery, body: Cow::Borrowed(&delivery.body) });
    };
    let reject = |(reason, detail): Fault| Rejection::new(reason, detail);
    let bytes = objects.pointed_at(&pointer.bucket, &pointer.key).await.map_err(reject)?;
    let body = String::from_utf8(bytes).map_err(|_| malformed("the object is not UTF-8 text"))?;
    Ok(Loaded { delivery, body: Cow::Owned(body) })
}

#[derive(Deserialize)]
struct Pointer {
    #[serde(rename = "s3BucketName")]
    bucket: String,
    #[serde(rename = "s3Key")]
    key: String,
}

/// The attribute alone makes a body a pointer: what merely looks like one may be a vendor's own words. The size that
/// it tells is not believed.
fn pointer(delivery: &Delivery) -> Result<Option<Pointer>, Rejection> {
    let marked = |name: &String| POINTER_MARKS.contains(&name.as_str());
    if !delivery.attributes.keys().any(marked) {
        return Ok(None);
    }
    match serde_json::from_str::<(String, Pointer)>(&delivery.body) {
        Ok((class, pointer)) if POINTER_CLASSES.contains(&class.as_str()) => Ok(Some(pointer)),
        _ => Err(malformed("marked as a pointer to Amazon S3, and is not one")),
    }
}
