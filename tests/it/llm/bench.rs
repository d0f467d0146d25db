//! A store, a gateway and the stand-in for one test.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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
    store::{contract::Store, group::GroupCommit, postgres::PostgresStore, sqlite::SqliteStore},
};
use serde_json::json;

use crate::world::{Database, Kind};

/// A store, a gateway and the stand-in, with a second way into the database.
pub(super) struct Bench {
    pub(super) outside: Outside,
    pub(super) gateway: Arc<Gateway>,
    pub(super) store: Arc<dyn Store>,
    pub(super) database: Database,
    kind: Kind,
    /// Kept as long as the bench.
    _folder: tempfile::TempDir,
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

/// `main` and `second` are OpenAI's, dearer the second; nobody knows the price of `own`.
fn settings(base_url: &str, timeout: Duration) -> LlmSettings {
    let of_model = |name: &str, model: &str| {
        let settings = ProviderSettings { model: Some(model.to_owned()), ..provider(base_url, timeout) };
        (name.to_owned(), settings)
    };
    let routes = [
        ("two", vec!["main", "second"]),
        ("dear", vec!["second", "main"]),
        ("three", vec!["main", "second", "own"]),
    ];
    let routes =
        routes.map(|(name, models)| (name.to_owned(), models.into_iter().map(str::to_owned).collect()));
    LlmSettings {
        providers: BTreeMap::from([
            of_model("main", "gpt-4o-mini"),
            of_model("second", "gpt-4.1"),
            of_model("own", "our-own-model"),
        ]),
        routes: BTreeMap::from(routes),
        default: "main".to_owned(),
        prompts: None,
        prices: None,
        unpriced: Unpriced::Dearest,
        embeddings: None,
    }
}

async fn open(kind: Kind, url: &str) -> Arc<dyn Store> {
    match kind {
        Kind::Sqlite => Arc::new(SqliteStore::open(url.trim_start_matches("sqlite:"), 2).await.unwrap()),
        Kind::Postgres => Arc::new(PostgresStore::connect(url, 4).await.unwrap()),
    }
}

fn over(store: &Arc<dyn Store>, settings: &LlmSettings) -> Arc<Gateway> {
    let writer = Arc::new(GroupCommit::start(store, Duration::from_secs(60)));
    let own = |name: &str| TenantSettings { llm: Some(name.to_owned()) };
    let tenants = BTreeMap::from([("thrifty".to_owned(), own("rules")), ("odd".to_owned(), own("own"))]);
    let prices = Arc::new(PriceTable::load(None).unwrap());
    let (http, clock) = (Http::new().unwrap(), Arc::new(SystemClock));
    Arc::new(Gateway::with(settings, &tenants, prices, Arc::clone(store), writer, &http, clock).unwrap())
}

/// A gateway of its own, as another process would have it.
pub(super) async fn gateway(kind: Kind, url: String, base_url: &str, timeout: Duration) -> Arc<Gateway> {
    over(&open(kind, &url).await, &settings(base_url, timeout))
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::patient(Duration::from_secs(20)).await
    }

    pub(super) async fn patient(timeout: Duration) -> Self {
        Self::build(Kind::Sqlite, timeout, |_| {}).await
    }

    /// With other settings.
    pub(super) async fn with(change: impl FnOnce(&mut LlmSettings)) -> Self {
        Self::build(Kind::Sqlite, Duration::from_secs(20), change).await
    }

    pub(super) async fn on(kind: Kind, change: impl FnOnce(&mut LlmSettings)) -> Self {
        Self::build(kind, Duration::from_secs(20), change).await
    }

    async fn build(kind: Kind, timeout: Duration, change: impl FnOnce(&mut LlmSettings)) -> Self {
        let outside = Outside::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(kind, folder.path()).await;
        let store = open(kind, &database.url).await;
        let mut settings = settings(&outside.llm_base_url(), timeout);
        change(&mut settings);
        let gateway = over(&store, &settings);
        Self { outside, gateway, store, database, kind, _folder: folder }
    }

    /// A gateway of its own on the same store and model, as another process would have it.
    pub(super) async fn another(&self, change: impl FnOnce(&mut LlmSettings)) -> Arc<Gateway> {
        let mut settings = settings(&self.outside.llm_base_url(), Duration::from_secs(20));
        change(&mut settings);
        over(&open(self.kind, &self.database.url).await, &settings)
    }

    pub(super) fn fault(&self, fault: Fault, times: u32) {
        self.fault_for("", fault, times);
    }

    /// For requests that contain this text: a model's name, for one.
    pub(super) fn fault_for(&self, contains: &str, fault: Fault, times: u32) {
        self.outside.script(Script { service: Service::Llm, contains: contains.to_owned(), fault, times });
    }

    pub(super) async fn ask(&self, text: &str) -> Result<Answered, Failure> {
        self.gateway.ask(&context("tenant", 0), &question(text)).await
    }

    /// Of this route, for an event of its own.
    pub(super) async fn ask_route(&self, route: &str, text: &str) -> Result<Answered, Failure> {
        let policy = Policy { route: Some(route.to_owned()), ..Policy::default() };
        self.ask_as(policy, text).await
    }

    pub(super) async fn ask_as(&self, policy: Policy, text: &str) -> Result<Answered, Failure> {
        let context = event_of(text);
        self.gateway.ask(&context, &Question { policy, ..question(text) }).await
    }

    pub(super) fn asked(&self) -> usize {
        self.outside.log().len()
    }

    /// The models that were asked, in order.
    pub(super) fn models(&self) -> Vec<String> {
        let log = self.outside.log();
        log.iter().map(|seen| seen.body["model"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(super) async fn paid(&self) -> Vec<Paid> {
        let rows = self.database.rows(
            "SELECT status, usage_source, CAST(cost AS TEXT), \
             CAST(uncached_input + cache_read + cache_write + output AS TEXT) FROM llm_ledger ORDER BY at, id",
        );
        let rows = rows.await;
        rows.into_iter()
            .map(|row| {
                let [status, source, cost, tokens] = row.try_into().unwrap();
                let number = |text: String| text.parse::<i64>().unwrap();
                Paid {
                    status: status.unwrap(),
                    source: source.unwrap(),
                    cost: cost.map(number),
                    tokens: number(tokens.unwrap()),
                }
            })
            .collect()
    }

    pub(super) async fn states(&self) -> Vec<String> {
        self.texts("SELECT state FROM llm_journal ORDER BY step, attempt").await
    }

    /// One column.
    pub(super) async fn texts(&self, select: &str) -> Vec<String> {
        let rows = self.database.rows(select).await;
        rows.into_iter().map(|row| row[0].clone().unwrap_or_default()).collect()
    }

    /// Turns the clock on for every call of the journal by a minute.
    pub(super) async fn a_minute_passes(&self) {
        let earlier = match self.kind {
            Kind::Sqlite => "sent_at - 60000000",
            Kind::Postgres => "sent_at - interval '60 seconds'",
        };
        self.database.rows(&format!("UPDATE llm_journal SET sent_at = {earlier} RETURNING step")).await;
    }

    /// Every billed call has one ledger row; rows without a billed call are ambiguous, or cost nothing.
    pub(super) async fn books_balance(&self) {
        let billed = self.outside.log().iter().filter(|seen| seen.bill.is_some()).count();
        let paid = self.paid().await;
        let certain = paid.iter().filter(|row| row.status != "ambiguous" && row.cost != Some(0)).count();
        assert!(certain <= billed && billed <= paid.len(), "{billed} billed, {paid:?}");
    }

    pub(super) async fn end(self) {
        self.gateway.drained().await;
        self.outside.shutdown().await;
        self.store.close().await;
        self.database.finish().await;
    }
}

/// Each text is an event's own.
pub(super) fn event_of(text: &str) -> StepContext {
    let held = Held { key: format!("s:a:{text}").as_str().into(), ..context("tenant", 0).held };
    StepContext { held, ..context("tenant", 0) }
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
