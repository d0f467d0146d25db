//! What a call costs. Prices are data, dated, and can be replaced by a file; a model that is not in the table has no
//! price, which is not the same as none.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    domain::{money::Money, timestamp::Timestamp, usage::Usage},
    llm::money::{
        factor::Factor,
        model_name,
        price_file::{File, Listed, Period},
        tier,
    },
};

/// The table that is compiled in: values in force on their `as_of` date, list prices of the standard tier.
const SHIPPED: &str = include_str!("../../../data/prices.json");
/// Prices are for so many tokens.
const PER: i128 = 1_000_000;

/// A price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The file cannot be read.
    #[error("cannot read the price table {0}: {1}")]
    Unreadable(String, std::io::Error),
    /// It is not the expected JSON.
    #[error("the price table is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A value makes no sense.
    #[error("the price table is wrong at {model}: {what}")]
    Wrong {
        /// Which entry.
        model: String,
        /// What is wrong.
        what: String,
    },
}

/// What is to be priced.
#[derive(Clone, Copy, Debug)]
pub struct Used<'a> {
    /// The model that answered; the one asked only where the provider did not say.
    pub model: &'a str,
    /// The tier that answered, in the provider's word; absent: the standard one.
    pub tier: Option<&'a str>,
    /// Tokens, in normal form.
    pub usage: &'a Usage,
    /// When it was used: decides which price counts.
    pub at: Timestamp,
}

/// Prices by model.
#[derive(Clone, Debug)]
pub struct PriceTable {
    models: BTreeMap<String, Listed>,
}

impl PriceTable {
    /// The table of this file, or the shipped one.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    pub fn load(file: Option<&Path>) -> Result<Self, PriceError> {
        match file {
            None => Self::parse(SHIPPED),
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| PriceError::Unreadable(path.display().to_string(), error))?;
                Self::parse(&text)
            }
        }
    }

    /// Reads and checks a table. Prices that look like a slip (above 1000 dollars a million, output below input) are
    /// only warned about.
    ///
    /// # Errors
    /// When it is malformed or an amount or date cannot be read.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let file: File = serde_json::from_str(text)?;
        let models = file.read().map_err(|(model, what)| PriceError::Wrong { model, what })?;
        let table = Self { models };
        tracing::info!(models = table.models.len(), as_of = table.as_of(), "prices are loaded");
        Ok(table)
    }

    /// The newest day on which a price of the table was seen.
    #[must_use]
    pub fn as_of(&self) -> &str {
        let seen = self.models.values().filter_map(|listed| listed.periods.first());
        seen.map(|period| period.as_of.as_str()).max().unwrap_or_default()
    }

    /// What was used costs this much, by the price of that date. `None`: no price is known, of the model or of the tier.
    /// Summed exactly, rounded once, half up.
    #[must_use]
    pub fn cost(&self, used: &Used<'_>) -> Option<(Money, String)> {
        let (listed, surcharge) = self.find(used.model)?;
        let period = listed.at(used.at)?;
        let usage = used.usage;
        let rates = period.rates(usage.input());
        let parts = [
            (usage.uncached_input, rates.input),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write, rates.cache_write),
            (usage.cache_write_1h, rates.cache_write_1h),
            (usage.output, rates.output),
        ];
        let factor = tier::factor(&listed.maker, used.tier)?.times(surcharge);
        Some((total(&parts, factor), period.as_of.clone()))
    }

    /// The most that a call can cost, and the date of the price: all input at its dearest, all of the output cap used.
    /// A tier that is asked for may be answered by the standard one, so no tier makes it less than that.
    #[must_use]
    pub fn worst_case(
        &self,
        model: &str,
        tier: Option<&str>,
        input: i64,
        max_output: u32,
        at: Timestamp,
    ) -> Option<(Money, String)> {
        let (listed, surcharge) = self.find(model)?;
        let period = listed.at(at)?;
        let factor = tier::factor(&listed.maker, tier)?.at_least_one().times(surcharge);
        Some((most(period, input, max_output, factor), period.as_of.clone()))
    }

    /// The most that a call of any model of the table can cost on the standard tier: stands in for a price that is not
    /// known. `None`: the table is empty.
    #[must_use]
    pub fn dearest(&self, input: i64, max_output: u32, at: Timestamp) -> Option<Money> {
        let periods = self.models.values().filter_map(|listed| listed.at(at));
        periods.map(|period| most(period, input, max_output, Factor::ONE)).max()
    }

    /// The model's window in tokens, as far as the table tells.
    #[must_use]
    pub fn context(&self, model: &str) -> Option<u32> {
        self.find(model)?.0.context
    }

    /// The entry, and what comes on top where only the price of another region is listed.
    fn find(&self, model: &str) -> Option<(&Listed, Factor)> {
        let names = model_name::candidates(model);
        let listed = |name: &String| self.models.get(name);
        names.iter().find_map(listed).map(|found| (found, Factor::ONE)).or_else(|| {
            let global = names.iter().filter_map(|name| model_name::global(name));
            global.filter_map(|name| listed(&name)).next().map(|found| (found, model_name::REGIONAL))
        })
    }
}

impl Listed {
    fn at(&self, at: Timestamp) -> Option<&Period> {
        self.periods.iter().rev().find(|period| period.from.is_none_or(|from| from <= at))
    }
}

fn most(period: &Period, input: i64, max_output: u32, factor: Factor) -> Money {
    let rates = period.rates(input);
    total(&[(input, rates.dearest_input()), (i64::from(max_output), rates.output)], factor)
}

fn total(parts: &[(i64, Money)], factor: Factor) -> Money {
    let sum: i128 =
        parts.iter().map(|(tokens, price)| i128::from((*tokens).max(0)) * i128::from(price.0)).sum();
    let per = PER * factor.1;
    Money(i64::try_from((sum * factor.0 + per / 2) / per).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{PriceTable, Used};
    use crate::domain::{timestamp::Timestamp, usage::Usage};

    fn november() -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-21T12:00:00Z").unwrap()
    }

    #[test]
    fn the_worst_case_is_never_below_the_cost() {
        let table = PriceTable::load(None).unwrap();
        let models: Vec<String> = table.models.keys().cloned().collect();
        assert_eq!(models.len(), 59);
        for (model, input) in models.iter().flat_map(|m| [(m, 10), (m, 150_000), (m, 300_000)]) {
            for hour in [0, input / 3] {
                let usage = Usage {
                    cache_write: input / 2 - hour / 2,
                    cache_write_1h: hour,
                    uncached_input: input - hour - (input / 2 - hour / 2),
                    output: 50,
                    ..Usage::default()
                };
                let paid = |tier| {
                    table.cost(&Used { model, tier, usage: &usage, at: november() }).map(|(cost, _)| cost)
                };
                let most = |tier| table.worst_case(model, tier, input, 50, november()).map(|(cost, _)| cost);
                for tier in [None, Some("flex"), Some("priority")] {
                    assert!(most(tier) >= paid(tier), "{model} {tier:?}");
                    // What was asked cheaper may be served at the standard tier.
                    assert!(most(tier).is_none() || most(tier) >= paid(None), "{model} {tier:?}");
                }
                assert!(table.dearest(input, 50, november()) >= paid(None), "{model}");
            }
        }
    }

    #[test]
    fn knows_windows_and_its_own_age() {
        let table = PriceTable::load(None).unwrap();
        assert_eq!(table.as_of(), "2026-11-21");
        assert_eq!(table.context("gpt-4o-mini-2024-07-18"), Some(128_000));
        assert_eq!(table.context("my-own-model"), None);
    }

    #[test]
    fn the_dearest_of_an_empty_table_is_unknown() {
        let empty = PriceTable::parse(r#"{"models":{}}"#).unwrap();
        assert_eq!(empty.dearest(1, 1, november()), None);
    }
}
