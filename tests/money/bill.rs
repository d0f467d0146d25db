//! Ten thousand calls, a quarter of them in trouble: the ledger holds what the stand-in billed, call by call.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use longshore::cli::dev::outside::{
    Outside,
    world::{Seen, Totals},
};

use crate::{
    bench::{Ask, FIRST, SECOND, Setup},
    world::{Database, Kind, Random},
};

const CALLS: usize = 10_000;
const AT_ONCE: usize = 200;
const SEED: u64 = 20_261_121;
/// Longer than what a provider caches: 1,024 tokens and more.
const LONG: usize = 4_800;
/// Dollars per million tokens by the shipped table, which are pico-dollars per token in millions: input, cached, output.
const PRICES: [(&str, [i64; 3]); 2] =
    [(FIRST, [150_000, 75_000, 600_000]), (SECOND, [2_000_000, 500_000, 8_000_000])];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_on_sqlite() {
    Box::pin(ten_thousand(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_on_postgres() {
    Box::pin(ten_thousand(Kind::Postgres)).await;
}

/// What is in store for a question: 10 % cut streams, 10 % retries, 5 % fallbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Plain,
    Streamed,
    CutInTheText,
    CutAfterItsCounts,
    Failed,
    Overloaded,
    TooFast,
    FirstIsDown,
    FirstIsTooSmall,
}

impl Fate {
    fn of(draw: usize) -> Self {
        match draw {
            0..50 => Self::CutInTheText,
            50..100 => Self::CutAfterItsCounts,
            100..160 => Self::Failed,
            160..180 => Self::Overloaded,
            180..200 => Self::TooFast,
            200..225 => Self::FirstIsDown,
            225..250 => Self::FirstIsTooSmall,
            250..500 => Self::Streamed,
            _ => Self::Plain,
        }
    }

    /// The stand-in's tag for it.
    fn tag(self) -> &'static str {
        match self {
            Self::Plain | Self::Streamed => "",
            Self::CutInTheText => "#cut-stream",
            Self::CutAfterItsCounts => "#cut-counted",
            Self::Failed => "#fail-twice",
            Self::Overloaded => "#overloaded",
            Self::TooFast => "#too-fast",
            Self::FirstIsDown => "#small-down",
            Self::FirstIsTooSmall => "#small-full",
        }
    }
}

fn ask(number: usize, fate: Fate, long: bool) -> Ask {
    let padding = if long { "wind ".repeat(LONG / 5) } else { String::new() };
    let text = format!("Question {number} {padding}{}", fate.tag());
    let mut ask = Ask::new("acme", format!("money:q:{number}"), text);
    ask.streamed = matches!(fate, Fate::Streamed | Fate::CutInTheText | Fate::CutAfterItsCounts);
    ask.route = matches!(fate, Fate::FirstIsDown | Fate::FirstIsTooSmall).then_some("both");
    ask
}

async fn ten_thousand(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(kind, folder.path()).await;
    let outside = Outside::start().await.unwrap();
    let (store, gateway) = Setup::new(&database.url, &outside.llm_base_url()).open().await;
    let mut random = Random(SEED);
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    let asks: Vec<Ask> = (0..CALLS)
        .map(|number| {
            let fate = Fate::of(random.below(1_000));
            *fates.entry(fate).or_default() += 1;
            let long = match fate {
                Fate::CutInTheText => false,
                Fate::CutAfterItsCounts => true,
                _ => random.below(20) == 0,
            };
            ask(number, fate, long)
        })
        .collect();
    let begun = Instant::now();
    stream::iter(asks)
        .for_each_concurrent(AT_ONCE, |ask| {
            let gateway = Arc::clone(&gateway);
            async move {
                let asked = tokio::time::timeout(Duration::from_secs(120), ask.until_answered(&gateway));
                asked.await.unwrap_or_else(|_| panic!("{} takes for ever", ask.key));
            }
        })
        .await;
    gateway.drained().await;
    let took = begun.elapsed();
    let log = outside.log();
    println!("{kind:?}: {CALLS} questions in {took:.1?}, {} requests; in store: {fates:?}", log.len());
    same(kind, &database, &log).await;
    store.close().await;
    database.finish().await;
    outside.shutdown().await;
}

/// Call by call, in sum, and in money by an arithmetic of our own.
async fn same(kind: Kind, database: &Database, log: &[Seen]) {
    let rows = "SELECT event_key, requested_model, CAST(uncached_input + cache_write + cache_write_1h AS TEXT),
            CAST(cache_read AS TEXT), CAST(output AS TEXT), CAST(cost AS TEXT), usage_source, status FROM llm_ledger";
    let rows = database.rows(rows).await;
    let text = |row: &[Option<String>], at: usize| row[at].clone().unwrap_or_default();
    let number = |row: &[Option<String>], at: usize| -> i64 { text(row, at).parse().unwrap() };
    let mut left: BTreeMap<(String, String, [i64; 3]), i64> = BTreeMap::new();
    for seen in log {
        let Some(bill) = &seen.bill else { continue };
        let usage = &bill.usage;
        let tokens = [usage.uncached_input, usage.cache_read, usage.output];
        let key = seen.correlation_id.clone().unwrap_or_default();
        *left.entry((key, bill.model.clone(), tokens)).or_default() += 1;
    }
    let (mut ledger, mut cost, mut by_us) = (Totals::default(), 0, 0);
    let mut kinds: BTreeMap<String, i64> = BTreeMap::new();
    for row in &rows {
        let tokens = [number(row, 2), number(row, 3), number(row, 4)];
        *left.entry((text(row, 0), text(row, 1), tokens)).or_default() -= 1;
        *kinds.entry(format!("{} {}", text(row, 7), text(row, 6))).or_default() += 1;
        let (_, prices) = PRICES.iter().find(|(model, _)| *model == text(row, 1)).unwrap();
        by_us += tokens.iter().zip(prices).map(|(tokens, price)| tokens * price).sum::<i64>();
        cost += number(row, 5);
        ledger.calls += 1;
        ledger.input += tokens[0] + tokens[1];
        ledger.cached += tokens[1];
        ledger.output += tokens[2];
    }
    let billed = Totals::of(log);
    println!(
        "{kind:?}: billed {billed:?}\n{kind:?}: ledger {ledger:?}\n{kind:?}: rows {kinds:?}, {cost} pico-dollars"
    );
    left.retain(|_, difference| *difference != 0);
    let first: Vec<_> = left.iter().take(10).collect();
    assert!(left.is_empty(), "{} calls differ (billed minus ledger): {first:?}", left.len());
    assert_eq!(ledger, billed);
    assert_eq!(cost, by_us, "the ledger's sum is not what the tokens cost");
    let estimated: i64 = kinds.iter().filter(|(kind, _)| kind.ends_with("estimated")).map(|(_, n)| n).sum();
    assert!(estimated > 300 && billed.cached > 0 && rows.len() > CALLS, "not what was planned: {kinds:?}");
}
