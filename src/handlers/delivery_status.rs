//! How far a message of ours got. The store never moves a row back, and keeps a status that comes before its message.

use crate::domain::{
    event::DeliveryStatus,
    outcome::Outcome,
    record::{StatusWrite, Write},
};

pub(super) fn handle(status: &DeliveryStatus) -> Outcome {
    let write = StatusWrite {
        channel: status.channel,
        vendor_id: status.vendor_id.clone(),
        state: status.state,
        at: status.at,
        error_code: status.error_code.clone(),
        command_id: status.command_id.clone(),
    };
    Outcome { writes: vec![Write::DeliveryStatus(write)], commands: Vec::new() }
}
