//! The queues there are, in memory: a copy of their table, renewed after every change.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::queue::local::{
    attributes::{self, AttributeTexts, QueueConfig},
    error::ApiError,
};

/// The account that all queues belong to.
pub(super) const ACCOUNT: &str = "000000000000";

/// One queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) id: i64,
    pub(super) name: String,
    /// As set, without defaults.
    pub(super) attributes: AttributeTexts,
    pub(super) config: QueueConfig,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_at: i64,
    pub(super) modified_at: i64,
    pub(super) purged_at: Option<i64>,
}

/// All queues by name.
#[derive(Debug)]
pub(super) struct Registry {
    region: String,
    queues: RwLock<BTreeMap<String, Arc<Queue>>>,
}

impl Registry {
    pub(super) fn new(region: String, queues: Vec<Queue>) -> Self {
        let registry = Self { region, queues: RwLock::default() };
        registry.replace(queues);
        registry
    }

    /// Takes over what the table holds now.
    pub(super) fn replace(&self, queues: Vec<Queue>) {
        let queues = queues.into_iter().map(|queue| (queue.name.clone(), Arc::new(queue))).collect();
        *self.queues.write().unwrap_or_else(PoisonError::into_inner) = queues;
    }

    pub(super) fn all(&self) -> Vec<Arc<Queue>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn by_name(&self, name: &str) -> Result<Arc<Queue>, ApiError> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.get(name).cloned().ok_or_else(ApiError::no_queue)
    }

    pub(super) fn by_id(&self, id: i64) -> Option<Arc<Queue>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.values().find(|queue| queue.id == id).cloned()
    }

    /// The host of a queue URL does not matter, as on Amazon SQS: only its last part does.
    pub(super) fn by_url(&self, url: Option<&str>) -> Result<Arc<Queue>, ApiError> {
        let url = url.ok_or_else(|| ApiError::missing("QueueUrl"))?;
        self.by_name(url.trim_end_matches('/').rsplit('/').next().unwrap_or_default())
    }

    pub(super) fn by_arn(&self, arn: &str) -> Option<Arc<Queue>> {
        let name = arn.rsplit(':').next()?;
        self.by_name(name).ok().filter(|queue| self.arn(&queue.name) == arn)
    }

    /// A policy must name a queue that exists: with a mistyped one, poison would come back for ever.
    pub(super) fn check_redrive(&self, given: &AttributeTexts) -> Result<(), ApiError> {
        let given = given.get_key_value("RedrivePolicy").map(|(name, text)| (name.clone(), text.clone()));
        let merged = attributes::merge(&AttributeTexts::new(), &given.into_iter().collect())?;
        match QueueConfig::of(&merged).redrive {
            Some(policy) if self.by_arn(&policy.dead_letter_target_arn).is_none() => {
                Err(ApiError::invalid(format!(
                    "Value {} for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.",
                    policy.dead_letter_target_arn
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT}:{name}", self.region)
    }
}
