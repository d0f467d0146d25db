//! A store, a gateway and the stand-in for one test.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use longshore::{
    cli::dev::outside::{
        Outside,
        script::{Fault, Script, Service},
    },
    clock::SystemClock,
    config::{LlmSettings, ProviderKind, ProviderSettings, TenantSettings, Unpriced},
    domain::{
        ids::{Revision, Ticket},
        outcome::{Failure, Held},
        reason::Reason,
    },
    http::Http,
    llm::{
        contract::{AnswerShape, Answered, Policy, PromptRef, Question, StepContext, Turn},
        gateway::Gateway,
        money::pricing::PriceTable,
    },
    store::{contract::Store, group::GroupCommit, sqlite::SqliteStore},
};
use serde_json::json;
use sqlx::{Row as _, SqlitePool};

/// A store, a gateway and the stand-in, with a second way into the database.
pub(super) struct Bench {
    pub(super) outside: Outside,
    pub(super) gateway: Arc<Gateway>,
    pub(super) raw: SqlitePool,
    pub(super) folder: tempfile::TempDir,
}

/// One ledger row, as far as it matters here.
#[derive(Debug, PartialEq)]
pub(super) struct Paid {
    pub(super) status: String,
    pub(super) source: String,
    pub(super) cost: Option<i64>,
    pub(super) tokens: i64,
}

fn provider(base_url: &str, timeout: Duration) -> ProviderSettings {
    let mut settings = ProviderSettings::of_kind(ProviderKind::Openai).unwrap();
    settings.base_url = Some(base_url.to_owned());
    settings.model = Some("gpt-4o-mini".to_owned());
    settings.timeout = timeout;
    settings.backoff = Duration::from_millis(5);
    settings
}

fn settings(base_url: &str, timeout: Duration) -> LlmSettings {
    let mut own = provider(base_url, timeout);
    own.model = Some("our-own-model".to_owned());
    let providers = [("main".to_owned(), provider(base_url, timeout)), ("own".to_owned(), own)];
    LlmSettings {
        providers: BTreeMap::from(providers),
        routes: BTreeMap::new(),
        default: "main".to_owned(),
        prompts: None,
        prices: None,
        unpriced: Unpriced::Dearest,
        embeddings: None,
    }
}

pub(super) async fn gateway(file: PathBuf, base_url: &str, timeout: Duration) -> Arc<Gateway> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&file, 2).await.unwrap());
    store.migrate().await.unwrap();
    let writer = Arc::new(GroupCommit::start(&store, Duration::from_secs(60)));
    let own = |name: &str| TenantSettings { llm: Some(name.to_owned()) };
    let tenants = BTreeMap::from([("thrifty".to_owned(), own("rules")), ("odd".to_owned(), own("own"))]);
    let clock = Arc::new(SystemClock);
    let http = Http::new().unwrap();
    let prices = Arc::new(PriceTable::load(None).unwrap());
    Arc::new(
        Gateway::with(&settings(base_url, timeout), &tenants, prices, store, writer, &http, clock).unwrap(),
    )
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::patient(Duration::from_secs(20)).await
    }

    pub(super) async fn patient(timeout: Duration) -> Self {
        let outside = Outside::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let gateway = gateway(folder.path().join("store.db"), &outside.llm_base_url(), timeout).await;
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("store.db"))
            .busy_timeout(Duration::from_secs(30));
        let raw = SqlitePool::connect_with(options).await.unwrap();
        Self { outside, gateway, raw, folder }
    }

    pub(super) fn fault(&self, fault: Fault, times: u32) {
        self.outside.script(Script { service: Service::Llm, contains: String::new(), fault, times });
    }

    pub(super) async fn ask(&self, text: &str) -> Result<Answered, Failure> {
        self.gateway.ask(&context("tenant", 0), &question(text)).await
    }

    pub(super) fn asked(&self) -> usize {
        self.outside.log().len()
    }

    pub(super) async fn paid(&self) -> Vec<Paid> {
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

    pub(super) async fn states(&self) -> Vec<String> {
        let rows = sqlx::query("SELECT state FROM llm_journal ORDER BY step, attempt");
        rows.fetch_all(&self.raw).await.unwrap().iter().map(|row| row.get("state")).collect()
    }

    /// Every billed call has one ledger row; rows without a billed call are ambiguous.
    pub(super) async fn books_balance(&self) {
        let billed = self.outside.log().iter().filter(|seen| seen.bill.is_some()).count();
        let paid = self.paid().await;
        let certain = paid.iter().filter(|row| row.status != "ambiguous").count();
        assert!(certain <= billed && billed <= paid.len(), "{billed} billed, {paid:?}");
    }
}

pub(super) fn context(tenant: &str, revision: i32) -> StepContext {
    let held = Held { key: "s:a:1".into(), revision: Revision(revision), ticket: Ticket(1) };
    StepContext { held, tenant: tenant.into(), correlation_id: "trace-1".into(), person: None }
}

pub(super) fn question(text: &str) -> Question {
    Question {
        step: "reading".to_owned(),
        prompt: PromptRef { id: "reading".to_owned(), version: 1, hash: "0".to_owned() },
        system: "Read the message.".to_owned(),
        turns: vec![Turn::user(text)],
        answer: AnswerShape::Json {
            name: "reading".to_owned(),
            schema: json!({
                "type": "object",
                "properties": {
                    "intent": { "type": "string", "enum": ["pricing", "support", "other"] },
                    "reply": { "type": "string", "maxLength": 4000 },
                    "confidence": { "type": "number" }
                },
                "required": ["intent", "reply", "confidence"],
                "additionalProperties": false
            }),
        },
        max_output: 500,
        policy: Policy::default(),
        nonce: None,
        pieces: None,
    }
}

pub(super) fn why(result: Result<Answered, Failure>) -> (Reason, Option<Duration>, Option<String>) {
    let failure = result.unwrap_err();
    (failure.reason, failure.wait, failure.raw)
}
