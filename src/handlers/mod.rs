//! What we do about an event. A handler returns what is to be written and sent; the worker commits it.

mod chat;
mod crm_record;
mod delivery_status;
mod drill;
mod erase;
mod inbound_message;
mod opt_out;
pub mod tools;

use crate::{
    domain::{
        event::{Event, Fact},
        outcome::{Failure, Outcome},
    },
    handlers::tools::Tools,
    store::contract::Work,
};

/// Works one claimed event.
///
/// # Errors
/// Why it could not be worked; the reason's class decides between burying, retry and deferral.
pub async fn handle(tools: &Tools, work: &Work, event: &Event) -> Result<Outcome, Failure> {
    match &event.fact {
        Fact::InboundMessage(message) => inbound_message::handle(tools, work, event, message).await,
        Fact::DeliveryStatus(status) => Ok(delivery_status::handle(status)),
        Fact::CrmChange(change) => Ok(crm_record::handle(event, change)),
        // The event itself is the record.
        Fact::Notice(_) => Ok(Outcome::default()),
        Fact::Erase(order) => Ok(erase::handle(event, order)),
        Fact::ChatUsage(usage) => Ok(chat::handle(&tools.prices, event, usage)),
        Fact::Drill(drill) => drill::handle(work, drill).await,
    }
}
