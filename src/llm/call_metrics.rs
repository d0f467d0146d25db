//! What is counted of every call.

use std::time::Duration;

use crate::{
    domain::{
        call::{CallEnd, CallResult},
        money::{Money, PICO_PER_USD},
        record::LedgerRow,
    },
    llm::{
        models::Model,
        wire::{CallError, Completion},
    },
};

/// Counts one call: how it ended, how long it took, what it used and cost.
pub(crate) fn record(model: &Model, end: &CallEnd, result: &Result<Completion, CallError>, took: Duration) {
    let (provider, model) = (model.kind, model.model.clone());
    let outcome = match (&end.end, result) {
        (CallResult::Answered { .. }, _) => "answered",
        (CallResult::Ambiguous { .. }, _) => "ambiguous",
        (CallResult::Failed { .. }, Ok(_)) => "unusable",
        (CallResult::Failed { .. }, Err(CallError::Interrupted { .. })) => "interrupted",
        (CallResult::Failed { .. }, Err(CallError::Rejected { .. })) => "rejected",
        (CallResult::Failed { .. }, Err(_)) => "not_sent",
    };
    metrics::counter!("longshore_llm_requests_total", "provider" => provider, "model" => model.clone(), "outcome" => outcome)
        .increment(1);
    metrics::histogram!("longshore_llm_request_seconds", "provider" => provider, "model" => model.clone())
        .record(took.as_secs_f64());
    match &end.end {
        CallResult::Answered { ledger, .. }
        | CallResult::Failed { ledger: Some(ledger), .. }
        | CallResult::Ambiguous { ledger, .. } => bill(provider, &model, ledger),
        CallResult::Failed { ledger: None, .. } => {}
    }
}

fn bill(provider: &'static str, model: &str, ledger: &LedgerRow) {
    let usage = &ledger.usage;
    for (kind, tokens) in [
        ("uncached_input", usage.uncached_input),
        ("cache_read", usage.cache_read),
        ("cache_write", usage.cache_write.saturating_add(usage.cache_write_1h)),
        ("output", usage.output),
    ] {
        let tokens = u64::try_from(tokens).unwrap_or(0);
        metrics::counter!("longshore_llm_tokens_total", "provider" => provider, "model" => model.to_owned(), "kind" => kind)
            .increment(tokens);
    }
    match ledger.cost {
        // Counters hold whole numbers only; a gauge that only grows reads the same in a query.
        Some(cost) => {
            metrics::gauge!("longshore_llm_cost_usd_total", "provider" => provider, "model" => model.to_owned())
                .increment(dollars(cost));
        }
        None => {
            metrics::counter!("longshore_llm_unpriced_total", "provider" => provider, "model" => model.to_owned())
                .increment(1);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display; the ledger holds the exact amount")]
fn dollars(cost: Money) -> f64 {
    cost.0 as f64 / PICO_PER_USD as f64
}
