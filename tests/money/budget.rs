//! Four processes, 32 calls under way in each, one strict budget of a dollar: a hundred times, with two of the four
//! killed at seeded moments in each and the database restarted in ten. The stand-in's bill decides.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use longshore::{
    cli::dev::outside::{
        Outside,
        script::{Fault, Script, Service},
        world::Seen,
    },
    domain::{
        budget::{Budget, BudgetMode, Period},
        ids::TenantId,
        money::{Money, PICO_PER_USD},
    },
    llm::gateway::Gateway,
    store::contract::Store,
};

use crate::{
    bench::Setup,
    postgres,
    process::{Process, Task},
    world::{Database, Kind, Random},
};

const RUNS: usize = 100;
const PROCESSES: usize = 4;
const IN_FLIGHT: usize = 32;
const LIMIT: Money = Money(PICO_PER_USD);
/// In every tenth run the database is restarted.
const RESTARTED: usize = 10;
const SEED: u64 = 20_261_121;
/// Dear, so that a dollar is spent in a few hundred calls: 10 and 50 dollars a million.
const MODEL: &str = "gpt-6-astra";
const PRICES: [i64; 3] = [10_000_000, 1_000_000, 50_000_000];
const MAX_OUTPUT: u32 = 300;
/// A call that is not answered by then is ambiguous.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Until a run's processes have spent what there is.
const TO_THE_END: Duration = Duration::from_secs(60);
/// After this nothing of the dead is open any more: time-out, reservation, and the time to record an end.
const LAPSED: Duration = Duration::from_secs(90);

/// Sums over all runs.
#[derive(Default)]
struct Figures {
    killed: usize,
    calls: usize,
    highest: i64,
    lowest: i64,
    reserved: i64,
    sent: i64,
    ambiguous: i64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, calls, highest, lowest, reserved, sent, ambiguous } = self;
        write!(
            f,
            "{killed} processes killed; {calls} calls billed; bills between ${} and ${}; left by the dead: {reserved} \
             reserved calls, given back, and {sent} sent ones; {ambiguous} calls charged at their worst case",
            Money(*lowest),
            Money(*highest)
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_dollar_is_never_overspent() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(Kind::Postgres, folder.path()).await;
    let setup = Setup {
        model: MODEL.to_owned(),
        timeout: TIMEOUT,
        // Fewer than want to: the others stand reserved, and some die so.
        concurrency: 24,
        connections: 4,
        ..Setup::new(&database.url, "http://127.0.0.1:9")
    };
    let (store, gateway) = setup.open().await;
    let mut random = Random(SEED);
    let mut figures = Figures { lowest: i64::MAX, ..Figures::default() };
    let begun = Instant::now();
    for run in 0..RUNS {
        let tenant = format!("tenant-{run}");
        let budget = Budget {
            tenant: tenant.as_str().into(),
            period: Period::Month,
            limit: LIMIT,
            mode: BudgetMode::Strict,
            time_zone: "UTC".to_owned(),
        };
        patiently(|| store.budget_set(&budget, "test")).await;
        let outside = stand_in(random.below(usize::MAX) as u64).await;
        let setup = Setup { base_url: outside.llm_base_url(), ..setup.clone() };
        figures.killed += one_run(&setup, &tenant, run, &mut random).await;
        let log = outside.log();
        let bill = bill(&log);
        figures.calls += log.iter().filter(|seen| seen.bill.is_some()).count();
        assert!(bill <= LIMIT.0, "run {run}: ${} was billed", Money(bill));
        figures.highest = figures.highest.max(bill);
        figures.lowest = figures.lowest.min(bill);
        covered(&*store, &tenant, bill, run).await;
        if run % 10 == 9 {
            let (runs, highest) = (run + 1, Money(figures.highest));
            println!("{runs} runs in {:.0?}: the highest bill is ${highest}", begun.elapsed());
        }
        outside.shutdown().await;
    }
    (figures.reserved, figures.sent) = open_calls(&database).await;
    given_back(&gateway, &*store, &database, &mut figures).await;
    println!("{RUNS} runs: {figures}");
    store.close().await;
    database.finish().await;
}

/// Answers after 0, 40 or 150 ms.
async fn stand_in(seed: u64) -> Outside {
    let outside = Outside::start().await.unwrap();
    for (per_mille, millis) in [(300, 150), (500, 40)] {
        let fault = Box::new(Fault::Slow(Duration::from_millis(millis)));
        let fault = Fault::Share { per_mille, seed: seed ^ millis, fault };
        outside.script(Script { service: Service::Llm, contains: String::new(), fault, times: u32::MAX });
    }
    outside
}

/// Starts the four, kills two of them; answers how many died so.
async fn one_run(setup: &Setup, tenant: &str, run: usize, random: &mut Random) -> usize {
    let task = |process| Task::Spend {
        setup: setup.clone(),
        tenant: tenant.to_owned(),
        process,
        at_once: IN_FLIGHT,
        max_output: MAX_OUTPUT,
    };
    let mut processes: Vec<Process> =
        (0..PROCESSES).map(|number| Process::start(&task(number), &[])).collect();
    for process in &mut processes {
        process.ready().await;
    }
    // The moments are the matter of this test: nothing is waited for.
    let first = random.below(PROCESSES);
    let second = (first + 1 + random.below(PROCESSES - 1)) % PROCESSES;
    let restart_after = run.is_multiple_of(RUNS / RESTARTED).then(|| random.below(500) as u64);
    let mode = if random.below(2) == 0 { "fast" } else { "immediate" };
    let restart = async {
        if let Some(millis) = restart_after {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            postgres::restart(mode).await;
        }
    };
    let waits = [random.below(400) as u64, random.below(400) as u64];
    let mut killed = 0;
    let kills = async {
        for (victim, wait) in [first, second].into_iter().zip(waits) {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            killed += usize::from(processes[victim].kill().await);
        }
    };
    tokio::join!(restart, kills);
    for (number, process) in processes.iter_mut().enumerate() {
        if number != first && number != second {
            let status = process.ended(TO_THE_END).await;
            assert!(status.success(), "run {run}: {status}");
        }
    }
    killed
}

/// Dollars by the stand-in's counts and an arithmetic of our own.
fn bill(log: &[Seen]) -> i64 {
    let bills = log.iter().filter_map(|seen| seen.bill.as_ref());
    let cost = |usage: &longshore::domain::usage::Usage| {
        usage.uncached_input * PRICES[0] + usage.cache_read * PRICES[1] + usage.output * PRICES[2]
    };
    bills.map(|bill| cost(&bill.usage)).sum()
}

/// What is spent and set aside covers the bill, and keeps the limit.
async fn covered(store: &dyn Store, tenant: &str, bill: i64, run: usize) {
    let tenant: TenantId = tenant.into();
    let status = patiently(|| store.budgets(Some(&tenant))).await.remove(0);
    let claimed = status.spent.0 + status.held.0;
    assert!(bill <= claimed && claimed <= LIMIT.0, "run {run}: ${} billed, {status:?}", Money(bill));
}

async fn open_calls(database: &Database) -> (i64, i64) {
    let reserved = database.count("llm_journal WHERE state = 'reserved'").await;
    (reserved, database.count("llm_journal WHERE state = 'sent'").await)
}

/// What the dead had reserved comes back; what they had sent stays charged at its worst case.
async fn given_back(gateway: &Arc<Gateway>, store: &dyn Store, database: &Database, figures: &mut Figures) {
    let end = Instant::now() + LAPSED;
    loop {
        gateway.end_lapsed_calls().await.unwrap();
        let left = open_calls(database).await;
        if left == (0, 0) {
            break;
        }
        assert!(
            Instant::now() < end,
            "{left:?} calls of the dead (reserved, sent) are open after {LAPSED:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    figures.ambiguous = database.count("llm_ledger WHERE status = 'ambiguous'").await;
    let cheap = "llm_ledger l JOIN llm_journal j ON j.ledger_id = l.id
        WHERE l.status = 'ambiguous' AND (l.cost IS NULL OR l.cost <> j.worst_cost)";
    assert_eq!(database.count(cheap).await, 0, "ambiguous calls that are not charged at their worst case");
    assert!(figures.ambiguous >= figures.sent);
    let sums = "SELECT tenant, CAST(sum(cost) AS TEXT) FROM llm_ledger GROUP BY tenant";
    let sums = database.rows(sums).await;
    let budgets = store.budgets(None).await.unwrap();
    assert_eq!(budgets.len(), RUNS);
    for status in budgets {
        let tenant = status.budget.tenant.to_string();
        let sum = sums.iter().find(|row| row[0].as_deref() == Some(&tenant)).map(|row| row[1].clone());
        let sum: i64 = sum.flatten().unwrap_or_default().parse().unwrap_or(0);
        assert_eq!(status.held, Money::ZERO, "{tenant}: money of the dead is still set aside");
        assert_eq!(status.spent.0, sum, "{tenant}: spent is not what the ledger holds");
    }
}

/// The database may just be away.
async fn patiently<T, E: fmt::Debug, F: Future<Output = Result<T, E>>>(ask: impl Fn() -> F) -> T {
    for _ in 0..100 {
        if let Ok(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ask().await.unwrap()
}
