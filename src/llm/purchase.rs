//! One model's attempts at one order: as many as its settings allow, each durable before it is sent, until there is an
//! answer or no more can be had of this model now.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{
    domain::{call::StepKey, outcome::Failure, reason::Reason},
    llm::{
        attempt::{Attempt, Attempted, Seen, Stored},
        contract::ModelHealth,
        gate::gates::Gates,
        journal::Journal,
        models::{Model, Models},
        next::{Gave, Next, Tried, Why, after},
        order::Order,
    },
    store::contract::StoreError,
};

/// A call that may be running is asked about again after at least this.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Buys answers.
pub(crate) struct Buyer {
    pub(crate) journal: Arc<Journal>,
    /// By bucket: two names for one model behind one credential share them.
    gates: BTreeMap<String, Arc<Gates>>,
    running: TaskTracker,
}

impl Buyer {
    pub(crate) fn new(journal: Arc<Journal>, models: &Models) -> Self {
        let mut gates = BTreeMap::new();
        for model in models.all() {
            gates.entry(model.bucket.clone()).or_insert_with(|| Gates::new(model, &journal.store));
        }
        Self { journal, gates, running: TaskTracker::new() }
    }

    /// Waits until every call that has started is recorded.
    pub(crate) async fn drained(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// How every model is doing that can do badly.
    pub(crate) fn health(&self, models: &Models) -> Vec<ModelHealth> {
        let asked = models.all().filter(|model| !model.free);
        asked.filter_map(|model| Some(self.gates.get(&model.bucket)?.health(&model.name))).collect()
    }

    /// What the journal knows of an order at this model.
    pub(crate) async fn look_up(&self, order: &Order<'_>, model: &Model) -> Result<Seen, Failure> {
        self.look_up_key(order, &order.key(model)).await
    }

    /// Until there is an answer. `number`: the attempt that is free, as far as is known.
    pub(crate) async fn buy(
        &self,
        order: &Order<'_>,
        model: &Arc<Model>,
        mut number: Option<i32>,
    ) -> Result<Stored, Gave> {
        let key = order.key(model);
        let Some(gates) = self.gates.get(&model.bucket) else {
            let failure = Failure::new(Reason::RouteDown, format!("`{}` is no model of ours", model.name));
            return Err(Gave::new(Why::NoSuchModel, failure));
        };
        let mut tried = Tried { times: 0, cap: order.cap(model), raised: false };
        loop {
            let number = match number.take() {
                Some(number) => number,
                None => match self.look_up_key(order, &key).await.map_err(stop)? {
                    Seen::Stored(stored) => return Ok(stored),
                    Seen::Running(left) => return Err(stop(on_its_way(left))),
                    Seen::Free(number) => number,
                },
            };
            if let Some(shut) = gates.check().err().filter(|shut| !shut.asked) {
                return Err(Gave::shut(shut));
            }
            tried.times += 1;
            let asker = Arc::new(());
            let attempt =
                self.attempt(order, &key, number, (model, gates), tried.cap, Arc::downgrade(&asker));
            let attempted = match self.start(attempt).await {
                Attempted::Answered(stored) => return Ok(stored),
                attempted => attempted,
            };
            match after(attempted, tried, model, gates.check().err()) {
                Next::Over(gave) => return Err(gave),
                Next::Longer(cap) => (tried.cap, tried.raised) = (cap, true),
                Next::Again(wait) => {
                    metrics::counter!("longshore_llm_retries_total", "provider" => model.kind, "model" => model.model.clone())
                        .increment(1);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// The answer to an equal question, as this order's own.
    pub(crate) async fn copy(
        &self,
        order: &Order<'_>,
        model: &Arc<Model>,
        number: i32,
        within: Duration,
    ) -> Result<Option<Stored>, Failure> {
        let Some(gates) = self.gates.get(&model.bucket) else { return Ok(None) };
        let (key, store) = (order.key(model), &self.journal.store);
        let recent = store.journal_recent(&order.context.tenant, &key.step, &key.input_hash, within).await;
        let Some(recent) = recent.map_err(|error| unavailable(&error))? else { return Ok(None) };
        let attempt = self.attempt(order, &key, number, (model, gates), order.cap(model), Weak::new());
        self.journal.copy(&attempt, &recent.text).await.map_err(|error| unavailable(&error))
    }

    async fn look_up_key(&self, order: &Order<'_>, key: &StepKey) -> Result<Seen, Failure> {
        let seen = self.journal.look_up(key, &order.context.tenant).await;
        seen.map_err(|error| unavailable(&error))
    }

    fn attempt(
        &self,
        order: &Order<'_>,
        key: &StepKey,
        number: i32,
        (model, gates): (&Arc<Model>, &Arc<Gates>),
        cap: u32,
        asker: Weak<()>,
    ) -> Attempt {
        let context = order.context;
        // Only what is bought is heard.
        let wanted =
            if asker.strong_count() > 0 { order.heard(model, cap) } else { order.wanted(model, cap) };
        Attempt {
            step: key.clone(),
            revision: context.held.revision,
            number,
            tenant: context.tenant.clone(),
            person: context.person.clone().unwrap_or_default(),
            model: Arc::clone(model),
            gates: Arc::clone(gates),
            prompt: order.prompt().cloned(),
            wanted,
            asker,
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

pub(crate) fn unavailable(error: &StoreError) -> Failure {
    Failure::new(Reason::StoreUnavailable, error.to_string())
}

pub(crate) fn on_its_way(left: Duration) -> Failure {
    Failure::new(Reason::Busy, "an earlier call of this step may still be answered")
        .wait(left.max(LOOK_AGAIN))
}

fn stop(failure: Failure) -> Gave {
    Gave::new(Why::Final, failure)
}
