//! A check of something that never answers must not keep the others waiting.

use std::{future::Future, time::Duration};

/// Longest time for one check of something outside.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer, or what to say when there is none in time.
pub(super) async fn in_time<T, E: ToString>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
