//! Which part of the ledger is meant: whose, and from when until when.

use clap::Args;

use crate::{domain::timestamp::Timestamp, store::report::UsageFilter};

/// Which rows.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Span {
    /// Only this tenant.
    #[arg(long)]
    pub(super) tenant: Option<String>,
    /// From this day (UTC) or RFC 3339 time on.
    #[arg(long, value_parser = time)]
    pub(super) from: Option<Timestamp>,
    /// Before this day (UTC) or RFC 3339 time.
    #[arg(long, value_parser = time)]
    pub(super) until: Option<Timestamp>,
}

impl Span {
    /// The same for the store.
    pub(super) fn filter(&self, prompt: Option<String>) -> UsageFilter {
        UsageFilter { tenant: self.tenant.clone(), from: self.from, until: self.until, prompt }
    }

    /// Does this time lie in it?
    pub(super) fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// A day is its beginning.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&whole).ok_or_else(|| "such as 2026-11-21 or 2026-11-21T10:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_beginning() {
        assert_eq!(time("1970-01-02").unwrap(), Timestamp::from_seconds(86_400));
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap(), Timestamp::from_seconds(1));
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn a_span_ends_before_its_end() {
        let span = Span { from: Some(Timestamp(1)), until: Some(Timestamp(3)), tenant: None };
        assert_eq!([0, 1, 2, 3].map(|at| span.holds(Timestamp(at))), [false, true, true, false]);
    }
}
