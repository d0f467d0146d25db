//! What a budget without room says: until when the event waits, in words that an operator understands.

use std::time::Duration;

use crate::domain::{
    budget::BudgetStatus, money::Money, outcome::Failure, reason::Reason, timestamp::Timestamp,
};

/// Money that is set aside may come back at any time: asked again after this.
const HELD_MAY_COME_BACK: Duration = Duration::from_secs(60);

/// Waits for the reset, or for money that is only set aside and would be enough.
pub(crate) fn failure(status: &BudgetStatus, hold: Option<Money>, now: Timestamp) -> Failure {
    let reset = status.until.since(now);
    let limit = status.budget.limit;
    let fits = |taken: Money| hold.is_some_and(|hold| taken + hold <= limit);
    let wait = if fits(status.spent) { reset.min(HELD_MAY_COME_BACK) } else { reset };
    let worst = hold
        .map_or_else(|| "a call of unknown price".to_owned(), |hold| format!("a call of at most ${hold}"));
    let never = if hold.is_some() && !fits(Money::ZERO) { ", which never fits" } else { "" };
    let detail = format!(
        "the budget of `{}` for the {} has no room for {worst}{never}: limit ${limit}, spent ${}, set aside ${}, \
         window {} to {}",
        status.budget.tenant,
        status.budget.period.name(),
        status.spent,
        status.held,
        status.from,
        status.until,
    );
    Failure::new(Reason::BudgetExhausted, detail).wait(wait.max(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::failure;
    use crate::domain::{
        budget::{Budget, BudgetMode, BudgetStatus, Period},
        money::Money,
        timestamp::Timestamp,
    };

    fn status(spent: i64, held: i64) -> BudgetStatus {
        let budget = Budget {
            tenant: "acme".into(),
            period: Period::Day,
            limit: Money(100),
            mode: BudgetMode::Strict,
            time_zone: "UTC".to_owned(),
        };
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        let (from, until) = (at("2026-11-21T00:00:00Z"), at("2026-11-22T00:00:00Z"));
        BudgetStatus { budget, from, until, spent: Money(spent), held: Money(held) }
    }

    #[test]
    fn waits_for_the_reset_or_for_what_is_only_set_aside() {
        let now = Timestamp::parse_rfc3339("2026-11-21T23:00:00Z").unwrap();
        let wait = |spent, held, hold: Option<i64>| failure(&status(spent, held), hold.map(Money), now).wait;
        assert_eq!(wait(90, 0, Some(20)), Some(Duration::from_secs(3600)));
        assert_eq!(wait(50, 40, Some(20)), Some(Duration::from_secs(60)));
        assert_eq!(wait(0, 0, None), Some(Duration::from_secs(3600)));
        let told = failure(&status(90, 5), Some(Money(20)), now).detail;
        for part in ["acme", "day", "0.0000000001", "0.00000000009", "0.000000000005", "2026-11-22T00:00:00Z"]
        {
            assert!(told.contains(part), "{told}");
        }
        assert!(failure(&status(0, 0), Some(Money(101)), now).detail.contains("never fits"));
    }
}
