//! Money in whole pico-US-dollars, never a float: the cheapest cached token costs less than a nano-dollar.

use std::{fmt, iter::Sum, ops::Add};

use serde::{Deserialize, Serialize};

/// Pico-US-dollars (10^-12 USD). `i64` holds up to 9.2 million dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

/// Pico-dollars in one dollar.
pub const PICO_PER_USD: i64 = 1_000_000_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads a decimal dollar amount such as `0.00875`; more than twelve decimals or anything else is refused.
    #[must_use]
    pub fn parse_usd(text: &str) -> Option<Self> {
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 12 || !plain(whole) || !plain(fraction) {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = format!("{fraction:0<12}").parse().ok()?;
        whole.checked_mul(PICO_PER_USD)?.checked_add(fraction).map(Self)
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Exact decimal dollars without trailing zeros, at least two decimals: `0.00` or `0.000123`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        let scale = PICO_PER_USD.unsigned_abs();
        let decimals = format!("{:012}", amount % scale);
        let kept = decimals.trim_end_matches('0');
        write!(f, "{sign}{}.{kept:0<2}", amount / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn reads_and_prints_exact_decimals() {
        for (text, pico) in [("0.00875", 8_750_000_000), ("12", 12_000_000_000_000), ("0.000000000001", 1)] {
            assert_eq!(Money::parse_usd(text), Some(Money(pico)), "{text}");
        }
        for bad in ["", ".5", "1e3", "-1", "0.0000000000001", "1 000"] {
            assert_eq!(Money::parse_usd(bad), None, "{bad}");
        }
        assert_eq!(Money(8_750_000_000).to_string(), "0.00875");
        assert_eq!(Money::ZERO.to_string(), "0.00");
        assert_eq!(Money(-1).to_string(), "-0.000000000001");
    }
}
