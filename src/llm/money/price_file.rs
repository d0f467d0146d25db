//! A price table as a file: decimal text in dollars per million tokens, and the days from which prices count.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::{Date, format_description::well_known::Iso8601};

use crate::domain::{money::Money, timestamp::Timestamp};

/// A price per million tokens above this is taken for a slip of the unit.
const DEAR: Money = Money(1_000 * 1_000_000_000_000);

/// One model's prices.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Whose tiers count.
    pub(crate) maker: String,
    /// The model's window, in tokens.
    pub(crate) context: Option<u32>,
    /// By the day from which they count, oldest first; never empty.
    pub(crate) periods: Vec<Period>,
}

/// From a day on, until the next period.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    /// `None`: always has been.
    pub(crate) from: Option<Timestamp>,
    /// The day on which the price was seen, or announced to begin.
    pub(crate) as_of: String,
    base: Rates,
    /// By total input, cached or not; the highest step that is passed counts for the whole request.
    steps: Vec<(i64, Rates)>,
}

/// Per million tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) input: Money,
    pub(crate) cache_read: Money,
    pub(crate) cache_write: Money,
    pub(crate) cache_write_1h: Money,
    pub(crate) output: Money,
}

impl Period {
    /// What counts for a request of so much input.
    pub(crate) fn rates(&self, input: i64) -> &Rates {
        self.steps.iter().rev().find(|(above, _)| input > *above).map_or(&self.base, |step| &step.1)
    }

    fn all_rates(&self) -> impl Iterator<Item = &Rates> {
        std::iter::once(&self.base).chain(self.steps.iter().map(|step| &step.1))
    }
}

impl Rates {
    /// The dearest that a token of input can be.
    pub(crate) fn dearest_input(&self) -> Money {
        self.input.max(self.cache_read).max(self.cache_write).max(self.cache_write_1h)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
pub(crate) struct File {
    models: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    provider: String,
    as_of: String,
    effective_from: Option<String>,
    context: Option<u32>,
    /// Makes vectors: output costs nothing because there is none.
    #[serde(default)]
    vectors: bool,
    #[serde(flatten)]
    prices: Prices,
    #[serde(default)]
    long_context: Vec<Step>,
    /// Announced changes, in the order of their days.
    #[serde(default)]
    next: Vec<Next>,
}

/// Decimal text: a JSON number would have been a float on its way.
#[derive(Deserialize)]
struct Prices {
    input: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    cache_write_1h: Option<String>,
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

impl File {
    /// The models by their names in lower case; else the entry that is wrong, and what is.
    pub(crate) fn read(self) -> Result<BTreeMap<String, Listed>, (String, String)> {
        let mut models = BTreeMap::new();
        for (name, entry) in self.models {
            let periods = periods(&entry).map_err(|what| (name.clone(), what))?;
            for rates in periods.iter().flat_map(Period::all_rates) {
                for what in oddities(rates, entry.vectors) {
                    tracing::warn!(model = %name, %what, "this price looks wrong: dollars per million tokens are meant");
                }
            }
            let maker = entry.provider.to_lowercase();
            models.insert(name.to_lowercase(), Listed { maker, context: entry.context, periods });
        }
        Ok(models)
    }
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

/// A missing cache price is not "free": such tokens are billed as plain input, an hour's writes as five minutes'.
fn rates(prices: &Prices) -> Result<Rates, String> {
    let or = |text: &Option<String>, stand_in| text.as_deref().map_or(Ok(stand_in), amount);
    let input = amount(&prices.input)?;
    let cache_write = or(&prices.cache_write, input)?;
    Ok(Rates {
        input,
        cache_read: or(&prices.cached_input, input)?,
        cache_write,
        cache_write_1h: or(&prices.cache_write_1h, cache_write)?,
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

/// What looks like a slip of the unit or of a column. Said, not refused: somebody may have agreed on such a price.
fn oddities(rates: &Rates, vectors: bool) -> Vec<String> {
    let found = [
        (rates.input > DEAR, format!("input costs {}", rates.input)),
        (rates.output > DEAR, format!("output costs {}", rates.output)),
        (rates.input == Money::ZERO, "input is free".to_owned()),
        (!vectors && rates.output < rates.input, format!("output ({}) costs less than input", rates.output)),
        (
            rates.cache_read > rates.input,
            format!("reading a cache ({}) costs more than input", rates.cache_read),
        ),
    ];
    found.into_iter().filter(|(odd, _)| *odd).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::{Prices, oddities, rates};

    fn odd(input: &str, cached: Option<&str>, output: &str) -> usize {
        let prices = Prices {
            input: input.to_owned(),
            cached_input: cached.map(str::to_owned),
            cache_write: None,
            cache_write_1h: None,
            output: output.to_owned(),
        };
        oddities(&rates(&prices).unwrap(), false).len()
    }

    #[test]
    fn slips_are_said() {
        assert_eq!(odd("2", Some("0.2"), "10"), 0);
        assert_eq!(odd("1000", None, "1000"), 0, "the limit itself");
        assert_eq!(odd("2000", None, "10000"), 2, "a price for a million millions");
        assert_eq!(odd("10", None, "2"), 1, "columns swapped");
        assert_eq!(odd("0", None, "0"), 1, "not known yet is not free");
        assert_eq!(odd("2", Some("20"), "10"), 1);
    }
}
