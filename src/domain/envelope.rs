//! What a delivery carries, decoded but not yet believed.

use serde::{Deserialize, Serialize};

use crate::domain::{
    ids::{EventKey, Revision, SourceName},
    timestamp::Timestamp,
};

/// The HTTP request as the edge received it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Upper case, as received.
    pub method: String,
    /// Absolute URL as the client asked for it: not decoded, sorted or normalised.
    pub url: String,
    /// Lower-case names in the order received, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The value of a header by its lower-case name. Two lines of one name are joined with `", "`, as
    /// proxies do, and then match no signature.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }
}

/// What an edge saw of the connection. Counts only inside a sealed envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// SHA-256 fingerprint of the client's certificate, lower-case hex, where one was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_cert_sha256: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// Where a body lies that is too large for a message. Counts only inside a sealed envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyRef {
    /// The bucket; the configured one of the edges when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object's key.
    pub key: String,
    /// Its bytes.
    pub length: u64,
    /// Their SHA-256, hex.
    pub sha256: String,
}

/// The four values of the internal scheme, as they travelled in the message attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// `webhook-id`.
    pub id: Option<String>,
    /// `webhook-timestamp`: Unix seconds as text, signed as received.
    pub timestamp: Option<String>,
    /// `webhook-signature`: space-separated `v1,<base64>` entries.
    pub signature: Option<String>,
    /// `webhook-key-id`: names one key; not signed.
    pub key_id: Option<String>,
}

/// A decoded delivery; `Form` says which of the shapes it has.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The seal found in the attributes; signed over the message body's bytes.
    pub seal: Seal,
    /// The message body, which the seal covers.
    pub sealed: String,
    /// `SentTimestamp`: the "now" of the seal's freshness.
    pub sent_at: Timestamp,
    /// Hash of body and attributes, for recognising a redriven copy.
    pub content_hash: String,
    /// What the body holds.
    pub form: Form,
}

/// The shapes a message body can have.
#[derive(Clone, Debug)]
pub enum Form {
    /// `envelope.v1`: a vendor's request, sealed by an edge.
    Request {
        /// The envelope's own id, made by the edge. Never an event key.
        id: String,
        /// The configured sender.
        source: SourceName,
        /// The edge's clock when the request arrived: the "now" of every vendor tolerance.
        received_at: Timestamp,
        /// The request; without its body where that lies elsewhere.
        request: HttpRequest,
        /// Where the body lies, if not here.
        body_ref: Option<BodyRef>,
        /// Who called the edge.
        peer: Peer,
    },
    /// `job.v1`: a CloudEvents body signed by one of our own systems.
    Job {
        /// The configured sender.
        source: SourceName,
        /// Is the signed body compressed?
        packed: bool,
    },
    /// `webhook.v1`: a vendor's request as a gateway puts it on the queue, without an edge's seal.
    Webhook {
        /// The configured sender.
        source: SourceName,
        /// The request, as far as it came through.
        request: HttpRequest,
    },
    /// `aws.v1`: what an AWS service put on a queue whose policy vouches for its senders.
    Aws(AwsMessage),
    /// `wake.v1`: our own scheduler says that a parked event is due.
    Wake {
        /// Which event.
        key: EventKey,
        /// Of which fresh start.
        revision: Revision,
    },
    /// Holds nothing for anybody: a service tried whether it can write to the queue.
    Test,
}

/// What an AWS service sent, taken out of its envelopes.
#[derive(Clone, Debug)]
pub struct AwsMessage {
    /// The sender that the message names.
    pub source: Option<SourceName>,
    /// Where it came from, in the words of each envelope, innermost first: what senders claim by `origins`.
    pub origins: Vec<String>,
    /// The Amazon SNS notifications that it came in, outermost first.
    pub notifications: Vec<Notification>,
    /// The innermost body, and what is known of its headers.
    pub request: HttpRequest,
}

/// An Amazon SNS notification.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The topic's ARN.
    pub topic: String,
    /// The notification's JSON as received, which its signature is about.
    pub json: String,
}
