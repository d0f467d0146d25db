//! The ledger held against a provider's own account, request by request.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cli::usage::{export::Bill, span::Span},
    domain::{
        money::Money,
        record::{LedgerRow, LedgerStatus},
        timestamp::Timestamp,
    },
    llm::money::model_name,
};

/// What both sides say of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    pub(super) model: Option<String>,
    pub(super) input: Option<i64>,
    pub(super) cached: Option<i64>,
    pub(super) output: Option<i64>,
    pub(super) cost: Option<Money>,
}

/// A request on which they do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    /// The provider's id; of ledger rows without one, the row's own.
    pub(super) request_id: String,
    /// What the ledger says; absent where it knows nothing of the request.
    pub(super) ledger: Option<Figures>,
    /// What the export says; absent where it knows nothing of the request.
    pub(super) export: Option<Figures>,
}

/// One side in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) requests: i64,
    pub(super) input: i64,
    pub(super) cached: i64,
    pub(super) output: i64,
    pub(super) cost: Money,
    /// Requests without a known cost.
    pub(super) unpriced: i64,
}

/// Both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Comparison {
    /// Requests on which both agree.
    pub(super) same: i64,
    /// By request id.
    pub(super) different: Vec<Difference>,
    pub(super) ledger: Totals,
    pub(super) export: Totals,
}

/// The ledger's side, filled page by page.
pub(super) struct Comparing<'a> {
    bills: BTreeMap<&'a str, &'a Bill>,
    span: &'a Span,
    providers: &'a [String],
    tolerance: Money,
    /// By request id; a request that the ledger has twice is added up, and differs then.
    seen: BTreeMap<String, (Figures, Timestamp)>,
}

impl<'a> Comparing<'a> {
    /// `providers`: kinds that count; none: all.
    pub(super) fn new(bills: &'a [Bill], span: &'a Span, providers: &'a [String], tolerance: Money) -> Self {
        let bills = bills.iter().map(|bill| (bill.request_id.as_str(), bill)).collect();
        Self { bills, span, providers, tolerance, seen: BTreeMap::new() }
    }

    /// Takes a row, if it is one that a provider would bill.
    pub(super) fn take(&mut self, row: &LedgerRow) {
        let named = self.providers.is_empty() || self.providers.contains(&row.provider);
        if !named || row.status == LedgerStatus::Cached || row.provider == "rules" {
            return;
        }
        let id = row.request_id.clone().unwrap_or_else(|| format!("(none) {}", row.id));
        // A call at the edge of the span has its two times on different sides: what the export knows always counts.
        if !self.span.holds(row.at) && !self.bills.contains_key(id.as_str()) {
            return;
        }
        let figures = Figures {
            model: Some(row.served_model.clone().unwrap_or_else(|| row.requested_model.clone())),
            input: Some(row.usage.input()),
            cached: Some(row.usage.cache_read),
            output: Some(row.usage.output),
            cost: row.cost,
        };
        match self.seen.get_mut(&id) {
            Some((first, _)) => first.add(&figures),
            None => drop(self.seen.insert(id, (figures, row.at))),
        }
    }

    /// What came out.
    pub(super) fn finish(self) -> Comparison {
        let mut result = Comparison::default();
        for (id, (ledger, _)) in &self.seen {
            result.ledger.add(ledger);
            let export = self.bills.get(id.as_str()).map(|bill| Figures::from(*bill));
            if export.as_ref().is_some_and(|export| ledger.agrees(export, self.tolerance)) {
                result.same += 1;
            } else {
                let (request_id, ledger) = (id.clone(), Some(ledger.clone()));
                result.different.push(Difference { request_id, ledger, export });
            }
        }
        for (id, bill) in &self.bills {
            let known = self.seen.contains_key(*id);
            if known || bill.at.is_none_or(|at| self.span.holds(at)) {
                result.export.add(&Figures::from(*bill));
            }
            if !known && bill.at.is_none_or(|at| self.span.holds(at)) {
                let (request_id, export) = ((*id).to_owned(), Some(Figures::from(*bill)));
                result.different.push(Difference { request_id, ledger: None, export });
            }
        }
        result
    }
}

impl From<&Bill> for Figures {
    fn from(bill: &Bill) -> Self {
        let Bill { model, input, cached, output, cost, .. } = bill.clone();
        Self { model, input, cached, output, cost }
    }
}

impl Figures {
    /// What the export does not tell is not held against the ledger; a cost that only it knows is.
    fn agrees(&self, export: &Self, tolerance: Money) -> bool {
        let same = |ours: Option<i64>, theirs: Option<i64>| theirs.is_none() || ours == theirs;
        let model = match (&self.model, &export.model) {
            (Some(ours), Some(theirs)) => is_same_model(ours, theirs),
            _ => true,
        };
        let cost = match (self.cost, export.cost) {
            (Some(ours), Some(theirs)) => ours.0.abs_diff(theirs.0) <= tolerance.0.unsigned_abs(),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        model
            && cost
            && same(self.input, export.input)
            && same(self.cached, export.cached)
            && same(self.output, export.output)
    }

    fn add(&mut self, more: &Self) {
        let sum = |a: Option<i64>, b: Option<i64>| Some(a?.saturating_add(b?));
        self.input = sum(self.input, more.input);
        self.cached = sum(self.cached, more.cached);
        self.output = sum(self.output, more.output);
        self.cost = sum(self.cost.map(|cost| cost.0), more.cost.map(|cost| cost.0)).map(Money);
    }
}

/// Bills name the snapshot where answers name the alias, and the other way round.
fn is_same_model(ours: &str, theirs: &str) -> bool {
    let names = model_name::candidates(theirs);
    model_name::candidates(ours).iter().any(|name| names.contains(name))
}

impl Totals {
    fn add(&mut self, figures: &Figures) {
        let plus = |sum: &mut i64, more: Option<i64>| *sum = sum.saturating_add(more.unwrap_or(0));
        self.requests += 1;
        plus(&mut self.input, figures.input);
        plus(&mut self.cached, figures.cached);
        plus(&mut self.output, figures.output);
        self.cost = self.cost + figures.cost.unwrap_or_default();
        self.unpriced += i64::from(figures.cost.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::{Usage, UsageSource};

    fn row(id: &str, request_id: Option<&str>, cost: Option<i64>, at: i64) -> LedgerRow {
        LedgerRow {
            id: id.to_owned(),
            tenant: "t".into(),
            at: Timestamp(at),
            event_key: "k".into(),
            step: "s".to_owned(),
            status: LedgerStatus::Answered,
            provider: "openai".to_owned(),
            requested_model: "gpt-5-mini".to_owned(),
            served_model: Some("gpt-5-mini-2025-08-07".to_owned()),
            usage: Usage { uncached_input: 8, cache_read: 2, output: 5, ..Usage::default() },
            usage_source: UsageSource::Provider,
            cost: cost.map(Money),
            price_version: None,
            latency_ms: 1,
            user: None,
            specialist: None,
            request_id: request_id.map(str::to_owned),
            prompt: None,
            prompt_hash: None,
            requested_tier: None,
            served_tier: None,
        }
    }

    fn bill(id: &str, output: i64, cost: Option<i64>) -> Bill {
        Bill {
            request_id: id.to_owned(),
            model: Some("openai/gpt-5-mini".to_owned()),
            input: Some(10),
            cached: Some(2),
            output: Some(output),
            cost: cost.map(Money),
            ..Bill::default()
        }
    }

    fn compare(rows: &[LedgerRow], bills: &[Bill], span: &Span, tolerance: i64) -> Comparison {
        let mut comparing = Comparing::new(bills, span, &[], Money(tolerance));
        rows.iter().for_each(|row| comparing.take(row));
        comparing.finish()
    }

    #[test]
    fn what_is_the_same_is_counted_and_what_is_not_is_shown() {
        let rows = [
            row("1", Some("a"), Some(100), 1),
            row("2", Some("b"), Some(100), 2),
            row("3", None, Some(7), 3),
        ];
        let bills = [bill("a", 5, Some(100)), bill("b", 6, Some(100)), bill("c", 5, None)];
        let result = compare(&rows, &bills, &Span::default(), 0);
        assert_eq!(result.same, 1);
        let shown: Vec<_> = result
            .different
            .iter()
            .map(|d| (d.request_id.as_str(), d.ledger.is_some(), d.export.is_some()))
            .collect();
        assert_eq!(shown, [("(none) 3", true, false), ("b", true, true), ("c", false, true)]);
        assert_eq!((result.ledger.requests, result.ledger.cost), (3, Money(207)));
        assert_eq!((result.export.output, result.export.unpriced), (16, 1));
    }

    #[test]
    fn a_cost_may_be_rounded_only_as_far_as_is_said() {
        let rows = [row("1", Some("a"), Some(100), 1)];
        let bills = [bill("a", 5, Some(101))];
        assert_eq!(compare(&rows, &bills, &Span::default(), 0).same, 0);
        assert_eq!(compare(&rows, &bills, &Span::default(), 1).same, 1);
        let unknown = [row("1", Some("a"), None, 1)];
        assert_eq!(compare(&unknown, &bills, &Span::default(), 1).same, 0, "an unknown cost is not the same");
    }

    #[test]
    fn a_call_that_the_ledger_has_twice_differs() {
        let rows = [row("1", Some("a"), Some(100), 1), row("2", Some("a"), Some(100), 2)];
        let result = compare(&rows, &[bill("a", 5, Some(100))], &Span::default(), 0);
        assert_eq!(result.different[0].ledger.as_ref().unwrap().cost, Some(Money(200)));
    }

    #[test]
    fn at_the_edge_of_a_span_what_both_know_counts() {
        let span = Span { from: Some(Timestamp(10)), until: Some(Timestamp(20)), tenant: None };
        let rows = [row("1", Some("a"), Some(100), 21), row("2", Some("b"), Some(100), 22)];
        let mut later = bill("z", 5, None);
        later.at = Some(Timestamp(20));
        let result = compare(&rows, &[bill("a", 5, Some(100)), later], &span, 0);
        assert_eq!((result.same, result.different), (1, Vec::new()));
    }

    #[test]
    fn what_no_provider_bills_is_left_out() {
        let mut cached = row("1", None, Some(0), 1);
        cached.status = LedgerStatus::Cached;
        let mut rules = row("2", None, Some(0), 1);
        rules.provider = "rules".to_owned();
        assert_eq!(compare(&[cached, rules], &[], &Span::default(), 0), Comparison::default());
        let (bills, providers, span) = ([], ["gemini".to_owned()], Span::default());
        let mut comparing = Comparing::new(&bills, &span, &providers, Money::ZERO);
        comparing.take(&row("3", Some("a"), Some(1), 1));
        assert_eq!(comparing.finish(), Comparison::default());
    }
}
