//! A vendor's request for the edge. It is signed when it is sent: many schemes judge the time.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    domain::{envelope::HttpRequest, timestamp::Timestamp},
    sources::{
        contract::{Handshake, Order, SignError},
        senders::Sender,
        sign::sign_request,
    },
};

/// What stands in the answer that Salesforce waits for.
const ACK: &[u8] = b"<Ack>true</Ack>";

/// A request that is not signed yet.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The configured source.
    pub(crate) source: String,
    /// How it is proved, and with which settings.
    pub(crate) sender: Arc<Sender>,
    /// Id of the message, in schemes that carry one.
    pub(crate) id: String,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Names the key, in schemes that can.
    pub(crate) key: String,
    /// The key that signs.
    pub(crate) secret: SecretString,
    /// What the vendor must be answered.
    pub(crate) wanted: Answer,
}

/// What the edge answers, as far as a vendor cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Any 2xx.
    Taken,
    /// A 2xx with the SOAP acknowledgement: without it Salesforce sends again for 24 hours.
    Acknowledged,
    /// 401: the signature does not hold.
    Refused,
    /// Another status.
    Other(u16),
}

impl Answer {
    /// Of a status and a body.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        match status {
            200..=299 if body.windows(ACK.len()).any(|part| part == ACK) => Self::Acknowledged,
            200..=299 => Self::Taken,
            401 => Self::Refused,
            other => Self::Other(other),
        }
    }

    /// What a vendor wants for a request that is taken.
    pub(crate) fn wanted_by(sender: &Sender) -> Self {
        match sender.scheme.handshake {
            Handshake::SoapAck => Self::Acknowledged,
            _ => Self::Taken,
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken => f.write_str("200"),
            Self::Acknowledged => f.write_str("200 with a SOAP acknowledgement"),
            Self::Refused => f.write_str("401"),
            Self::Other(status) => write!(f, "{status}"),
        }
    }
}

impl Call {
    /// As the vendor sends it to this address at this time.
    ///
    /// # Errors
    /// When the key is none of the scheme.
    pub(crate) fn signed(&self, url: &str, at: Timestamp) -> Result<HttpRequest, SignError> {
        let order = Order {
            secret: self.secret.expose_secret(),
            key_id: Some(&self.key),
            method: "POST",
            url,
            body: self.body.clone(),
            id: &self.id,
            at,
            settings: &self.sender.settings,
        };
        sign_request(self.sender.scheme, &order)
    }

    /// Signed by somebody else: the edge must refuse it.
    pub(crate) fn forged(self, secret: SecretString) -> Self {
        Self { secret, wanted: Answer::Refused, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn salesforce_wants_more_than_a_200() {
        assert_eq!(Answer::of(200, b""), Answer::Taken);
        assert_eq!(Answer::of(204, b"<x><Ack>false</Ack></x>"), Answer::Taken);
        assert_eq!(Answer::of(200, b"<x><Ack>true</Ack></x>"), Answer::Acknowledged);
        assert_eq!(Answer::of(401, b"<Ack>true</Ack>"), Answer::Refused);
        assert_eq!(Answer::of(429, b""), Answer::Other(429));
    }
}
