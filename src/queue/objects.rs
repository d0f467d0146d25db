//! The contract of an object store: where bodies lie that are too large for a queue.

use async_trait::async_trait;

/// What went wrong at the object store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("there is no such object")]
    Missing,
    /// It has more bytes than were asked for.
    #[error("the object is too large")]
    TooLarge,
    /// The store does not answer, or refuses us: may pass, or be set right.
    #[error("the object store does not answer: {0}")]
    Unavailable(String),
}

/// What is asked of an object store.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// The object's bytes, never more than `cap` of them in memory.
    async fn get(&self, bucket: &str, key: &str, cap: usize) -> Result<Vec<u8>, ObjectError>;
    /// Puts an object there, over one of the same key.
    async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<(), ObjectError>;
}
