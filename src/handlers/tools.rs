//! What a handler may use. It never writes to the database itself: it returns what is to be written.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    clock::Clock,
    domain::{
        event::{Channel, Event},
        outcome::Failure,
        reason::Reason,
    },
    llm::{
        contract::{Person, StepContext},
        gateway::Gateway,
        money::pricing::PriceTable,
        prompts::{catalogue::Catalogue, error::PromptError, prompt::Prompt},
    },
    messaging::callback::Callbacks,
    store::contract::{Store, StoreError, Work},
};

/// Everything outside that handlers ask.
#[derive(Clone)]
pub struct Tools {
    /// Looked up, never written to.
    pub store: Arc<dyn Store>,
    /// Asks models; every call is journalled before it is sent.
    pub gateway: Arc<Gateway>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Prices of usage that other systems report.
    pub prices: Arc<PriceTable>,
    /// Channels on which we can send; on the others people are heard, and not answered.
    pub channels: BTreeSet<Channel>,
    /// What models are asked.
    pub prompts: Arc<Catalogue>,
    /// Where answers of chats may be posted to.
    pub callbacks: Callbacks,
    /// Posts pieces of answers; without it readers get the whole answer only.
    pub pieces: Option<Arc<dyn PiecePost>>,
}

/// Posts a signed request at once: for pieces of an answer, which nobody wants later.
#[async_trait]
pub trait PiecePost: Send + Sync + 'static {
    /// One attempt, within the time-out of the settings.
    ///
    /// # Errors
    /// Why it did not arrive, for operators.
    async fn post(&self, url: &str, id: &str, event_type: &str, data: &Value) -> Result<(), String>;
}

impl Tools {
    /// The prompt of this id.
    pub(super) fn prompt(&self, id: &str) -> Result<&Arc<Prompt>, Failure> {
        let missing = || Failure::new(Reason::HandlerFailed, format!("this release has no prompt `{id}`"));
        self.prompts.get(id).ok_or_else(missing)
    }
}

/// For whom and under which claim a step of this event asks.
pub(super) fn step_context(work: &Work, event: &Event, person: Option<Person>) -> StepContext {
    StepContext {
        held: work.held.clone(),
        tenant: event.tenant.clone(),
        correlation_id: event.correlation_id.clone(),
        person,
    }
}

/// A template that fails on an event's values: somebody has to mend it.
pub(super) fn prompt_failure(error: PromptError) -> Failure {
    Failure::new(Reason::HandlerFailed, error.to_string())
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").finish_non_exhaustive()
    }
}

/// A look-up that failed is never the event's fault: it comes back later, uncounted.
pub(super) fn store_failure(error: StoreError) -> Failure {
    Failure::new(Reason::StoreUnavailable, error.to_string())
}
