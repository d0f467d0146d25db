//! Messages that nobody should send, and what the server counted.

use std::collections::BTreeMap;

use longshore::{
    clock::{Clock as _, SystemClock},
    domain::{delivery::Attribute, envelope::Peer, ids::SourceName},
    queue::contract::OutgoingMessage,
    sources::sign::{SealKey, seal_envelope},
};
use serde_json::{Value, json};

use crate::{
    senders::{EDGE, signed},
    world::{World, send::outgoing},
};

impl World {
    /// A body as it is, with these attributes.
    pub(crate) fn raw(&mut self, body: String, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(n, v)| ((*n).to_owned(), Attribute::Text((*v).to_owned())));
        let attributes: BTreeMap<String, Attribute> = attributes.collect();
        self.outgoing.push(OutgoingMessage { body, attributes, ..OutgoingMessage::default() });
    }

    /// A vendor's request with this body, well signed and well sealed.
    pub(crate) fn signed_body(&mut self, source: &str, body: &[u8]) {
        self.enveloped(source, body.to_vec());
    }

    /// A well-sealed envelope whose JSON was changed before it was sealed.
    pub(crate) fn sealed_nonsense(&mut self, change: impl FnOnce(&mut Value)) {
        let now = SystemClock.now();
        let request = signed("whatsapp", b"{}".to_vec(), now);
        let key = SealKey { id: Some("edge"), secret: EDGE };
        let id = format!("ing_{}", self.number());
        let source = SourceName::from("whatsapp");
        let well = seal_envelope(&source, key, &id, (&request, &Peer::default()), now, now).unwrap();
        let mut body: Value = serde_json::from_str(&well.body).unwrap();
        change(&mut body);
        let mut message = outgoing(well);
        message.body = body.to_string();
        self.outgoing.push(message);
    }

    /// A job that succeeds after so many milliseconds, padded to so many bytes.
    pub(crate) fn padded_drill(&mut self, millis: u64, bytes: usize) {
        self.padding = bytes;
        self.drill(&json!({ "do": "work", "millis": millis }));
        self.padding = 0;
    }

    /// Calls of one operation, as the embedded queue counted them.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.server.as_ref().unwrap().counters().calls(operation)
    }
}
