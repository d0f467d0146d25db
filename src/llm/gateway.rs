//! The one way to a model. A step is looked up in the journal before anything is bought; what is bought is
//! durable before it is sent and stored before it is used; a bad answer is repaired once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::{LlmSettings, Settings, TenantSettings},
    domain::{
        call::StepKey,
        ids::{TenantId, sha256_hex},
        outcome::Failure,
        reason::Reason,
    },
    http::Http,
    llm::{
        contract::{Answered, Question, Repair, Request, StepContext},
        journal::{Attempt, Attempted, Journal, Seen, Stored},
        next::{Next, after},
        output,
        pricing::PriceTable,
        providers::{self, Route, SetupError},
    },
    store::{
        contract::{Store, StoreError},
        group::GroupCommit,
    },
};

/// A call that may be running is asked about again after at least this.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The way to all models.
pub struct Gateway {
    routes: BTreeMap<String, Arc<Route>>,
    default: String,
    tenants: BTreeMap<String, String>,
    journal: Arc<Journal>,
    running: TaskTracker,
}

impl Gateway {
    /// Reads providers, tenants and prices from the settings.
    ///
    /// # Errors
    /// When a provider or the price table makes no sense, or a name leads nowhere.
    pub fn new(
        settings: &Settings,
        store: Arc<dyn Store>,
        writer: Arc<GroupCommit>,
        http: &Http,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Self::with(&settings.llm, &settings.tenants, store, writer, http, clock)
    }

    /// As [`Gateway::new`], from the two parts that count.
    ///
    /// # Errors
    /// As there.
    pub fn with(
        settings: &LlmSettings,
        tenants: &BTreeMap<String, TenantSettings>,
        store: Arc<dyn Store>,
        writer: Arc<GroupCommit>,
        http: &Http,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let routes = providers::routes(settings, http)?;
        let mut chosen = BTreeMap::new();
        for (tenant, name) in tenants.iter().filter_map(|(tenant, own)| Some((tenant, own.llm.clone()?))) {
            if !routes.contains_key(&name) {
                return Err(SetupError::NoSuchProvider(format!("tenants.{tenant}"), name));
            }
            chosen.insert(tenant.clone(), name);
        }
        let prices = Arc::new(PriceTable::load(settings.prices.as_deref())?);
        Ok(Self {
            routes,
            default: settings.default.clone(),
            tenants: chosen,
            journal: Arc::new(Journal { store, writer, clock, prices }),
            running: TaskTracker::new(),
        })
    }

    /// The prices in use.
    #[must_use]
    pub fn prices(&self) -> Arc<PriceTable> {
        Arc::clone(&self.journal.prices)
    }

    /// Waits until every call that has started is recorded. For a stopping process, after its handlers.
    pub async fn drained(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Asks once: an answer bought before is used, one on its way is waited for outside, and only else is
    /// one bought, with as many attempts as the provider's settings allow.
    ///
    /// Cancelling it stops the waiting, not the call: that is recorded all the same.
    ///
    /// # Errors
    /// With the reason that decides between retry, deferral and burying; what was spent is in the ledger.
    pub async fn ask(&self, context: &StepContext, question: &Question) -> Result<Answered, Failure> {
        let route = self.route(&context.tenant);
        let first = self.answer(context, &route, question, None).await?;
        let bad = match output::check(&question.schema, &first.text) {
            Ok(value) => return Ok(answered(&route, value, &[&first])),
            Err(bad) => bad,
        };
        tracing::warn!(event_key = %context.held.key, step = question.step, what = %bad.place, "the answer breaks its schema: asking for a repair");
        let repair = Repair { answer: first.text.clone(), problem: bad.problem };
        let second = self.answer(context, &route, question, Some(repair)).await?;
        match output::check(&question.schema, &second.text) {
            Ok(value) => Ok(answered(&route, value, &[&first, &second])),
            Err(bad) => {
                // Not to be used again by a replay; the first is the cause, the second alone would never be asked.
                for stored in [&second, &first] {
                    self.journal.reject(stored).await.map_err(|error| unavailable(&error))?;
                }
                let mut failure = Failure::new(Reason::InvalidOutput, bad.place);
                failure.raw = Some(second.text);
                Err(failure)
            }
        }
    }

    fn route(&self, tenant: &TenantId) -> Arc<Route> {
        let name = self.tenants.get(tenant.as_str()).unwrap_or(&self.default);
        // Both names were checked when this was made.
        Arc::clone(&self.routes[name])
    }

    /// A complete answer, stored: from the journal, or bought.
    async fn answer(
        &self,
        context: &StepContext,
        route: &Arc<Route>,
        question: &Question,
        repair: Option<Repair>,
    ) -> Result<Stored, Failure> {
        let step = step_key(context, route, question, repair.as_ref());
        let mut request = request(context, route, question, repair);
        let mut tries = 0;
        loop {
            let seen = self.journal.look_up(&step, &context.tenant).await;
            let number = match seen.map_err(|error| unavailable(&error))? {
                Seen::Stored(stored) => return Ok(stored),
                Seen::Running(left) => return Err(on_its_way(left)),
                Seen::Free(number) => number,
            };
            tries += 1;
            let attempt = Attempt {
                step: step.clone(),
                revision: context.held.revision,
                number,
                tenant: context.tenant.clone(),
                route: Arc::clone(route),
                request: request.clone(),
            };
            let attempted = match self.start(attempt).await {
                Attempted::Answered(stored) => return Ok(stored),
                Attempted::Journal(error) => return Err(unavailable(&error)),
                attempted => attempted,
            };
            match after(attempted, tries, route) {
                Next::Again(wait) => tokio::time::sleep(wait).await,
                Next::Longer => request.max_output = request.max_output.saturating_mul(2),
                Next::Stop(failure) => return Err(failure),
            }
        }
    }

    /// In a task of its own: a handler that is cancelled must not lose a paid answer.
    async fn start(&self, attempt: Attempt) -> Attempted {
        let task = self.running.spawn(Arc::clone(&self.journal).run(attempt));
        task.await.unwrap_or_else(|error| {
            Attempted::Journal(StoreError::Unavailable(format!("the call's task ended early: {error}")))
        })
    }
}

fn answered(route: &Route, value: Value, calls: &[&Stored]) -> Answered {
    Answered {
        value,
        provider: route.kind.to_owned(),
        model: route.model.clone(),
        calls: calls.iter().map(|stored| stored.ledger_id.clone()).collect(),
    }
}

fn unavailable(error: &StoreError) -> Failure {
    Failure::new(Reason::StoreUnavailable, error.to_string())
}

fn on_its_way(left: Duration) -> Failure {
    Failure::new(Reason::Busy, "an earlier call of this step may still be answered")
        .wait(left.max(LOOK_AGAIN))
}

/// Everything that shapes the answer goes into the hash. The output cap does not: a cut answer is none.
fn step_key(context: &StepContext, route: &Route, question: &Question, repair: Option<&Repair>) -> StepKey {
    let schema = question.schema.to_string();
    let mut parts: Vec<&[u8]> =
        [route.kind, &route.model, question.prompt, &question.system, &question.input, &schema]
            .map(str::as_bytes)
            .to_vec();
    parts.extend(repair.iter().flat_map(|repair| [repair.answer.as_bytes(), repair.problem.as_bytes()]));
    let suffix = if repair.is_some() { ".repair" } else { "" };
    StepKey {
        event: context.held.key.clone(),
        step: format!("{}{suffix}", question.step),
        input_hash: sha256_hex(&parts),
    }
}

fn request(context: &StepContext, route: &Route, question: &Question, repair: Option<Repair>) -> Request {
    Request {
        model: route.model.clone(),
        system: question.system.clone(),
        input: question.input.clone(),
        schema_name: question.step,
        schema: question.schema.clone(),
        max_output: question.max_output,
        repair,
        correlation_id: context.correlation_id.clone(),
        timeout: route.timeout,
    }
}
