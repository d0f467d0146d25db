//! A process that asks is killed at each named point of a call, 25 times each, at a later call every time. A second one
//! asks the same questions to the end: what was answered is not paid again, what nobody knows is marked and counted.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use longshore::cli::dev::outside::{
    Outside,
    script::{Fault, Script, Service},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    bench::Setup,
    process::{Process, Task},
    world::{Database, Kind},
};

/// In the order of a call's way.
const POINTS: [&str; 8] = [
    "before_reserved",
    "reserved",
    "before_sent",
    "sent_committed",
    "request_written",
    "piece_received",
    "answer_received",
    "answer_stored",
];
const RUNS: usize = 25;
/// Questions of one run; more than the last run's place in the order.
const QUESTIONS: usize = 60;
const AT_ONCE: usize = 12;
/// Calls on the wire: far fewer than are asked for, so that most stand reserved for a while, however busy the machine.
const ON_THE_WIRE: u32 = 4;
/// Most of a run is waiting: for reservations and calls of the dead to lapse.
const RUNS_AT_ONCE: usize = 8;
/// A call that is not answered by then is ambiguous.
const TIMEOUT: Duration = Duration::from_millis(800);
const TO_THE_POINT: Duration = Duration::from_secs(60);
const TO_THE_END: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_of_a_call_on_sqlite() {
    Box::pin(at_every_point(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point_of_a_call_on_postgres() {
    Box::pin(at_every_point(Kind::Postgres)).await;
}

/// Of one run, or of all at one point.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    runs: usize,
    billed: usize,
    answered: i64,
    ambiguous: i64,
    /// Reserved calls of the dead that were given up.
    given_up: i64,
    /// Bills beyond one answer and the ambiguous calls of a question.
    paid_again: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, billed, answered, ambiguous, given_up, paid_again } = self;
        write!(
            f,
            "{runs} kills; {billed} calls billed, {answered} answered and stored, {ambiguous} ambiguous, {given_up} given \
             up; {paid_again} paid again"
        )
    }
}

async fn at_every_point(kind: Kind) {
    let begun = Instant::now();
    let room = Arc::new(Semaphore::new(RUNS_AT_ONCE));
    let mut runs = JoinSet::new();
    for (point, run) in POINTS.iter().flat_map(|point| (1..=RUNS).map(move |run| (*point, run))) {
        let room = Arc::clone(&room);
        runs.spawn(async move {
            let _room = room.acquire_owned().await.unwrap();
            // In a task of its own, so that all others are tried, too.
            let run = tokio::spawn(killed_at(kind, point, run)).await;
            (point, run.ok())
        });
    }
    let mut sums: BTreeMap<&str, Figures> = BTreeMap::new();
    let mut failed = Vec::new();
    for (point, figures) in runs.join_all().await {
        let Some(figures) = figures else {
            failed.push(point);
            continue;
        };
        let sum = sums.entry(point).or_default();
        sum.runs += 1;
        sum.billed += figures.billed;
        sum.answered += figures.answered;
        sum.ambiguous += figures.ambiguous;
        sum.given_up += figures.given_up;
        sum.paid_again += figures.paid_again;
    }
    for point in POINTS {
        println!("{kind:?} {point}: {}", sums.get(point).copied().unwrap_or_default());
    }
    println!("{kind:?}: {} kills in {:.0?}", POINTS.len() * RUNS, begun.elapsed());
    assert!(failed.is_empty(), "{kind:?}: {failed:?}");
}

async fn killed_at(kind: Kind, point: &str, run: usize) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(kind, folder.path()).await;
    let outside = Outside::start().await.unwrap();
    // Otherwise nothing would be under way when the process dies.
    let fault = Fault::Slow(Duration::from_millis(15));
    outside.script(Script { service: Service::Llm, contains: String::new(), fault, times: u32::MAX });
    let setup = Setup {
        timeout: TIMEOUT,
        concurrency: ON_THE_WIRE,
        connections: 2,
        ..Setup::new(&database.url, &outside.llm_base_url())
    };
    let task = Task::Answer {
        setup: setup.clone(),
        name: format!("{point}-{run}"),
        questions: QUESTIONS,
        at_once: AT_ONCE,
    };
    let mut doomed = Process::start(&task, &[("LONGSHORE_CRASH_AT", &format!("{point}:{run}"))]);
    let status = doomed.ended(TO_THE_POINT).await;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{point}:{run} {status}");
    let status = Process::start(&task, &[]).ended(TO_THE_END).await;
    assert!(status.success(), "{point}:{run} {status}");
    let figures = judged(&database, &outside, point, run).await;
    let (store, gateway) = setup.open().await;
    lapsed(&gateway, &database).await;
    store.close().await;
    database.finish().await;
    outside.shutdown().await;
    figures
}

/// By the stand-in's log: every bill has a row, and nothing was bought after an answer had been stored.
async fn judged(database: &Database, outside: &Outside, point: &str, run: usize) -> Figures {
    let rows = "SELECT event_key, state, ledger_id FROM llm_journal ORDER BY event_key, attempt";
    let rows = database.rows(rows).await;
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        states.entry(row[0].clone().unwrap()).or_default().push(row[1].clone().unwrap());
    }
    let mut billed: BTreeMap<String, usize> = BTreeMap::new();
    for seen in outside.log().iter().filter(|seen| seen.bill.is_some()) {
        *billed.entry(seen.correlation_id.clone().unwrap()).or_default() += 1;
    }
    assert_eq!(states.len(), QUESTIONS, "{point}:{run}");
    let mut paid_again = 0;
    for (key, states) in &states {
        let count = |state: &str| states.iter().filter(|own| *own == state).count();
        let bills = billed.get(key).copied().unwrap_or(0);
        // The last of its calls is the answer, and there is no other: nothing was bought after it.
        assert_eq!(
            (count("answered"), states.last().unwrap().as_str()),
            (1, "answered"),
            "{key}: {states:?}"
        );
        let again = bills.saturating_sub(count("answered") + count("ambiguous"));
        assert_eq!(again, 0, "{key}: billed {bills} times, in the journal: {states:?}");
        paid_again += again;
    }
    let count = async |state: &str| database.count(&format!("llm_journal WHERE state = '{state}'")).await;
    let ledger = database.count("llm_ledger WHERE status = 'ambiguous' AND cost > 0").await;
    assert_eq!(count("ambiguous").await, ledger, "{point}:{run}: ambiguous calls without a charge");
    Figures {
        runs: 1,
        billed: billed.values().sum(),
        answered: count("answered").await,
        ambiguous: ledger,
        given_up: count("failed").await + count("reserved").await,
        paid_again,
    }
}

/// What the dead had only reserved is given up in the end.
async fn lapsed(gateway: &longshore::llm::gateway::Gateway, database: &Database) {
    let end = Instant::now() + TO_THE_END;
    let open = "llm_journal WHERE state IN ('reserved', 'sent')";
    while database.count(open).await > 0 {
        assert!(Instant::now() < end, "calls of the dead stay open");
        gateway.end_lapsed_calls().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
