//! What we do about an event. A handler returns what is to be written and sent; the worker commits it.

mod chat;
mod chat_complete;
mod chat_relay;
mod crm_record;
mod delivery_status;
mod draft_quality;
mod drill;
mod email_draft;
mod embedding;
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
        Fact::EmailDraft(draft) => email_draft::handle(tools, work, event, draft).await,
        Fact::ChatComplete(chat) => chat_complete::handle(tools, work, event, chat).await,
        Fact::EmbeddingStore(item) => embedding::handle(tools, work, event, item).await,
        Fact::Drill(drill) => drill::handle(work, drill).await,
    }
}
