//! No signature at all: the queue's policy says who may send. What comes any other way is never believed.

use crate::{
    domain::{envelope::HttpRequest, reason::Reason},
    sources::{
        contract::{BY_POLICY, Evidence, Handshake, Order, Proof, Scheme, SignError},
        rejection::Fault,
    },
};

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: BY_POLICY,
    headers: &[],
    handshake: Handshake::None,
    redact: None,
    shape: "nothing: the queue's policy decides who may send",
    causes: &["the request came another way than through a queue with trust = \"queue\""],
    verify,
    sign,
};

fn verify(_: &Evidence<'_>) -> Result<Proof, Fault> {
    let why = "authenticated by the queue's policy alone; this request did not come through such a queue";
    Err((Reason::SigMissing, why.to_owned()))
}

fn sign(_: &Order<'_>) -> Result<HttpRequest, SignError> {
    Err(SignError::Message(
        "this source has no signature: send to its queue as a sender that the policy allows",
    ))
}
