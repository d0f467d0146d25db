//! What the gateway costs by itself: 500 calls in flight against a model that answers after a fixed time, within this
//! process and over plain HTTP on loopback; with and without a rate limit. The bare model is measured in the same run
//! and subtracted, and so are the durable journal writes, which are measured alone. Calls begin evenly over the time of
//! an answer, as they do where 500 of them are under way; all at once would measure a wave that nobody sends.
//!
//! `LONGSHORE_BENCH_CALLS` sets how many calls (default 5000); with `LONGSHORE_TEST_POSTGRES` PostgreSQL is measured, too.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "a load generator")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod figures;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{Json, Router, routing::post};
use futures_util::future::join_all;
use longshore::{
    clock::SystemClock,
    config::{LlmSettings, ProviderKind, ProviderSettings, Unpriced},
    domain::{
        call::{CallEnd, CallResult, CallStart, Opens, StepKey},
        ids::{EventKey, Revision, Ticket},
        money::Money,
        outcome::Held,
        usage::{Usage, UsageSource},
    },
    http::Http,
    llm::{
        contract::{AnswerShape, Policy, PromptRef, Question, StepContext, Turn},
        gateway::Gateway,
        models::Models,
        money::pricing::PriceTable,
        wire::{CallError, Completion, Finish, Provider, Request},
    },
    store::{contract::Store, group::GroupCommit, postgres::PostgresStore, sqlite::SqliteStore},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use figures::{Journal, cpu, memory, watch_memory};

const IN_FLIGHT: usize = 500;
const ANSWERS_AFTER: Duration = Duration::from_secs(1);
const WARM: Duration = Duration::from_millis(20);

fn main() {
    let calls = std::env::var("LONGSHORE_BENCH_CALLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    runtime.block_on(async {
        let model = Model::start().await;
        let postgres = std::env::var("LONGSHORE_TEST_POSTGRES").ok();
        for (name, url) in [("SQLite", None)].into_iter().chain(postgres.map(|url| ("PostgreSQL", Some(url))))
        {
            for way in [Way::InProcess, Way::Http] {
                compare(name, url.as_deref(), way, &model, calls, &metrics).await;
            }
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    InProcess,
    Http,
}

async fn compare(
    name: &str,
    postgres: Option<&str>,
    way: Way,
    model: &Model,
    calls: usize,
    metrics: &PrometheusHandle,
) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(postgres, folder.path()).await;
    let provider = model.provider(way);
    let idle = memory();
    let (bare, bare_memory) = run_watched(calls, |n| {
        let provider = Arc::clone(&provider);
        async move { drop(provider.complete(&request(n)).await.unwrap()) }
    })
    .await;
    let writer = Arc::new(GroupCommit::start(&store, Duration::from_secs(60)));
    let journal = run(calls, |n| journal_alone(Arc::clone(&writer), n, model.delay())).await;
    // Both ends of the connection are in this process.
    let connections = bare_memory.saturating_sub(idle) / IN_FLIGHT / 1024;
    println!("{name}, {way:?}: bare {bare}, {connections} KiB a call, both ends");
    println!("{name}, {way:?}: journal writes alone {journal}");
    let mut free = 0.0;
    for limit in [None, Some(1_000_000)] {
        let gateway = gateway(&store, model, way, limit);
        let run_name = if limit.is_some() { "with a rate limit" } else { "without limits" };
        warm(&gateway, model, run_name).await;
        let before = Journal::read(metrics);
        let resting = memory();
        let (gated, loaded) = run_watched(calls, |n| {
            let gateway = Arc::clone(&gateway);
            let key = format!("{run_name}:{n}");
            async move { drop(gateway.ask(&context(&key), &question()).await.unwrap()) }
        })
        .await;
        let waited = Journal::read(metrics).since(&before);
        let per_call = loaded.saturating_sub(resting) / IN_FLIGHT;
        println!("{name}, {way:?}, {run_name}: {gated}");
        println!(
            "  own CPU {:.3} ms a call ({:.3} with the journal's); added latency {:.2} ms besides {:.2} ms of journal \
             writes (p99 of both together {:.1} ms); {} KiB a call",
            gated.cpu_ms - bare.cpu_ms - journal.cpu_ms,
            gated.cpu_ms - bare.cpu_ms,
            gated.mean_ms - bare.mean_ms - waited.mean_ms(calls),
            waited.mean_ms(calls),
            // The metric's own quantiles remember the warm-up.
            gated.p99_ms - bare.p99_ms,
            per_call / 1024,
        );
        if limit.is_none() {
            free = gated.per_second;
        } else {
            println!("  a rate limit costs {:.1} % of throughput", (1.0 - gated.per_second / free) * 100.0);
        }
    }
    store.close().await;
}

/// Until the level of calls at once has found its way up.
async fn warm(gateway: &Arc<Gateway>, model: &Model, run_name: &str) {
    model.takes(WARM);
    for round in 0..12 {
        let asks = (0..IN_FLIGHT).map(|n| {
            let (gateway, key) = (Arc::clone(gateway), format!("{run_name}:warm:{round}:{n}"));
            tokio::spawn(async move { drop(gateway.ask(&context(&key), &question()).await) })
        });
        join_all(asks).await;
    }
    model.takes(ANSWERS_AFTER);
    if let Some(health) = gateway.health().first() {
        println!("  {} calls at once are allowed by now", health.concurrency);
    }
}

struct Figures {
    mean_ms: f64,
    p99_ms: f64,
    cpu_ms: f64,
    per_second: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mean_ms, p99_ms, cpu_ms, per_second } = self;
        write!(f, "{mean_ms:.2} ms mean, {p99_ms:.2} ms p99, {cpu_ms:.3} ms CPU a call, {per_second:.0}/s")
    }
}

/// As [`run`], with the most memory that was resident meanwhile.
async fn run_watched<F: Future<Output = ()> + Send + 'static>(
    calls: usize,
    call: impl Fn(usize) -> F,
) -> (Figures, usize) {
    let most = Arc::new(AtomicUsize::new(0));
    let watch = tokio::spawn(watch_memory(Arc::clone(&most)));
    let figures = run(calls, call).await;
    watch.abort();
    (figures, most.load(Ordering::SeqCst))
}

/// So many calls, 500 of them at a time.
async fn run<F: Future<Output = ()> + Send + 'static>(calls: usize, call: impl Fn(usize) -> F) -> Figures {
    let all: Vec<F> = (0..calls).map(call).collect();
    let all = Arc::new(std::sync::Mutex::new(all));
    let (cpu, begun) = (cpu(), Instant::now());
    let lanes = (0..IN_FLIGHT).map(|lane| {
        let all = Arc::clone(&all);
        tokio::spawn(async move {
            tokio::time::sleep(ANSWERS_AFTER.mul_f64(lane as f64 / IN_FLIGHT as f64)).await;
            let mut took = Vec::new();
            loop {
                let Some(call) = all.lock().unwrap().pop() else { return took };
                let begun = Instant::now();
                call.await;
                took.push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
        })
    });
    let mut took: Vec<f64> = join_all(lanes).await.into_iter().flat_map(Result::unwrap).collect();
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu_ms = (self::cpu() - cpu) / calls as f64;
    took.sort_by(f64::total_cmp);
    Figures {
        mean_ms: took.iter().sum::<f64>() / took.len() as f64,
        p99_ms: took[took.len() * 99 / 100],
        cpu_ms,
        per_second: calls as f64 / elapsed,
    }
}

/// The two writes of a call, and the wait between them.
async fn journal_alone(writer: Arc<GroupCommit>, n: usize, between: Duration) {
    let step = StepKey { event: EventKey(format!("journal:{n}")), step: "s".into(), input_hash: "h".into() };
    let start = CallStart {
        step: step.clone(),
        revision: Revision(0),
        attempt: 1,
        tenant: "bench".into(),
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        worst_cost: Some(Money(1)),
        hold: Some(Money(1)),
        opens: Opens::Sent,
        timeout: Duration::from_secs(60),
    };
    writer.journal_begin(start).await.unwrap();
    tokio::time::sleep(between).await;
    let end = CallResult::Failed { detail: "nothing".to_owned(), ledger: None };
    let end = CallEnd { step, revision: Revision(0), attempt: 1, charge: Money::ZERO, end };
    writer.journal_finish(end).await.unwrap();
}

/// A model that answers after a while: in this process, and over HTTP.
struct Model {
    delay: Arc<AtomicU64>,
    base_url: String,
}

impl Model {
    async fn start() -> Self {
        let delay = Arc::new(AtomicU64::new(0));
        let taken = Arc::clone(&delay);
        let answer = move || {
            let wait = Duration::from_millis(taken.load(Ordering::SeqCst));
            async move {
                tokio::time::sleep(wait).await;
                Json(json!({
                    "id": "c", "object": "chat.completion", "model": "gpt-4o-mini",
                    "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Hello." } }],
                    "usage": { "prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13 },
                }))
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/chat/completions", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let model = Self { delay, base_url };
        model.takes(ANSWERS_AFTER);
        model
    }

    fn takes(&self, wait: Duration) {
        self.delay.store(u64::try_from(wait.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay.load(Ordering::SeqCst))
    }

    fn models(&self, way: Way, limit: Option<u32>) -> (Models, LlmSettings) {
        let mut own = ProviderSettings::of_kind(ProviderKind::Openai).unwrap();
        own.base_url = Some(self.base_url.clone());
        own.model = Some("gpt-4o-mini".to_owned());
        own.concurrency = 1_000;
        own.requests_per_minute = limit;
        own.tokens_per_minute = limit.map(|limit| limit * 1_000);
        let settings = LlmSettings {
            providers: BTreeMap::from([("main".to_owned(), own)]),
            routes: BTreeMap::new(),
            default: "main".to_owned(),
            prompts: None,
            prices: None,
            unpriced: Unpriced::Dearest,
            embeddings: None,
        };
        let models = Models::new(&settings, &BTreeMap::new(), &Http::new().unwrap()).unwrap();
        if way == Way::Http {
            return (models, settings);
        }
        let here: Arc<dyn Provider> = Arc::new(Here(Arc::clone(&self.delay)));
        (models.with_provider("main", &here), settings)
    }

    fn provider(&self, way: Way) -> Arc<dyn Provider> {
        Arc::clone(&self.models(way, None).0.get("main").unwrap().provider)
    }
}

/// Within this process.
struct Here(Arc<AtomicU64>);

#[async_trait]
impl Provider for Here {
    async fn complete(&self, _: &Request) -> Result<Completion, CallError> {
        tokio::time::sleep(Duration::from_millis(self.0.load(Ordering::SeqCst))).await;
        Ok(Completion {
            text: "Hello.".to_owned(),
            finish: Finish::Complete,
            served_model: None,
            served_tier: None,
            usage: Usage { uncached_input: 10, output: 3, ..Usage::default() },
            usage_source: UsageSource::Provider,
            request_id: None,
        })
    }
}

fn gateway(store: &Arc<dyn Store>, model: &Model, way: Way, limit: Option<u32>) -> Arc<Gateway> {
    let (models, settings) = model.models(way, limit);
    let writer = Arc::new(GroupCommit::start(store, Duration::from_secs(60)));
    let prices = Arc::new(PriceTable::load(None).unwrap());
    let clock = Arc::new(SystemClock);
    Arc::new(Gateway::of(models, &settings, prices, Arc::clone(store), writer, clock).unwrap())
}

async fn open(postgres: Option<&str>, folder: &std::path::Path) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = match postgres {
        None => Arc::new(SqliteStore::open(&folder.join("store.db"), 4).await.unwrap()),
        Some(url) => Arc::new(PostgresStore::connect(&fresh_database(url).await, 8).await.unwrap()),
    };
    store.migrate().await.unwrap();
    store
}

async fn fresh_database(url: &str) -> String {
    use sqlx::{Connection as _, PgConnection};
    let mut admin = PgConnection::connect(url).await.unwrap();
    sqlx::query("drop database if exists longshore_bench_gateway with (force)")
        .execute(&mut admin)
        .await
        .unwrap();
    sqlx::query("create database longshore_bench_gateway").execute(&mut admin).await.unwrap();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/longshore_bench_gateway?{query}")
}

fn context(key: &str) -> StepContext {
    let held = Held { key: key.into(), revision: Revision(0), ticket: Ticket(1) };
    StepContext { held, tenant: "bench".into(), correlation_id: "bench".into(), person: None }
}

fn question() -> Question {
    Question {
        step: "greeting".to_owned(),
        prompt: PromptRef { id: "greeting".to_owned(), version: 1, hash: "0".to_owned() },
        system: "Greet.".to_owned(),
        turns: vec![Turn::user("Hello")],
        answer: AnswerShape::Text,
        max_output: 100,
        policy: Policy::default(),
        nonce: None,
        pieces: None,
    }
}

fn request(n: usize) -> Request {
    Request {
        model: "gpt-4o-mini".to_owned(),
        system: "Greet.".to_owned(),
        turns: vec![Turn::user(format!("Hello {n}"))],
        answer: AnswerShape::Text,
        max_output: 100,
        temperature: None,
        reasoning_effort: None,
        service_tier: None,
        stream: None,
        correlation_id: "bench".into(),
        timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(30),
    }
}
