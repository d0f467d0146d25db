//! `wake.v1`: our own scheduler says that a parked event is due.

use serde::Deserialize;

use crate::{
    domain::{
        envelope::Form,
        ids::{EventKey, Revision},
    },
    sources::rejection::{Rejection, json_fault, malformed},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WakeWire {
    event_key: String,
    revision: i32,
}

pub(super) fn decode(body: &str) -> Result<Form, Rejection> {
    let wire: WakeWire = serde_json::from_str(body).map_err(|e| malformed(json_fault(&e)))?;
    Ok(Form::Wake { key: EventKey(wire.event_key), revision: Revision(wire.revision) })
}
