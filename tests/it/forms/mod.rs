//! The forms in which a request comes through the queue, besides the envelope of an edge.

mod aws;
mod gzip;
mod objects;
pub(crate) mod s3;
mod webhook;
mod worker;

use std::collections::BTreeMap;

use longshore::{
    domain::{
        delivery::{Attribute, Delivery},
        timestamp::Timestamp,
    },
    sources::sign::SignedMessage,
};

use crate::senders::delivery;

/// A message with these text attributes.
fn message(body: impl Into<String>, attributes: &[(&str, &str)], sent_at: Timestamp) -> Delivery {
    let attributes: BTreeMap<_, _> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    delivery(&SignedMessage { body: body.into(), attributes }, sent_at)
}

/// The same with a binary attribute.
fn with_binary(mut delivery: Delivery, name: &str) -> Delivery {
    delivery.attributes.insert(name.to_owned(), Attribute::Binary(b"sha256=00".to_vec()));
    delivery
}
