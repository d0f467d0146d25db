//! What a call costs. Prices are data, dated, and can be replaced by a file; a model that is not in the
//! table has no price, which is not the same as none.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use time::{Date, format_description::well_known::Iso8601};

use crate::{
    domain::{money::Money, timestamp::Timestamp, usage::Usage},
    llm::money::model_name,
};

/// The table that is compiled in: values in force on their `as_of` date, list prices of the standard tier.
const SHIPPED: &str = include_str!("../../../data/prices.json");
/// Prices are for so many tokens.
const PER: i128 = 1_000_000;
/// A price per million tokens above this is taken for a slip of the unit.
const DEAR: Money = Money(1_000 * 1_000_000_000_000);

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

/// Prices by model.
#[derive(Clone, Debug)]
pub struct PriceTable {
    models: BTreeMap<String, Vec<Period>>,
}

/// From a day on, until the next period.
#[derive(Clone, Debug)]
struct Period {
    from: Option<Timestamp>,
    as_of: String,
    base: Rates,
    /// By total input, cached or not; the highest step that is passed counts for the whole request.
    steps: Vec<(i64, Rates)>,
}

/// Per million tokens.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: Money,
    cache_read: Money,
    cache_write: Money,
    output: Money,
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

    /// Reads and checks a table. Prices that look like a slip (above 1000 dollars a million, output below
    /// input) are only warned about.
    ///
    /// # Errors
    /// When it is malformed or an amount or date cannot be read.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let file: File = serde_json::from_str(text)?;
        let mut models = BTreeMap::new();
        for (name, entry) in file.models {
            let periods = periods(&entry).map_err(|what| PriceError::Wrong { model: name.clone(), what })?;
            for rates in periods.iter().flat_map(|period| &period.steps).map(|step| step.1) {
                warn_about(&name, &rates);
            }
            periods.iter().for_each(|period| warn_about(&name, &period.base));
            models.insert(name.to_lowercase(), periods);
        }
        Ok(Self { models })
    }

    /// What this usage costs at that time, and the date of the price. `None`: no price is known. Summed
    /// exactly, rounded once, half up.
    #[must_use]
    pub fn cost(&self, model: &str, usage: &Usage, at: Timestamp) -> Option<(Money, String)> {
        let period = self.period(model, at)?;
        let rates = period.rates(usage.input());
        let parts = [
            (usage.uncached_input, rates.input),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write + usage.cache_write_1h, rates.cache_write),
            (usage.output, rates.output),
        ];
        Some((total(&parts), period.as_of.clone()))
    }

    /// The most that a call can cost, and the date of the price: all input at its dearest, all of the output
    /// cap used.
    #[must_use]
    pub fn worst_case(
        &self,
        model: &str,
        input: i64,
        max_output: u32,
        at: Timestamp,
    ) -> Option<(Money, String)> {
        let period = self.period(model, at)?;
        let rates = period.rates(input);
        let dearest = rates.input.max(rates.cache_write).max(rates.cache_read);
        Some((total(&[(input, dearest), (i64::from(max_output), rates.output)]), period.as_of.clone()))
    }

    fn period(&self, model: &str, at: Timestamp) -> Option<&Period> {
        let periods = model_name::candidates(model).into_iter().find_map(|name| self.models.get(&name))?;
        periods.iter().rev().find(|period| period.from.is_none_or(|from| from <= at))
    }
}

impl Period {
    fn rates(&self, input: i64) -> Rates {
        self.steps.iter().rev().find(|(above, _)| input > *above).map_or(self.base, |step| step.1)
    }
}

fn total(parts: &[(i64, Money)]) -> Money {
    let sum: i128 =
        parts.iter().map(|(tokens, price)| i128::from((*tokens).max(0)) * i128::from(price.0)).sum();
    Money(i64::try_from((sum + PER / 2) / PER).unwrap_or(i64::MAX))
}

#[derive(Deserialize)]
struct File {
    models: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    as_of: String,
    effective_from: Option<String>,
    #[serde(flatten)]
    prices: Prices,
    #[serde(default)]
    long_context: Vec<Step>,
    /// Announced changes, in the order of their days.
    #[serde(default)]
    next: Vec<Next>,
}

/// Decimal text in dollars per million tokens.
#[derive(Deserialize)]
struct Prices {
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    output: String,
}

#[derive(Deserialize)]
struct Step {
    above_input_tokens: i64,
    #[serde(flatten)]
    prices: Prices,
}

#[derive(Deserialize)]
struct Next {
    effective_from: String,
    #[serde(flatten)]
    prices: Prices,
    #[serde(default)]
    long_context: Vec<Step>,
}

fn periods(entry: &Entry) -> Result<Vec<Period>, String> {
    let from = entry.effective_from.as_deref().map(day).transpose()?;
    let mut periods = vec![period(from, &entry.as_of, &entry.prices, &entry.long_context)?];
    for next in &entry.next {
        let from = day(&next.effective_from)?;
        if periods.last().and_then(|last| last.from).is_some_and(|last| last >= from) {
            return Err(format!("{} is not after the change before it", next.effective_from));
        }
        periods.push(period(Some(from), &next.effective_from, &next.prices, &next.long_context)?);
    }
    Ok(periods)
}

fn period(from: Option<Timestamp>, as_of: &str, prices: &Prices, steps: &[Step]) -> Result<Period, String> {
    day(as_of)?;
    let mut steps: Vec<(i64, Rates)> = steps
        .iter()
        .map(|step| Ok((step.above_input_tokens, rates(&step.prices)?)))
        .collect::<Result<_, String>>()?;
    steps.sort_by_key(|step| step.0);
    Ok(Period { from, as_of: as_of.to_owned(), base: rates(prices)?, steps })
}

/// A missing cache price is not "free": such tokens are billed as plain input.
fn rates(prices: &Prices) -> Result<Rates, String> {
    let input = amount(&prices.input)?;
    let cache = |text: &Option<String>| text.as_deref().map_or(Ok(input), amount);
    Ok(Rates {
        input,
        cache_read: cache(&prices.cached_input)?,
        cache_write: cache(&prices.cache_write)?,
        output: amount(&prices.output)?,
    })
}

fn amount(text: &str) -> Result<Money, String> {
    Money::parse_usd(text).ok_or_else(|| format!("`{text}` is no dollar amount"))
}

/// The beginning of a day, UTC.
fn day(text: &str) -> Result<Timestamp, String> {
    let date = Date::parse(text, &Iso8601::DATE).map_err(|_| format!("`{text}` is no date"))?;
    Ok(date.midnight().assume_utc().into())
}

fn warn_about(model: &str, rates: &Rates) {
    if rates.input > DEAR || rates.output > DEAR || rates.output < rates.input {
        tracing::warn!(model, input = %rates.input, output = %rates.output, "this price looks wrong: dollars per million tokens are meant");
    }
}

#[cfg(test)]
mod tests {
    use super::PriceTable;
    use crate::domain::{money::Money, timestamp::Timestamp, usage::Usage};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn usd(text: &str) -> Money {
        Money::parse_usd(text).unwrap()
    }

    const NOVEMBER: &str = "2026-11-21T12:00:00Z";

    fn cost(model: &str, usage: Usage, when: &str) -> Option<(Money, String)> {
        PriceTable::load(None).unwrap().cost(model, &usage, at(when))
    }

    #[test]
    fn prices_every_kind_of_token_by_its_own_rate() {
        let usage = Usage {
            uncached_input: 1_000,
            cache_read: 500,
            cache_write: 200,
            output: 300,
            reasoning: 100,
            cache_write_1h: 0,
        };
        // 1000 x 4 + 500 x 0.4 + 200 x 5 + 300 x 20 dollars a million
        assert_eq!(cost("gpt-5.6-sol", usage, NOVEMBER), Some((usd("0.0112"), "2026-11-21".to_owned())));
        // No price for cache writes: they are billed as input, not given away.
        assert_eq!(cost("gpt-4o-mini", usage, NOVEMBER).unwrap().0, usd("0.0003975"));
    }

    #[test]
    fn keeps_fractions_of_a_nano_dollar() {
        let usage = Usage { cache_read: 1, ..Usage::default() };
        assert_eq!(cost("amazon.nova-micro-v1:0", usage, NOVEMBER).unwrap().0, Money(8_750));
    }

    #[test]
    fn a_long_context_changes_the_price_of_the_whole_request() {
        let at_step = Usage { uncached_input: 272_000, output: 1_000, ..Usage::default() };
        let above = Usage { uncached_input: 200_000, cache_read: 72_001, output: 1_000, ..Usage::default() };
        assert_eq!(cost("gpt-5.5", at_step, NOVEMBER).unwrap().0, usd("1.39"));
        assert_eq!(cost("gpt-5.5", above, NOVEMBER).unwrap().0, usd("2.117001"));
    }

    #[test]
    fn an_announced_change_counts_from_its_day() {
        let usage = Usage { uncached_input: 1_000_000, ..Usage::default() };
        let before = cost("gemini-3.8-flash", usage, "2026-12-31T23:59:59Z").unwrap();
        let after = cost("gemini-3.8-flash", usage, "2027-01-01T00:00:00Z").unwrap();
        assert_eq!((before.0, before.1.as_str()), (usd("0.75"), "2026-11-21"));
        assert_eq!((after.0, after.1.as_str()), (usd("1.5"), "2027-01-01"));
    }

    #[test]
    fn says_when_it_does_not_know() {
        let usage = Usage { output: 1, ..Usage::default() };
        assert_eq!(cost("my-own-model", usage, NOVEMBER), None);
        assert_eq!(cost("gpt-5.6-luna", usage, "2026-07-29T00:00:00Z"), None, "history is never priced anew");
    }

    #[test]
    fn the_worst_case_is_never_below_the_cost() {
        let table = PriceTable::load(None).unwrap();
        let when = at(NOVEMBER);
        let models: Vec<String> = table.models.keys().cloned().collect();
        assert_eq!(models.len(), 56);
        for (model, input) in models.iter().flat_map(|m| [(m, 10), (m, 150_000), (m, 300_000)]) {
            let usage = Usage {
                cache_write: input / 2,
                uncached_input: input - input / 2,
                output: 50,
                ..Usage::default()
            };
            let paid = table.cost(model, &usage, when).unwrap().0;
            assert!(table.worst_case(model, input, 50, when).unwrap().0 >= paid, "{model}");
        }
    }

    #[test]
    fn refuses_a_table_that_makes_no_sense() {
        let entry = |body: &str| format!("{{\"models\":{{\"m\":{{\"as_of\":\"2026-01-01\",{body}}}}}}}");
        for bad in [
            "{}".to_owned(),
            entry("\"input\":\"1\""),
            entry("\"input\":\"-1\",\"output\":\"2\""),
            entry("\"input\":\"1e3\",\"output\":\"2\""),
            entry("\"input\":\"1\",\"output\":\"2\",\"effective_from\":\"soon\""),
            entry(
                "\"input\":\"1\",\"output\":\"2\",\"next\":[{\"effective_from\":\"2027-01-01\",\"input\":\"1\",\"output\":\"2\"},{\"effective_from\":\"2026-01-01\",\"input\":\"1\",\"output\":\"2\"}]",
            ),
        ] {
            assert!(PriceTable::parse(&bad).is_err(), "{bad}");
        }
        assert!(PriceTable::parse(&entry("\"input\":\"1\",\"output\":\"2\"")).is_ok());
    }
}
