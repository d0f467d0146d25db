//! How fast the worker is, end to end: `longshore.chat.usage.v1` jobs of 1 KiB through the embedded queue into
//! a store, one ledger row each; and what it costs at the queue.
//!
//! `cargo bench --bench worker` runs SQLite; with `LONGSHORE_TEST_POSTGRES` set (as `make bench` does) it
//! runs PostgreSQL as well. `LONGSHORE_BENCH_JOBS` changes the number of jobs (10,000).
//!
//! Then one job of 30 s among 999 of 10 ms, ten at a time: how long the 999 take beside it.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to say")]
#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "its own settings come from the environment")]

use std::{
    io::Write as _,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use longshore::{
    app::{App, open_store},
    clock::{Clock as _, SystemClock},
    config::{Settings, from_toml},
    domain::{delivery::Attribute, ids::SourceName, timestamp::Timestamp},
    queue::{
        contract::{BATCH, OutgoingMessage, Queue as _},
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
    sources::sign::{SealKey, sign_job},
    worker::trail::{Happening, Trail},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "whsec_YmVuY2gtb25seS1ub3QtYS1yZWFsLXNlY3JldC0xMjM0NQ==";
const SENDERS: usize = 16;
const LONG_WORK: usize = 1_000;

fn main() {
    let jobs = std::env::var("LONGSHORE_BENCH_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    runtime.block_on(async {
        let postgres = std::env::var("LONGSHORE_TEST_POSTGRES").ok();
        throughput("SQLite", jobs, None).await;
        long_work("SQLite", None).await;
        if let Some(url) = postgres {
            throughput("PostgreSQL", jobs, Some(&url)).await;
            long_work("PostgreSQL", Some(&url)).await;
        }
    });
}

/// The parts that stay while workers come and go.
struct Bench {
    folder: tempfile::TempDir,
    queue: Server,
    settings: Settings,
    sender: Arc<SqsQueue>,
}

impl Bench {
    async fn new(postgres: Option<&str>, worker: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = Server::start(Options::new("127.0.0.1:0".parse().unwrap(), folder.path())).await.unwrap();
        let dead = queue.ensure_queue("dead", &[]).await.unwrap();
        let url = queue.ensure_queue("events", &[]).await.unwrap();
        let postgres = match postgres {
            Some(url) => Some(fresh_database(url).await),
            None => None,
        };
        let settings = settings(folder.path(), [&queue.endpoint(), &url, &dead], postgres, worker);
        open_store(&settings).await.unwrap().migrate().await.unwrap();
        let sender = Arc::new(SqsQueue::connect(&settings.queue, &url).await);
        Self { folder, queue, settings, sender }
    }

    /// Until the store's table has so many rows.
    async fn until(&self, app: &App, table: &str, rows: usize) {
        while app.store.table_counts().await.unwrap()[table] < i64::try_from(rows).unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self, app: App) {
        app.stop(CancellationToken::new()).await;
        self.queue.shutdown().await;
    }
}

async fn throughput(name: &str, jobs: usize, postgres: Option<&str>) {
    let bench = Bench::new(postgres, "concurrency = 256").await;
    let sent = Instant::now();
    enqueue(&bench.sender, jobs, chat_usage).await;
    println!("{name}: {jobs} jobs enqueued at {:.0}/s", rate(jobs, sent.elapsed()));

    let before: u64 = bench.queue.counters().all().values().sum();
    let flushes = flushes_per_second(bench.folder.path());
    let started = Instant::now();
    let app = App::start(bench.settings.clone(), Trail::default()).await.unwrap();
    bench.until(&app, "llm_ledger", jobs).await;
    let took = started.elapsed();
    while bench.sender.depth().await.unwrap().in_flight > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counters = bench.queue.counters().all();
    let calls = counters.values().sum::<u64>() - before - counters["GetQueueAttributes"];
    let second = Duration::from_secs(1);
    let calls = rate(usize::try_from(calls).unwrap(), second) / rate(jobs, second);
    println!("{name}: {:.0} jobs/s end to end, {calls:.3} SQS calls per message", rate(jobs, took));
    println!("{name}: disk {flushes:.0} flushes/s; calls at the server {counters:?}");
    bench.end(app).await;
}

/// The worker is told at the end to hand the long job back: its 30 s are not waited for.
async fn long_work(name: &str, postgres: Option<&str>) {
    let bench = Bench::new(postgres, "concurrency = 10\ndrills = true").await;
    enqueue(&bench.sender, LONG_WORK, drill).await;
    let trail = Trail::default();
    let mut happenings = trail.listen();
    let started = Instant::now();
    let app = App::start(bench.settings.clone(), trail).await.unwrap();
    let mut done = 0;
    while done < LONG_WORK - 1 {
        if let Happening::Done(..) = happenings.recv().await.unwrap() {
            done += 1;
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!("{name}: {done} jobs of 10 ms beside one of 30 s, ten at a time: {took:.2} s");
    let hurry = CancellationToken::new();
    hurry.cancel();
    app.stop(hurry).await;
    bench.queue.shutdown().await;
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

async fn fresh_database(url: &str) -> String {
    use sqlx::{Connection as _, PgConnection};
    let mut admin = PgConnection::connect(url).await.unwrap();
    sqlx::query("drop database if exists longshore_bench with (force)").execute(&mut admin).await.unwrap();
    sqlx::query("create database longshore_bench").execute(&mut admin).await.unwrap();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/longshore_bench?{query}")
}

async fn enqueue(queue: &Arc<SqsQueue>, jobs: usize, job: fn(usize, Timestamp) -> Value) {
    let now = SystemClock.now();
    let share = jobs / SENDERS;
    let senders = (0..SENDERS).map(|sender| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move {
            let last = if sender + 1 == SENDERS { jobs } else { (sender + 1) * share };
            let messages: Vec<OutgoingMessage> =
                (sender * share..last).map(|n| message(&job(n, now), now)).collect();
            for batch in messages.chunks(BATCH) {
                queue.send(batch).await.unwrap();
            }
        })
    });
    join_all(senders).await;
}

fn chat_usage(number: usize, now: Timestamp) -> Value {
    let id = format!("bench-{number}");
    json!({
        "specversion": "1.0", "id": id, "source": "urn:bench", "type": "longshore.chat.usage.v1",
        "time": now.to_string(), "padding": "x".repeat(560),
        "data": {
            "chat_id": id, "user": "anonymous", "provider": "openai", "model": "gpt-6-luna",
            "usage": { "uncached_input": 1000, "output": 200 }, "latency_ms": 900, "ended_at": now.to_string(),
        },
    })
}

/// The first takes 30 s, the others 10 ms.
fn drill(number: usize, now: Timestamp) -> Value {
    let millis = if number == 0 { 30_000 } else { 10 };
    json!({
        "specversion": "1.0", "id": format!("drill-{number}"), "source": "urn:bench", "type": "longshore.drill.v1",
        "time": now.to_string(), "data": { "do": "work", "millis": millis },
    })
}

fn message(job: &Value, now: Timestamp) -> OutgoingMessage {
    let key = SealKey { id: Some("bench"), secret: SECRET };
    let signed = sign_job(&SourceName::from("chat"), key, job, now).unwrap();
    let attributes = signed.attributes.into_iter().map(|(name, value)| (name, Attribute::Text(value)));
    OutgoingMessage { body: signed.body, attributes: attributes.collect(), ..OutgoingMessage::default() }
}

fn settings(
    folder: &Path,
    [endpoint, url, dead]: [&str; 3],
    postgres: Option<String>,
    worker: &str,
) -> Settings {
    let secret = |name: &str, value: &str| {
        let path = folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        options
            .create(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .unwrap()
            .write_all(value.as_bytes())
            .unwrap();
        format!("file:{}", path.display())
    };
    let key = secret("key", SECRET);
    let store = match postgres {
        Some(url) => secret("store", &url),
        None => format!("sqlite:{}", folder.join("store.db").display()),
    };
    let text = format!(
        r#"
[queue]
url = "{url}"
dead_letter_url = "{dead}"
endpoint = "{endpoint}"
region = "us-east-1"
wait = "1s"
visibility = "10s"
[store]
url = "{store}"
[worker]
{worker}
drain = "10s"
[seal]
sign_with = "bench"
[[seal.keys]]
id = "bench"
secret = "{key}"
sources = ["wake"]
[sources.chat]
vendor = "jobs"
tenant = "bench"
[[sources.chat.keys]]
id = "bench"
secret = "{key}"
"#
    );
    from_toml(&text, &[]).unwrap().into_settings().unwrap()
}

/// What the disk can do: one block written and flushed, over and over, in the same folder.
fn flushes_per_second(folder: &Path) -> f64 {
    let file = std::fs::File::create(folder.join("flush")).unwrap();
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(1) {
        file.write_all_at(&[0; 4096], 0).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}
