//! The price table: readable, not too old, and knowing the models that are configured.

use std::time::Duration;

use crate::{
    cli::doctor::finding::Finding,
    clock::{Clock as _, SystemClock},
    config::{ProviderKind, Settings, Unpriced},
    domain::{timestamp::Timestamp, usage::Usage},
    llm::money::pricing::{PriceTable, Used},
};

/// Prices older than this are told.
const OLD: Duration = Duration::from_secs(90 * 24 * 3600);

/// All of it.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let table = match PriceTable::load(settings.llm.prices.as_deref()) {
        Ok(table) => table,
        Err(error) => return vec![Finding::fail("prices", error.to_string(), "correct llm.prices")],
    };
    let now = SystemClock.now();
    let mut found = Vec::new();
    let mut known = 0;
    for (name, provider) in &settings.llm.providers {
        let Some(model) = provider.model.as_ref().filter(|_| provider.kind != ProviderKind::Rules) else {
            continue;
        };
        match table.cost(&Used { model, tier: None, usage: &Usage::default(), at: now }) {
            None => found.push(unknown(name, model, settings.llm.unpriced)),
            Some((_, as_of)) => {
                known += 1;
                found.extend(old(model, &as_of, now));
            }
        }
    }
    if found.is_empty() {
        found.push(Finding::ok("prices", format!("of {known} configured models are known")));
    }
    found
}

fn unknown(name: &str, model: &str, unpriced: Unpriced) -> Finding {
    let then = match unpriced {
        Unpriced::Dearest => "strict budgets take the dearest price that is known",
        Unpriced::Refuse => "strict budgets do not ask it",
    };
    let detail = format!("no price of `{model}` (llm.providers.{name}) is known: {then}");
    Finding::warn(
        "prices",
        detail,
        "add it to a table at llm.prices; `longshore usage reprice` fills what was bought before",
    )
}

fn old(model: &str, as_of: &str, now: Timestamp) -> Option<Finding> {
    let day = Timestamp::parse_rfc3339(&format!("{as_of}T00:00:00Z"))?;
    let days = now.since(day).as_secs() / (24 * 3600);
    (now.since(day) > OLD).then(|| {
        let detail = format!("the price of `{model}` is {days} days old ({as_of})");
        Finding::warn("prices", detail, "look at the maker's price page, and put changes into llm.prices")
    })
}
