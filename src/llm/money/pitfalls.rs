//! What cost trackers are known to have got wrong, each as a test.

use crate::{
    domain::{money::Money, timestamp::Timestamp, usage::Usage},
    llm::money::pricing::{PriceTable, Used},
};

const NOVEMBER: &str = "2026-11-21T12:00:00Z";

fn usd(text: &str) -> Money {
    Money::parse_usd(text).unwrap()
}

fn priced(model: &str, tier: Option<&str>, usage: Usage, when: &str) -> Option<(Money, String)> {
    let at = Timestamp::parse_rfc3339(when).unwrap();
    PriceTable::load(None).unwrap().cost(&Used { model, tier, usage: &usage, at })
}

fn cost(model: &str, usage: Usage) -> Option<Money> {
    priced(model, None, usage, NOVEMBER).map(|(cost, _)| cost)
}

fn million() -> Usage {
    Usage { uncached_input: 200_000, output: 100_000, ..Usage::default() }
}

/// Pitfalls 1 and 2: every token is billed once, by its own rate; reasoning is part of the output.
#[test]
fn inclusive_counts_are_not_billed_twice() {
    let usage = Usage {
        uncached_input: 1_000,
        cache_read: 500,
        cache_write: 200,
        output: 300,
        reasoning: 100,
        cache_write_1h: 0,
    };
    // 1000 x 4 + 500 x 0.4 + 200 x 5 + 300 x 20 dollars a million
    let expected = Some((usd("0.0112"), "2026-11-21".to_owned()));
    assert_eq!(priced("gpt-5.6-sol", None, usage, NOVEMBER), expected);
    // No price for cache writes: they are billed as input, not given away.
    assert_eq!(cost("gpt-4o-mini", usage), Some(usd("0.0003975")));
}

/// Pitfall 3, and the hour's cache of Anthropic: 1.25 times and twice the input.
#[test]
fn cache_writes_of_five_minutes_and_an_hour_have_their_own_prices() {
    let five = Usage { cache_write: 10_000, ..Usage::default() };
    let hour = Usage { cache_write_1h: 10_000, ..Usage::default() };
    assert_eq!(cost("claude-opus-5-5", five), Some(usd("0.05")));
    assert_eq!(cost("claude-opus-5-5", hour), Some(usd("0.08")));
    assert_eq!(cost("us.anthropic.claude-sonnet-5-v1:0", hour), Some(usd("0.044")));
    assert_eq!(cost("gpt-5.6-luna", five), Some(usd("0.0025")));
}

/// Pitfall 4: the tier that served it decides.
#[test]
fn the_served_tier_decides() {
    let by = |model, tier| priced(model, tier, million(), NOVEMBER).map(|(cost, _)| cost);
    assert_eq!(by("gpt-5", None), Some(usd("1.25")));
    assert_eq!(by("gpt-5", Some("default")), Some(usd("1.25")));
    assert_eq!(by("gpt-5", Some("flex")), Some(usd("0.625")));
    assert_eq!(by("gpt-5", Some("batch")), Some(usd("0.625")));
    assert_eq!(by("gpt-5", Some("priority")), Some(usd("2.5")));
    assert_eq!(by("gemini-2.5-flash", Some("priority")), Some(usd("0.558")));
    assert_eq!(by("claude-opus-5", Some("batch")), Some(usd("1.75")));
    assert_eq!(by("gpt-5", Some("warp")), None, "a tier that nobody knows has no price");
}

/// Pitfall 4: names by which the same model goes.
#[test]
fn aliases_dates_and_prefixes_lead_to_the_model() {
    for (name, price) in [
        ("gpt-4o-mini-2024-07-18", "0.09"),
        ("openai/gpt-4o-mini", "0.09"),
        ("claude-haiku-4-5-20251001", "0.7"),
        ("models/gemini-2.5-flash", "0.31"),
        ("us.amazon.nova-micro-v1:0", "0.021"),
    ] {
        assert_eq!(cost(name, million()), Some(usd(price)), "{name}");
    }
}

/// Pitfalls 4 and 13: regional profiles of Bedrock cost a tenth more, also where only the global price is listed.
#[test]
fn regional_profiles_keep_their_surcharge() {
    for (name, price) in [
        ("global.anthropic.claude-sonnet-5-v1:0", "1.4"),
        ("us.anthropic.claude-sonnet-5-v1:0", "1.54"),
        ("eu.anthropic.claude-sonnet-5-v1:0", "1.54"),
        ("anthropic.claude-sonnet-5-v1:0", "1.54"),
        ("global.anthropic.claude-opus-5", "3.5"),
        ("eu.anthropic.claude-opus-5", "3.85"),
        ("arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-opus-5", "3.85"),
    ] {
        assert_eq!(cost(name, million()), Some(usd(price)), "{name}");
    }
    let hidden = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123def456";
    assert_eq!(cost(hidden, million()), None, "it does not say what stands behind it");
}

/// Pitfall 5: an announced change counts from its day, and history is never priced anew.
#[test]
fn prices_change_on_their_day() {
    let by = |model, when| priced(model, None, million(), when);
    let price = |text: &str, as_of: &str| Some((usd(text), as_of.to_owned()));
    assert_eq!(by("gemini-3.8-flash", "2026-12-31T23:59:59Z"), price("0.525", "2026-11-21"));
    assert_eq!(by("gemini-3.8-flash", "2027-01-01T00:00:00Z"), price("1.05", "2027-01-01"));
    assert_eq!(by("gemini-4-argon", "2026-11-30T23:59:59Z"), price("1.4", "2026-11-21"));
    assert_eq!(by("gemini-4-argon", "2026-12-01T00:00:00Z"), price("2.8", "2026-12-01"));
    assert_eq!(by("gpt-5.6-luna", "2026-07-29T23:59:59Z"), None);
}

/// Pitfalls 6 and 15: what is not known is not free.
#[test]
fn an_unknown_model_has_no_price() {
    for model in ["my-own-model", "gpt-7", "ft:gpt-4o-mini-2024-07-18:acme::x1", ""] {
        assert_eq!(cost(model, million()), None, "{model}");
    }
}

/// Pitfall 6: a strict budget takes the dearest price that is known.
#[test]
fn the_dearest_price_stands_in_for_one_that_is_not_known() {
    let table = PriceTable::load(None).unwrap();
    let at = Timestamp::parse_rfc3339(NOVEMBER).unwrap();
    // gpt-6-astra: 1000 x 12.5 (a cache write) + 1000 x 50 dollars a million.
    assert_eq!(table.dearest(1_000, 1_000, at), Some(usd("0.0625")));
    // Beyond 272,000 tokens its cache writes cost 25, its output 75.
    assert_eq!(table.dearest(300_000, 1_000, at), Some(usd("7.575")));
}

/// Pitfall 7: the long-context step counts for the whole request, by all of the input, cached or not.
#[test]
fn a_long_context_changes_the_price_of_the_whole_request() {
    let at_step = Usage { uncached_input: 272_000, output: 1_000, ..Usage::default() };
    let above = Usage { uncached_input: 200_000, cache_read: 72_001, output: 1_000, ..Usage::default() };
    assert_eq!(cost("gpt-5.5", at_step), Some(usd("1.39")));
    assert_eq!(cost("gpt-5.5", above), Some(usd("2.117001")));
    let written = Usage { cache_write_1h: 100_001, ..Usage::default() };
    assert_eq!(cost("claude-haiku-5-5", written), Some(usd("0.100001")));
}

/// Pitfall 10: fractions of a nano-dollar are kept, sums are exact, and one rounding comes last.
#[test]
fn nothing_drifts_and_nothing_is_rounded_twice() {
    let one = Usage { cache_read: 1, ..Usage::default() };
    assert_eq!(cost("amazon.nova-micro-v1:0", one), Some(Money(8_750)));
    let by = |tokens| {
        let usage = Usage { cache_read: tokens, ..Usage::default() };
        priced("amazon.nova-micro-v1:0", Some("batch"), usage, NOVEMBER).map(|(cost, _)| cost)
    };
    assert_eq!(by(1), Some(Money(4_375)));
    assert_eq!(by(1_000_000), Some(Money(4_375_000_000)));
    let calls: Money = (0..10_000).filter_map(|_| by(3)).sum();
    assert_eq!(calls, Money(131_250_000));
}

/// Pitfall 10: a price is decimal text; a JSON number has been a float on its way.
#[test]
fn a_price_that_is_a_float_is_refused() {
    let entry = |input: &str| {
        format!(r#"{{"models":{{"m":{{"as_of":"2026-01-01","input":{input},"output":"2"}}}}}}"#)
    };
    assert!(PriceTable::parse(&entry("2.5e-06")).is_err());
    assert!(PriceTable::parse(&entry(r#""0.0000025""#)).is_ok());
}

/// Pitfall 12: a file stands in for the shipped table, and the table says how old it is.
#[test]
fn a_file_replaces_the_shipped_prices() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    let text = r#"{"models":{"Mine":{"as_of":"2026-02-03","provider":"openai","input":"1","output":"2"}}}"#;
    std::fs::write(&path, text).unwrap();
    let table = PriceTable::load(Some(&path)).unwrap();
    assert_eq!(table.as_of(), "2026-02-03");
    let at = Timestamp::parse_rfc3339(NOVEMBER).unwrap();
    let by = |model| table.cost(&Used { model, tier: Some("flex"), usage: &million(), at });
    assert_eq!(by("mine"), Some((usd("0.2"), "2026-02-03".to_owned())));
    assert_eq!(by("gpt-5"), None);
    assert!(PriceTable::load(Some(&folder.path().join("absent.json"))).is_err());
}

/// A vector's price counts its input only.
#[test]
fn embeddings_are_priced() {
    let usage = Usage { uncached_input: 1_000, ..Usage::default() };
    assert_eq!(cost("text-embedding-3-small", usage), Some(usd("0.00002")));
}

#[test]
fn a_table_that_makes_no_sense_is_refused() {
    let entry = |body: &str| format!("{{\"models\":{{\"m\":{{\"as_of\":\"2026-01-01\",{body}}}}}}}");
    let next = |day: &str| format!("{{\"effective_from\":\"{day}\",\"input\":\"1\",\"output\":\"2\"}}");
    let good = "\"input\":\"1\",\"output\":\"2\"";
    for bad in [
        "{}".to_owned(),
        entry("\"input\":\"1\""),
        entry("\"input\":\"-1\",\"output\":\"2\""),
        entry("\"input\":\"1e3\",\"output\":\"2\""),
        entry(&format!("{good},\"effective_from\":\"soon\"")),
        entry(&format!("{good},\"next\":[{},{}]", next("2027-01-01"), next("2026-01-01"))),
    ] {
        assert!(PriceTable::parse(&bad).is_err(), "{bad}");
    }
    assert!(PriceTable::parse(&entry(good)).is_ok());
}
