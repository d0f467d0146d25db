//! A streamed chat ended elsewhere and says what it used: exactly one ledger row (BV-2).

use crate::{
    domain::{
        event::{ChatUsage, Event},
        outcome::Outcome,
        record::{LedgerRow, LedgerStatus, Write},
        usage::UsageSource,
    },
    llm::money::pricing::{PriceTable, Used},
};

/// The step under which such usage stands in reports.
const STEP: &str = "streamed_chat";

/// Priced here by the model that answered and the day on which it did; the sender's own figure does not count. An
/// unknown model has no price, which is not the same as none.
pub(super) fn handle(prices: &PriceTable, event: &Event, chat: &ChatUsage) -> Outcome {
    let used = Used { model: &chat.model, tier: None, usage: &chat.usage, at: chat.ended_at };
    let priced = prices.cost(&used);
    let (cost, price_version) = priced.unzip();
    let row = LedgerRow {
        // The event's own key: a replay of the event writes the same row again, not a second one.
        id: event.key.to_string(),
        tenant: event.tenant.clone(),
        at: chat.ended_at,
        event_key: event.key.clone(),
        step: STEP.to_owned(),
        status: if chat.aborted { LedgerStatus::Partial } else { LedgerStatus::Reported },
        provider: chat.provider.clone(),
        requested_model: chat.model.clone(),
        served_model: Some(chat.model.clone()),
        usage: chat.usage,
        usage_source: UsageSource::Provider,
        cost,
        price_version,
        latency_ms: chat.latency_ms,
        user: Some(chat.user.clone()),
        specialist: chat.specialist.clone(),
        request_id: Some(chat.chat_id.clone()),
        prompt: None,
        prompt_hash: None,
        requested_tier: None,
        served_tier: None,
    };
    Outcome { writes: vec![Write::Ledger(Box::new(row))], commands: Vec::new() }
}
