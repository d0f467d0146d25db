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
        let used = Used { model, tier: provider.service_tier.as_deref(), usage: &Usage::default(), at: now };
        match table.cost(&used) {
            None => found.push(unknown(name, model, settings.llm.unpriced)),
            Some(_) => known += 1,
        }
    }
    found.extend(old(table.as_of(), now));
    if found.is_empty() {
        let detail = format!("as of {}, {known} configured models are in the table", table.as_of());
        found.push(Finding::ok("prices", detail));
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

fn old(as_of: &str, now: Timestamp) -> Option<Finding> {
    let day = Timestamp::parse_rfc3339(&format!("{as_of}T00:00:00Z"))?;
    let days = now.since(day).as_secs() / (24 * 3600);
    (now.since(day) > OLD).then(|| {
        let detail = format!("the newest price of the table is {days} days old ({as_of})");
        Finding::warn(
            "prices",
            detail,
            "look at the makers' price pages, and put changes into a table at llm.prices",
        )
    })
}
