//! The one way to a model. A step is looked up in the journal before anything is bought, at any model of its route;
//! what is bought has its money set aside and passes the gates of its model, is durable before it is sent and stored
//! before it is used; a model that cannot is followed by the next of the route.
//!
//! | what | where |
//! |---|---|
//! | a whole answer: continuations, one repair | `turns.rs` |
//! | journal, response cache, the models in order, then the rules or a wait | `route_walk.rs` |
//! | one model's attempts | `purchase.rs`, and what follows each: `next.rs` |
//! | gates, reservation, wire, settlement | `journal.rs`, `gate/` |

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    clock::Clock,
    config::{LlmSettings, Settings, TenantSettings},
    domain::{outcome::Failure, reason::Reason},
    http::Http,
    llm::{
        books::Books,
        contract::{Answered, ModelHealth, Question, StepContext, Vectors},
        journal::Journal,
        models::{Model, Models, RULES, SetupError},
        money::pricing::PriceTable,
        order::Order,
        purchase::Buyer,
        route_walk::Walker,
        turns, vectors,
    },
    store::{
        contract::{Store, StoreError},
        group::GroupCommit,
    },
};

/// The way to all models.
pub struct Gateway {
    models: Models,
    embeddings: Option<Arc<Model>>,
    walker: Walker,
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
        let models = Models::new(settings, tenants, http)?;
        Self::of(models, settings, prices, store, writer, clock)
    }

    /// Of models that are made already: for providers of one's own.
    ///
    /// # Errors
    /// When a name leads nowhere.
    pub fn of(
        models: Models,
        settings: &LlmSettings,
        prices: Arc<PriceTable>,
        store: Arc<dyn Store>,
        writer: Arc<GroupCommit>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let find = |from: &str, name: &str| {
            let lost = || SetupError::NoSuchRoute(from.to_owned(), name.to_owned());
            models.get(name).cloned().ok_or_else(lost)
        };
        let embeddings =
            settings.embeddings.as_deref().map(|name| find("llm.embeddings", name)).transpose()?;
        let rules = find("the gateway", RULES)?;
        let books = Books { clock, prices, unpriced: settings.unpriced };
        let journal = Arc::new(Journal { store, writer, books });
        let buyer = Buyer::new(journal, &models);
        Ok(Self { models, embeddings, walker: Walker { buyer, rules } })
    }

    /// Waits until every call that has started is recorded. For a stopping process, after its handlers.
    pub async fn drained(&self) {
        self.walker.buyer.drained().await;
    }

    /// Asks once: an answer bought before is used, one on its way is waited for outside, and only else is
    /// one bought, from the models of the route in order.
    ///
    /// Cancelling it stops the waiting, not the call: that is recorded all the same.
    ///
    /// # Errors
    /// With the reason that decides between retry, deferral and burying; what was spent is in the ledger.
    pub async fn ask(&self, context: &StepContext, question: &Question) -> Result<Answered, Failure> {
        let route = self.models.route(&context.tenant, question.policy.route.as_deref());
        turns::answer(&self.walker, route, context, question).await
    }

    /// Vectors of texts, of length 1, bought once like any answer; `None` where no provider for them is configured.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn embed(
        &self,
        context: &StepContext,
        step: &str,
        texts: &[String],
    ) -> Result<Option<Vectors>, Failure> {
        let Some(model) = &self.embeddings else { return Ok(None) };
        if texts.is_empty() {
            return Ok(Some(Vectors { model: model.model.clone(), vectors: Vec::new() }));
        }
        let order = Order::texts(context, step, texts);
        let bought = self.walker.get(&order, std::slice::from_ref(model)).await?;
        let vectors = vectors::read(&bought.stored.text, texts.len());
        let vectors = vectors.map_err(|what| Failure::new(Reason::InvalidOutput, what))?;
        Ok(Some(Vectors { model: model.model.clone(), vectors }))
    }

    /// How every model of the configuration is doing.
    #[must_use]
    pub fn health(&self) -> Vec<ModelHealth> {
        self.walker.buyer.health(&self.models)
    }

    /// Ends the calls whose owner is gone: what was only reserved is given up, what was sent becomes ambiguous.
    /// Answers how many. Regular work of a worker.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn end_lapsed_calls(&self) -> Result<usize, StoreError> {
        self.walker.buyer.journal.end_lapsed().await
    }
}
