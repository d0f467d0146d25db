//! A gateway over a store, set up as the test wants it, and the questions that are asked of it.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use longshore::{
    clock::SystemClock,
    config::{LlmSettings, ProviderKind, ProviderSettings, Unpriced},
    domain::{
        ids::{EventKey, Revision, TenantId, Ticket},
        outcome::{Failure, Held},
        reason::Reason,
    },
    http::Http,
    llm::{
        contract::{AnswerShape, Answered, Pieces, Policy, PromptRef, Question, StepContext, Turn},
        gateway::Gateway,
        money::pricing::PriceTable,
    },
    store::{contract::Store, group::GroupCommit, postgres::PostgresStore, sqlite::SqliteStore},
};
use serde::{Deserialize, Serialize};

/// The model that is asked first.
pub(crate) const FIRST: &str = "gpt-4o-mini";
/// The one that stands in for it.
pub(crate) const SECOND: &str = "gpt-4.1";
/// Longest wait of ours before something put off is asked again; shorter where the gateway says so.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a test may want of a provider; also handed to other processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) store_url: String,
    pub(crate) base_url: String,
    pub(crate) model: String,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: u32,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) tokens_per_minute: Option<u32>,
    /// Connections to the store.
    pub(crate) connections: u32,
}

impl Setup {
    pub(crate) fn new(store_url: &str, base_url: &str) -> Self {
        Self {
            store_url: store_url.to_owned(),
            base_url: base_url.to_owned(),
            model: FIRST.to_owned(),
            timeout: Duration::from_secs(20),
            concurrency: 256,
            requests_per_minute: None,
            tokens_per_minute: None,
            connections: 8,
        }
    }

    fn provider(&self, model: &str) -> ProviderSettings {
        let mut settings = ProviderSettings::of_kind(ProviderKind::Openai).unwrap();
        settings.base_url = Some(self.base_url.clone());
        settings.model = Some(model.to_owned());
        settings.timeout = self.timeout;
        settings.idle_timeout = self.timeout;
        settings.backoff = Duration::from_millis(5);
        settings.concurrency = self.concurrency;
        settings.requests_per_minute = self.requests_per_minute;
        settings.tokens_per_minute = self.tokens_per_minute;
        // Every failure here is meant for one question, not for the model.
        settings.breaker_failures = 1_000;
        settings
    }

    fn settings(&self) -> LlmSettings {
        let providers =
            [("first".to_owned(), self.provider(&self.model)), ("second".to_owned(), self.provider(SECOND))];
        LlmSettings {
            providers: BTreeMap::from(providers),
            routes: BTreeMap::from([("both".to_owned(), vec!["first".to_owned(), "second".to_owned()])]),
            default: "first".to_owned(),
            prompts: None,
            prices: None,
            unpriced: Unpriced::Dearest,
            embeddings: None,
        }
    }

    /// The store and the gateway, as a process has them.
    pub(crate) async fn open(&self) -> (Arc<dyn Store>, Arc<Gateway>) {
        let store: Arc<dyn Store> = match self.store_url.strip_prefix("sqlite:") {
            Some(path) => Arc::new(SqliteStore::open(Path::new(path), 4).await.unwrap()),
            None => Arc::new(PostgresStore::connect(&self.store_url, self.connections).await.unwrap()),
        };
        let writer = Arc::new(GroupCommit::start(&store, Duration::from_secs(60)));
        let (http, clock) = (Http::new().unwrap(), Arc::new(SystemClock));
        let prices = Arc::new(PriceTable::load(None).unwrap());
        let (settings, tenants) = (self.settings(), BTreeMap::new());
        let gateway = Gateway::with(&settings, &tenants, prices, Arc::clone(&store), writer, &http, clock);
        (store, Arc::new(gateway.unwrap()))
    }
}

/// What is asked, for whom.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) tenant: TenantId,
    /// Event and correlation: by it a call is found at the stand-in and in the tables.
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) max_output: u32,
    pub(crate) streamed: bool,
    pub(crate) route: Option<&'static str>,
}

impl Ask {
    pub(crate) fn new(tenant: &str, key: String, text: String) -> Self {
        Self { tenant: tenant.into(), key, text, max_output: 200, streamed: false, route: None }
    }

    /// Asks once.
    pub(crate) async fn once(&self, gateway: &Gateway) -> Result<Answered, Failure> {
        gateway.ask(&self.context(), &self.question()).await
    }

    /// Asks until it is answered, waiting as the gateway says; for what is never fatal here.
    pub(crate) async fn until_answered(&self, gateway: &Gateway) -> Answered {
        for _ in 0..200 {
            match self.once(gateway).await {
                Ok(answered) => return answered,
                Err(failure) => tokio::time::sleep(put_off(&self.key, &failure)).await,
            }
        }
        panic!("{} is never answered", self.key)
    }

    fn context(&self) -> StepContext {
        let key: EventKey = self.key.as_str().into();
        let held = Held { key, revision: Revision(0), ticket: Ticket(1) };
        let correlation_id = self.key.as_str().into();
        StepContext { held, tenant: self.tenant.clone(), correlation_id, person: None }
    }

    fn question(&self) -> Question {
        let prompt = PromptRef { id: "money".to_owned(), version: 1, hash: "0".to_owned() };
        let policy = Policy { route: self.route.map(str::to_owned), ..Policy::default() };
        Question {
            step: "answer".to_owned(),
            prompt,
            system: "Answer in a few words.".to_owned(),
            turns: vec![Turn::user(self.text.clone())],
            answer: AnswerShape::Text,
            max_output: self.max_output,
            policy,
            nonce: None,
            pieces: self.streamed.then(|| Pieces(Arc::new(|_| {}))),
        }
    }
}

/// How long the queue would wait.
pub(crate) fn put_off(key: &str, failure: &Failure) -> Duration {
    assert!(
        matches!(
            failure.reason,
            Reason::Busy
                | Reason::RateLimited
                | Reason::LlmUnavailable
                | Reason::StoreUnavailable
                | Reason::RouteDown
                | Reason::BudgetExhausted
        ),
        "{key}: {failure:?}"
    );
    failure.wait.unwrap_or(Duration::from_millis(20)).min(PATIENCE)
}
