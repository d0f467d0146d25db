//! What was billed, as people read it, and as prices are filled in afterwards.

use longshore::{
    domain::{
        call::{CallEnd, CallResult},
        money::Money,
        record::{LedgerRow, LedgerStatus, Write},
        timestamp::Timestamp,
        usage::{Usage, UsageSource},
    },
    store::contract::{LedgerQuery, PricedRow, UsageFilter},
};

use super::{fixtures::*, harness::Harness};

fn row(id: &str, seconds: i64) -> LedgerRow {
    LedgerRow { id: id.to_owned(), at: at(seconds), ..ledger(id, "a") }
}

async fn keep(h: &Harness, rows: Vec<LedgerRow>) {
    let event = format!("event of {}", rows[0].id);
    settled(h, &event, done(rows.into_iter().map(|row| Write::Ledger(Box::new(row))).collect())).await;
}

fn page(limit: i64) -> LedgerQuery {
    LedgerQuery { limit, ..LedgerQuery::default() }
}

async fn ids(h: &Harness, query: &LedgerQuery) -> Vec<String> {
    h.store.ledger(query).await.unwrap().into_iter().map(|row| row.id).collect()
}

pub(super) async fn rows_come_back_as_they_were(h: &Harness) {
    let statuses = [
        LedgerStatus::Answered,
        LedgerStatus::Failed,
        LedgerStatus::Ambiguous,
        LedgerStatus::Reported,
        LedgerStatus::Partial,
        LedgerStatus::Cached,
    ];
    let sources = [UsageSource::Provider, UsageSource::Estimated, UsageSource::None];
    let rows: Vec<_> = statuses
        .into_iter()
        .zip(sources.into_iter().cycle())
        .zip(0..)
        .map(|((status, usage_source), n)| LedgerRow {
            status,
            usage_source,
            usage: Usage { cache_write_1h: 7, ..ledger("x", "a").usage },
            requested_tier: Some("flex".to_owned()),
            served_tier: (n % 2 == 0).then(|| "priority".to_owned()),
            prompt: (n != 1).then(|| "email_draft@3".to_owned()),
            prompt_hash: (n != 1).then(|| "ab".repeat(32)),
            cost: (n != 2).then_some(Money(n)),
            ..row(&n.to_string(), n)
        })
        .collect();
    keep(h, rows.clone()).await;
    assert_eq!(h.store.ledger(&page(100)).await.unwrap(), rows);
    h.store.journal_begin(&[call_start("b", 1)]).await.unwrap();
    let billed = LedgerRow { event_key: key("b"), ..row("b-1", 100) };
    let end = CallResult::Answered { text: "yes".to_owned(), ledger: billed.clone() };
    h.store.journal_finish(&[CallEnd { end, ..answered("b", 1, "yes") }]).await.unwrap();
    assert_eq!(h.store.ledger(&page(100)).await.unwrap().last(), Some(&billed));
}

pub(super) async fn pages_follow_one_another(h: &Harness) {
    let rows: Vec<_> = (0..25).map(|n| row(&format!("{}", (n * 7) % 25), n / 10)).collect();
    keep(h, rows.clone()).await;
    let mut expected: Vec<_> = rows.iter().map(|row| (row.at, row.id.clone())).collect();
    expected.sort();
    let mut seen = Vec::new();
    let mut query = page(4);
    loop {
        let rows = h.store.ledger(&query).await.unwrap();
        let Some(last) = rows.last() else { break };
        query.after = Some((last.at, last.id.clone()));
        assert!(rows.len() <= 4);
        seen.extend(rows.into_iter().map(|row| (row.at, row.id)));
    }
    assert_eq!(seen, expected);
    let mut second = page(100);
    second.filter = UsageFilter { from: Some(at(1)), until: Some(at(2)), ..UsageFilter::default() };
    assert_eq!(ids(h, &second).await.len(), 10);
    second.after = Some((at(1), expected[12].1.clone()));
    assert_eq!(ids(h, &second).await.len(), 7);
    second.filter.tenant = Some("other".to_owned());
    assert_eq!(ids(h, &second).await, [""; 0]);
}

pub(super) async fn usage_is_told_by_prompt(h: &Harness) {
    let of = |id: &str, prompt: Option<&str>| LedgerRow { prompt: prompt.map(str::to_owned), ..row(id, 0) };
    let cached = LedgerRow {
        status: LedgerStatus::Cached,
        usage: Usage::default(),
        cost: Some(Money::ZERO),
        ..of("4", Some("reply@2"))
    };
    let long = LedgerRow {
        usage: Usage { cache_write_1h: 1_000, ..ledger("x", "a").usage },
        ..of("3", Some("reply@2"))
    };
    keep(h, vec![of("1", None), of("2", Some("reply@1")), long, cached, of("5", Some("reply_long@1"))]).await;
    let sums = async |prompt: Option<&str>| {
        let filter = UsageFilter { prompt: prompt.map(str::to_owned), ..UsageFilter::default() };
        let rows = h.store.usage(&filter).await.unwrap();
        rows.into_iter().map(|row| (row.prompt, row.calls, row.input)).collect::<Vec<_>>()
    };
    let sum = |prompt: &str, calls, input| (prompt.to_owned(), calls, input);
    let (one, two) = (sum("reply@1", 1, 123), sum("reply@2", 2, 1_123));
    assert_eq!(sums(None).await, [sum("", 1, 123), one.clone(), two.clone(), sum("reply_long@1", 1, 123)]);
    assert_eq!(sums(Some("reply")).await, [one.clone(), two], "in any version");
    assert_eq!(sums(Some("reply@1")).await, [one]);
    assert_eq!(sums(Some("nothing")).await, []);
    let mut query = page(10);
    query.filter.prompt = Some("reply".to_owned());
    assert_eq!(ids(h, &query).await, ["2", "3", "4"]);
}

pub(super) async fn only_rows_without_a_cost_are_priced(h: &Harness) {
    let unpriced = |id: &str| LedgerRow { cost: None, price_version: None, ..row(id, 0) };
    let priced = row("priced", 0);
    keep(h, vec![unpriced("a"), priced.clone(), unpriced("b"), unpriced("c")]).await;
    let mut open = page(10);
    open.unpriced = true;
    assert_eq!(ids(h, &open).await, ["a", "b", "c"]);
    let price = |id: &str, at: Timestamp, cost| PricedRow {
        id: id.to_owned(),
        at,
        cost: Money(cost),
        price_version: "2026-11-20".to_owned(),
    };
    let given = [
        price("a", at(0), 5),
        price("priced", at(0), 6),
        price("b", at(1), 7),
        price("c", at(0), 0),
        price("nobody", at(0), 8),
    ];
    assert_eq!(h.store.ledger_price(&given, "anna").await.unwrap(), 2);
    assert_eq!(h.store.ledger_price(&given, "anna").await.unwrap(), 0, "what has a cost stays as it is");
    let rows = h.store.ledger(&page(10)).await.unwrap();
    let now = |id: &str| rows.iter().find(|row| row.id == id).unwrap();
    assert_eq!(now("priced"), &priced);
    let version = Some("2026-11-20".to_owned());
    assert_eq!(now("a"), &LedgerRow { cost: Some(Money(5)), price_version: version, ..unpriced("a") });
    assert_eq!((now("b").cost, now("c").cost), (None, Some(Money::ZERO)), "another time is another row");
    assert_eq!(h.audit("llm_ledger").await, ["reprice", "reprice"]);
}
