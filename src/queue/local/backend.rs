//! What the operations work with.

use std::sync::Arc;

use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;

use crate::queue::local::{
    error::{ApiError, Code},
    model::{Job, Reply},
    registry::Registry,
};

/// The ways to the writer, to the readers and to the queues' settings.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) readers: SqlitePool,
    pub(super) registry: Arc<Registry>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Backend {
    /// Has a job done; the answer comes when it is on the disk.
    pub(super) async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, ApiError> {
        let gone = || ApiError::new(Code::ServiceUnavailable, "The server is stopping.");
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| ApiError::new(Code::InternalError, "The queue's storage failed."))?
    }
}
