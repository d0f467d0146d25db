//! The gateway against the stand-in: what is asked, what is bought, what is written down.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use longshore::{
    cli::dev::outside::{
        Outside,
        script::{Fault, Gate, Script, Service, rate_limit, server_error},
        world::Seen,
    },
    clock::SystemClock,
    config::{LlmSettings, ProviderKind, ProviderSettings, TenantSettings},
    domain::{
        ids::{Revision, Ticket},
        money::Money,
        outcome::{Failure, Held},
        reason::Reason,
    },
    http::Http,
    llm::{
        contract::{Answered, Question, StepContext},
        gateway::Gateway,
    },
    store::{contract::Store, group::GroupCommit, sqlite::SqliteStore},
};
use serde_json::json;
use sqlx::{Row as _, SqlitePool};

/// A store, a gateway and the stand-in, with a second way into the database.
struct Bench {
    outside: Outside,
    gateway: Arc<Gateway>,
    raw: SqlitePool,
    folder: tempfile::TempDir,
}

/// One ledger row, as far as it matters here.
#[derive(Debug, PartialEq)]
struct Paid {
    status: String,
    source: String,
    cost: Option<i64>,
    tokens: i64,
}

fn provider(base_url: &str, timeout: Duration) -> ProviderSettings {
    ProviderSettings {
        kind: ProviderKind::Openai,
        base_url: Some(base_url.to_owned()),
        api_key: None,
        model: Some("gpt-4o-mini".to_owned()),
        timeout,
        attempts: 3,
        backoff: Duration::from_millis(5),
    }
}

fn settings(base_url: &str, timeout: Duration) -> LlmSettings {
    let mut own = provider(base_url, timeout);
    own.model = Some("our-own-model".to_owned());
    let providers = [("main".to_owned(), provider(base_url, timeout)), ("own".to_owned(), own)];
    LlmSettings { providers: BTreeMap::from(providers), default: "main".to_owned(), prices: None }
}

async fn gateway(file: PathBuf, base_url: &str, timeout: Duration) -> Arc<Gateway> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&file, 2).await.unwrap());
    store.migrate().await.unwrap();
    let writer = Arc::new(GroupCommit::start(&store, Duration::from_secs(60)));
    let own = |name: &str| TenantSettings { llm: Some(name.to_owned()) };
    let tenants = BTreeMap::from([("thrifty".to_owned(), own("rules")), ("odd".to_owned(), own("own"))]);
    let clock = Arc::new(SystemClock);
    let http = Http::new().unwrap();
    Arc::new(Gateway::with(&settings(base_url, timeout), &tenants, store, writer, &http, clock).unwrap())
}

impl Bench {
    async fn start() -> Self {
        Self::patient(Duration::from_secs(20)).await
    }

    async fn patient(timeout: Duration) -> Self {
        let outside = Outside::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let gateway = gateway(folder.path().join("store.db"), &outside.llm_base_url(), timeout).await;
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("store.db"))
            .busy_timeout(Duration::from_secs(30));
        let raw = SqlitePool::connect_with(options).await.unwrap();
        Self { outside, gateway, raw, folder }
    }

    fn fault(&self, fault: Fault, times: u32) {
        self.outside.script(Script { service: Service::Llm, contains: String::new(), fault, times });
    }

    async fn ask(&self, text: &str) -> Result<Answered, Failure> {
        self.gateway.ask(&context("tenant", 0), &question(text)).await
    }

    fn asked(&self) -> usize {
        self.outside.log().len()
    }

    async fn paid(&self) -> Vec<Paid> {
        let rows = sqlx::query(
            "SELECT status, usage_source, cost, uncached_input + cache_read + cache_write + output AS tokens \
             FROM llm_ledger ORDER BY at, id",
        )
        .fetch_all(&self.raw)
        .await
        .unwrap();
        rows.iter()
            .map(|row| Paid {
                status: row.get("status"),
                source: row.get("usage_source"),
                cost: row.get("cost"),
                tokens: row.get("tokens"),
            })
            .collect()
    }

    async fn states(&self) -> Vec<String> {
        let rows = sqlx::query("SELECT state FROM llm_journal ORDER BY step, attempt");
        rows.fetch_all(&self.raw).await.unwrap().iter().map(|row| row.get("state")).collect()
    }

    /// Every billed call has one ledger row; rows without a billed call are ambiguous.
    async fn books_balance(&self) {
        let billed = self.outside.log().iter().filter(|seen| seen.bill.is_some()).count();
        let paid = self.paid().await;
        let certain = paid.iter().filter(|row| row.status != "ambiguous").count();
        assert!(certain <= billed && billed <= paid.len(), "{billed} billed, {paid:?}");
    }
}

fn context(tenant: &str, revision: i32) -> StepContext {
    let held = Held { key: "s:a:1".into(), revision: Revision(revision), ticket: Ticket(1) };
    StepContext { held, tenant: tenant.into(), correlation_id: "trace-1".into() }
}

fn question(text: &str) -> Question {
    Question {
        step: "reading",
        prompt: "reading@1",
        system: "Read the message.".to_owned(),
        input: text.to_owned(),
        schema: json!({
            "type": "object",
            "properties": {
                "intent": { "type": "string", "enum": ["pricing", "support", "other"] },
                "reply": { "type": "string" },
                "confidence": { "type": "number" }
            },
            "required": ["intent", "reply", "confidence"],
            "additionalProperties": false
        }),
        max_output: 500,
    }
}

fn why(result: Result<Answered, Failure>) -> (Reason, Option<Duration>, Option<String>) {
    let failure = result.unwrap_err();
    (failure.reason, failure.wait, failure.raw)
}

#[tokio::test]
async fn an_answer_is_checked_priced_and_written_down() {
    let bench = Bench::start().await;
    let answered = bench.ask("What is the price?").await.unwrap();
    assert_eq!(answered.value["intent"], "pricing");
    assert_eq!((answered.provider.as_str(), answered.model.as_str()), ("openai", "gpt-4o-mini"));
    let log = bench.outside.log();
    let bill = log[0].bill.clone().unwrap();
    assert_eq!(log[0].correlation_id.as_deref(), Some("trace-1"));
    assert_eq!(log[0].body["response_format"]["json_schema"]["strict"], true);
    // 0.15 and 0.6 dollars a million: 150,000 and 600,000 pico-dollars each.
    let cost = bill.usage.uncached_input * 150_000 + bill.usage.output * 600_000;
    let tokens = bill.usage.input() + bill.usage.output;
    let row = Paid { status: "answered".into(), source: "provider".into(), cost: Some(cost), tokens };
    assert_eq!(bench.paid().await, [row]);
    let ids: Vec<String> = sqlx::query("SELECT id FROM llm_ledger")
        .fetch_all(&bench.raw)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("id"))
        .collect();
    assert_eq!(answered.calls, ids);
    bench.outside.shutdown().await;
    bench.folder.close().unwrap();
}

#[tokio::test]
async fn a_stored_answer_is_never_bought_again() {
    let bench = Bench::start().await;
    let first = bench.ask("What is the price?").await.unwrap();
    assert_eq!(bench.ask("What is the price?").await.unwrap(), first);
    let later = bench.gateway.ask(&context("tenant", 1), &question("What is the price?")).await.unwrap();
    assert_eq!(later, first, "a replay uses it, too");
    assert_eq!(bench.asked(), 1);
    bench.ask("Another question").await.unwrap();
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn what_fails_twice_succeeds_at_the_third() {
    let bench = Bench::start().await;
    bench.ask("price? #fail-twice").await.unwrap();
    assert_eq!((bench.asked(), bench.paid().await.len()), (3, 1));
    assert_eq!(bench.states().await, ["failed", "failed", "answered"]);
}

#[tokio::test]
async fn used_up_attempts_are_a_retry_and_cost_nothing() {
    let bench = Bench::start().await;
    bench.fault(server_error(), 3);
    assert_eq!(why(bench.ask("hi").await), (Reason::LlmUnavailable, None, None));
    assert_eq!((bench.asked(), bench.paid().await.len()), (3, 0));
    bench.ask("hi").await.unwrap();
    assert_eq!(bench.states().await, ["failed", "failed", "failed", "answered"]);
}

#[tokio::test]
async fn short_hints_are_slept_out_long_ones_defer() {
    let bench = Bench::start().await;
    bench.fault(rate_limit("0.3"), 1);
    let begun = std::time::Instant::now();
    bench.ask("hi").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.asked(), 2);
    let deferred = why(bench.ask("hi #rate-limit-long").await);
    assert_eq!(deferred, (Reason::RateLimited, Some(Duration::from_secs(11)), None));
    assert_eq!(bench.asked(), 3);
    bench.ask("hi #rate-limit-long").await.unwrap();
}

#[tokio::test]
async fn an_empty_account_is_asked_once() {
    let bench = Bench::start().await;
    let (reason, wait, _) = why(bench.ask("hi #no-credit").await);
    assert_eq!((reason, wait), (Reason::RateLimited, Some(Duration::from_secs(900))));
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn refusals_are_paid_and_final() {
    let bench = Bench::start().await;
    let (reason, _, raw) = why(bench.ask("hi #refuse").await);
    assert_eq!((reason, raw.as_deref()), (Reason::LlmRefused, Some("I'm sorry, I can't help with that.")));
    assert_eq!(why(bench.ask("hi #filter").await).0, Reason::LlmRefused);
    assert_eq!(bench.asked(), 2);
    assert!(bench.paid().await.iter().all(|row| row.status == "failed" && row.cost > Some(0)));
    bench.books_balance().await;
}

#[tokio::test]
async fn a_bad_answer_is_repaired_once() {
    let bench = Bench::start().await;
    let answered = bench.ask("price? #bad-once").await.unwrap();
    assert_eq!((answered.calls.len(), bench.asked()), (2, 2));
    let turns = bench.outside.log()[1].body["messages"].as_array().unwrap().len();
    assert_eq!(turns, 4, "the bad answer and what is wrong with it go along");
    assert_eq!(bench.ask("price? #bad-once").await.unwrap(), answered);
    assert_eq!((bench.asked(), bench.paid().await.len()), (2, 2), "both are stored");
}

#[tokio::test]
async fn a_bad_repair_is_final_until_a_replay() {
    let bench = Bench::start().await;
    let (reason, _, raw) = why(bench.ask("price? #bad-json").await);
    assert_eq!((reason, raw.is_some()), (Reason::InvalidOutput, true));
    assert_eq!((bench.asked(), bench.paid().await.len()), (2, 2));
    let replayed = bench.gateway.ask(&context("tenant", 1), &question("price? #bad-json")).await;
    assert_eq!(why(replayed).0, Reason::InvalidOutput);
    assert_eq!((bench.asked(), bench.paid().await.len()), (4, 4), "rejected answers are not used again");
    bench.books_balance().await;
}

#[tokio::test]
async fn a_cut_answer_gets_one_larger_cap() {
    let bench = Bench::start().await;
    bench.fault(Fault::Truncate, 1);
    bench.ask("hi").await.unwrap();
    let caps: Vec<_> =
        bench.outside.log().iter().map(|seen| seen.body["max_completion_tokens"].clone()).collect();
    assert_eq!(caps, [json!(500), json!(1000)]);
    assert_eq!(why(bench.ask("hi #cut").await).0, Reason::InvalidOutput);
    assert_eq!(bench.asked(), 4);
    bench.books_balance().await;
}

#[tokio::test]
async fn an_unknown_finish_is_no_success() {
    let bench = Bench::start().await;
    assert_eq!(why(bench.ask("hi #odd").await).0, Reason::LlmUnavailable);
    assert_eq!(bench.asked(), 3);
    bench.books_balance().await;
}

#[tokio::test]
async fn a_lost_answer_is_charged_at_its_worst_and_bought_again() {
    let bench = Bench::start().await;
    bench.ask("hi #drop").await.unwrap();
    assert_eq!((bench.asked(), bench.states().await), (2, vec!["ambiguous".to_owned(), "answered".into()]));
    let paid = bench.paid().await;
    let cost = |status: &str| paid.iter().find(|row| row.status == status).unwrap().cost.unwrap();
    assert!(cost("ambiguous") >= cost("answered"), "{paid:?}");
    bench.books_balance().await;
}

#[tokio::test]
async fn a_time_out_after_the_request_was_written_is_ambiguous() {
    let bench = Bench::patient(Duration::from_millis(300)).await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    bench.ask("hi").await.unwrap();
    gate.open();
    assert_eq!(bench.states().await, ["ambiguous", "answered"]);
    bench.books_balance().await;
}

#[tokio::test]
async fn who_cannot_be_reached_bills_nothing() {
    let bench = Bench::start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", free.local_addr().unwrap());
    drop(free);
    let unreachable = gateway(bench.folder.path().join("store.db"), &base, Duration::from_secs(5)).await;
    let failed = unreachable.ask(&context("tenant", 0), &question("hi")).await;
    assert_eq!(why(failed).0, Reason::LlmUnavailable);
    assert_eq!(bench.states().await, ["failed", "failed", "failed"]);
    assert!(bench.paid().await.is_empty());
}

#[tokio::test]
async fn usage_and_prices_that_are_not_known_are_said_not_guessed() {
    let bench = Bench::start().await;
    bench.ask("hi #no-usage").await.unwrap();
    let paid = bench.paid().await;
    assert_eq!(paid[0].source, "estimated");
    assert!(paid[0].tokens > 0 && paid[0].cost > Some(0));
    bench.gateway.ask(&context("odd", 0), &question("hi")).await.unwrap();
    assert!(bench.paid().await.iter().any(|row| row.cost.is_none()), "no price is not a price of zero");
}

#[tokio::test]
async fn a_tenant_may_have_a_provider_of_its_own() {
    let bench = Bench::start().await;
    let answered = bench.gateway.ask(&context("thrifty", 0), &question("What is the price?")).await.unwrap();
    assert_eq!((answered.provider.as_str(), answered.value["intent"].as_str()), ("rules", Some("pricing")));
    assert_eq!(bench.asked(), 0);
    assert_eq!(bench.paid().await[0].cost, Some(Money::ZERO.0));
}

fn one_held(log: &[Seen]) -> bool {
    log.len() == 1
}

#[tokio::test]
async fn a_cancelled_handler_does_not_lose_a_paid_answer() {
    let bench = Bench::start().await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    let gateway = Arc::clone(&bench.gateway);
    let handler = tokio::spawn(async move { gateway.ask(&context("tenant", 0), &question("hi")).await });
    bench.outside.until(one_held).await;
    handler.abort();
    assert!(handler.await.unwrap_err().is_cancelled());

    let (reason, wait, _) = why(bench.ask("hi").await);
    assert_eq!(reason, Reason::Busy, "it may still be answered");
    assert!(wait > Some(Duration::from_secs(10)) && wait <= Some(Duration::from_secs(21)), "{wait:?}");

    gate.open();
    bench.gateway.drained().await;
    bench.ask("hi").await.unwrap();
    assert_eq!(bench.asked(), 1);
    bench.books_balance().await;
}

#[tokio::test]
async fn a_dead_owners_call_is_ambiguous_once_it_is_overdue() {
    let bench = Bench::start().await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    let (file, base) = (bench.folder.path().join("store.db"), bench.outside.llm_base_url());
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    doomed.spawn(async move {
        let gateway = gateway(file, &base, Duration::from_secs(20)).await;
        gateway.ask(&context("tenant", 0), &question("hi")).await
    });
    bench.outside.until(one_held).await;
    // All of its tasks are gone in the middle of the call, as if the process had died.
    doomed.shutdown_background();
    assert_eq!(why(bench.ask("hi").await).0, Reason::Busy);
    sqlx::query("UPDATE llm_journal SET sent_at = sent_at - 60000000").execute(&bench.raw).await.unwrap();
    bench.ask("hi").await.unwrap();
    gate.open();
    assert_eq!((bench.asked(), bench.states().await), (2, vec!["ambiguous".to_owned(), "answered".into()]));
    assert_eq!(bench.paid().await.len(), 2);
    bench.books_balance().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_buy_one_answer() {
    let bench = Bench::start().await;
    let asks = (0..16).map(|_| bench.ask("hi"));
    let results = futures_util::future::join_all(asks).await;
    assert!(results.iter().any(Result::is_ok));
    let others = results.into_iter().filter_map(Result::err);
    assert!(
        others.into_iter().all(|failure| matches!(failure.reason, Reason::Busy | Reason::StoreUnavailable))
    );
    assert_eq!((bench.asked(), bench.paid().await.len()), (1, 1));
}
