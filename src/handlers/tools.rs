//! What a handler may use. It never writes to the database itself: it returns what is to be written.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    clock::Clock,
    domain::{event::Channel, outcome::Failure, reason::Reason},
    llm::{gateway::Gateway, money::pricing::PriceTable},
    store::contract::{Store, StoreError},
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
