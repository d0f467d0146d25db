//! What a tenant may spend on models in a day and in a month of its own time zone.

use jiff::{ToSpan as _, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::domain::{ids::TenantId, money::Money, timestamp::Timestamp};

/// A share of the budget at which somebody is told, in percent; each once in a window.
pub const ALERT_LEVELS: [i32; 2] = [80, 100];

/// How long a budget lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first of the month to the next.
    Month,
}

impl Period {
    /// Both, in the order in which they are checked.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The period of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }
}

/// What happens at the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetMode {
    /// The worst case of a call is set aside before it; what does not fit is not called.
    Strict,
    /// Somebody is told; calls go on.
    Soft,
}

impl BudgetMode {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Soft => "soft",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Strict, Self::Soft].into_iter().find(|mode| mode.name() == name)
    }
}

/// One limit of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose.
    pub tenant: TenantId,
    /// For how long.
    pub period: Period,
    /// At most this much.
    pub limit: Money,
    /// What happens then.
    pub mode: BudgetMode,
    /// IANA name of the zone in which days and months begin: `UTC`, `Europe/Berlin` ...
    pub time_zone: String,
}

/// A budget and what is left of it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetStatus {
    /// The limit.
    #[serde(flatten)]
    pub budget: Budget,
    /// Beginning of the window.
    pub from: Timestamp,
    /// End of the window: when it is whole again.
    pub until: Timestamp,
    /// Spent in this window.
    pub spent: Money,
    /// Set aside for calls whose end is not known yet.
    pub held: Money,
}

/// A time zone that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is called `{0}`")]
pub struct UnknownZone(pub String);

impl Budget {
    /// Beginning and end of the window in which a time falls. Days of 23 and 25 hours are as long as they are.
    ///
    /// # Errors
    /// When the time zone is not known.
    pub fn window(&self, at: Timestamp) -> Result<(Timestamp, Timestamp), UnknownZone> {
        let unknown = || UnknownZone(self.time_zone.clone());
        let zone = TimeZone::get(&self.time_zone).map_err(|_| unknown())?;
        let now = jiff::Timestamp::from_microsecond(at.0).map_err(|_| unknown())?.to_zoned(zone.clone());
        let (first, last) = match self.period {
            Period::Day => (now.date(), now.date().checked_add(1.day())),
            Period::Month => {
                (now.date().first_of_month(), now.date().first_of_month().checked_add(1.month()))
            }
        };
        let start = |at: DateTime| {
            let zoned = zone.to_ambiguous_zoned(at).compatible().map_err(|_| unknown())?;
            Ok(Timestamp(zoned.timestamp().as_microsecond()))
        };
        Ok((start(first.into())?, start(last.map_err(|_| unknown())?.into())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(period: Period, zone: &str, at: &str) -> (String, String) {
        let budget = Budget {
            tenant: TenantId::from("t"),
            period,
            limit: Money::ZERO,
            mode: BudgetMode::Strict,
            time_zone: zone.to_owned(),
        };
        let (from, until) = budget.window(Timestamp::parse_rfc3339(at).unwrap()).unwrap();
        (from.to_string(), until.to_string())
    }

    #[test]
    fn windows_begin_in_the_tenants_time_zone() {
        let day = window(Period::Day, "Europe/Berlin", "2026-11-21T23:30:00Z");
        assert_eq!((day.0.as_str(), day.1.as_str()), ("2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"));
        let month = window(Period::Month, "America/Los_Angeles", "2026-11-01T01:00:00Z");
        assert_eq!((month.0.as_str(), month.1.as_str()), ("2026-10-01T07:00:00Z", "2026-11-01T07:00:00Z"));
        let utc = window(Period::Month, "UTC", "2026-12-31T23:59:59Z");
        assert_eq!((utc.0.as_str(), utc.1.as_str()), ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"));
    }

    #[test]
    fn a_day_in_which_the_clock_is_changed_is_as_long_as_it_is() {
        let long = window(Period::Day, "Europe/Berlin", "2026-10-25T12:00:00Z");
        assert_eq!((long.0.as_str(), long.1.as_str()), ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"));
    }

    #[test]
    fn an_unknown_zone_is_an_error() {
        let budget = Budget {
            tenant: TenantId::from("t"),
            period: Period::Day,
            limit: Money::ZERO,
            mode: BudgetMode::Soft,
            time_zone: "Mars/Olympus".to_owned(),
        };
        assert_eq!(budget.window(Timestamp(0)), Err(UnknownZone("Mars/Olympus".to_owned())));
    }
}
