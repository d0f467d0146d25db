//! One request on its way to its operation.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::queue::local::{
    backend::Backend,
    error::{ApiError, Code},
    faults::Strike,
};

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) backend: &'a Backend,
    /// `http://HOST` as the client named it: queue URLs point back there.
    pub(super) base: &'a str,
    pub(super) body: &'a [u8],
    pub(super) strike: Strike,
}

/// A request's body as the operation's input.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ApiError::new(Code::Serialization, error.to_string()))
}

/// Whole seconds that were checked to be in range.
pub(super) fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
