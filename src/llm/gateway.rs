//! The one way to a model. A step is looked up in the journal before anything is bought; what is bought is
//! durable before it is sent and stored before it is used; a bad answer is repaired once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::{LlmSettings, Settings, TenantSettings},
    domain::{call::StepKey, ids::sha256_hex, outcome::Failure, reason::Reason},
    http::Http,
    llm::{
        contract::{
            AnswerShape, Answered, ModelHealth, Pieces, Question, Request, StepContext, Turn, Vectors,
        },
        journal::{Attempt, Attempted, Journal, Seen, Stored},
        models::{Model, Models, SetupError},
        money::pricing::PriceTable,
        next::{Next, after},
        output,
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
    models: Models,
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
        prices: Arc<PriceTable>,
        store: Arc<dyn Store>,
        writer: Arc<GroupCommit>,
        http: &Http,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Self::with(&settings.llm, &settings.tenants, prices, store, writer, http, clock)
    }

    /// As [`Gateway::new`], from the two parts that count.
    ///
    /// # Errors
    /// As there.
    pub fn with(
        settings: &LlmSettings,
        tenants: &BTreeMap<String, TenantSettings>,
        prices: Arc<PriceTable>,
        store: Arc<dyn Store>,
        writer: Arc<GroupCommit>,
        http: &Http,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            models: Models::new(settings, tenants, http)?,
            journal: Arc::new(Journal { store, writer, clock, prices }),
            running: TaskTracker::new(),
        })
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
        let model = self.model(context, question)?;
        let first = self.answer(context, &model, question, None).await?;
        let bad = match check(question, &first.text) {
            Ok(value) => return Ok(answered(&model, question, value, &[&first])),
            Err(bad) => bad,
        };
        tracing::warn!(event_key = %context.held.key, step = %question.step, what = %bad.place, "the answer breaks its schema: asking for a repair");
        let repair = Repair { answer: first.text.clone(), problem: bad.problem };
        let second = self.answer(context, &model, question, Some(repair)).await?;
        match check(question, &second.text) {
            Ok(value) => Ok(answered(&model, question, value, &[&first, &second])),
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

    /// Vectors of texts, bought once like any answer; `None` where no provider for them is configured.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn embed(&self, _: &StepContext, _: &str, _: &[String]) -> Result<Option<Vectors>, Failure> {
        Ok(None)
    }

    /// How every model of the configuration is doing.
    #[must_use]
    pub fn health(&self) -> Vec<ModelHealth> {
        Vec::new()
    }

    /// Ends the calls whose owner is gone: what was only reserved is given up, what was sent becomes ambiguous.
    /// Answers how many. Regular work of a worker.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn end_lapsed_calls(&self) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn model(&self, context: &StepContext, question: &Question) -> Result<Arc<Model>, Failure> {
        let route = self.models.route(&context.tenant, question.policy.route.as_deref());
        route.first().cloned().ok_or_else(|| Failure::new(Reason::RouteDown, "the route names no model"))
    }

    /// A complete answer, stored: from the journal, or bought.
    async fn answer(
        &self,
        context: &StepContext,
        model: &Arc<Model>,
        question: &Question,
        repair: Option<Repair>,
    ) -> Result<Stored, Failure> {
        let step = step_key(context, model, question, repair.as_ref());
        let mut request = request(context, model, question, repair);
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
                model: Arc::clone(model),
                request: Request { stream: question.pieces.as_ref().map(Pieces::begin), ..request.clone() },
                person: context.person.clone().unwrap_or_default(),
            };
            let attempted = match self.start(attempt).await {
                Attempted::Answered(stored) => return Ok(stored),
                Attempted::Journal(error) => return Err(unavailable(&error)),
                attempted => attempted,
            };
            match after(attempted, tries, model) {
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

fn answered(model: &Model, question: &Question, value: Value, calls: &[&Stored]) -> Answered {
    Answered {
        value,
        provider: model.kind.to_owned(),
        model: model.model.clone(),
        prompt: question.prompt.clone(),
        quality: if calls.len() > 1 { 0.7 } else { 1.0 },
        truncated: false,
        calls: calls.iter().map(|stored| stored.ledger_id.clone()).collect(),
    }
}

/// A text is a value already; JSON has to be found, and to keep its schema.
fn check(question: &Question, text: &str) -> Result<Value, output::Unusable> {
    match &question.answer {
        AnswerShape::Text => Ok(Value::String(text.to_owned())),
        AnswerShape::Json { schema, .. } => output::check(schema, text),
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
fn step_key(context: &StepContext, model: &Model, question: &Question, repair: Option<&Repair>) -> StepKey {
    let shape = match &question.answer {
        AnswerShape::Text => String::new(),
        AnswerShape::Json { schema, .. } => schema.to_string(),
    };
    let prompt = question.prompt.to_string();
    let nonce = question.nonce.as_deref().unwrap_or_default();
    let mut parts =
        vec![model.kind, &model.model, &prompt, &question.prompt.hash, &question.system, &shape, nonce];
    parts.extend(question.turns.iter().flat_map(|turn| [turn.role.name(), turn.text.as_str()]));
    parts.extend(repair.iter().flat_map(|repair| [repair.answer.as_str(), repair.problem.as_str()]));
    let suffix = if repair.is_some() { ".repair" } else { "" };
    StepKey {
        event: context.held.key.clone(),
        step: format!("{}{suffix}", question.step),
        input_hash: sha256_hex(&parts.into_iter().map(str::as_bytes).collect::<Vec<_>>()),
    }
}

fn request(context: &StepContext, model: &Model, question: &Question, repair: Option<Repair>) -> Request {
    let mut turns = question.turns.clone();
    if let Some(repair) = repair {
        turns.push(Turn::assistant(repair.answer));
        turns.push(Turn::user(format!(
            "That answer cannot be used: {}. Answer again with JSON that keeps the schema, and nothing else.",
            repair.problem
        )));
    }
    let settings = &model.settings;
    Request {
        model: model.model.clone(),
        system: question.system.clone(),
        turns,
        answer: question.answer.clone(),
        max_output: question.max_output,
        temperature: settings.temperature,
        reasoning_effort: settings.reasoning_effort.clone(),
        service_tier: settings.service_tier.clone(),
        // Each attempt begins its own.
        stream: None,
        correlation_id: context.correlation_id.clone(),
        timeout: settings.timeout,
        idle_timeout: settings.idle_timeout,
    }
}

/// What was wrong with an earlier answer.
#[derive(Clone, Debug)]
struct Repair {
    answer: String,
    problem: String,
}
