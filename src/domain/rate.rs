//! A limit per minute that all workers share: what one of them asks of the common bucket, and what it gets.

use std::time::Duration;

/// What a worker takes from the common bucket of one credential and model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateAsk {
    /// Names the bucket: credential and model.
    pub bucket: String,
    /// Requests per minute; absent: no limit.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute; absent: no limit.
    pub tokens_per_minute: Option<u32>,
    /// Requests wanted; negative gives back what was not used.
    pub requests: i64,
    /// Tokens wanted; negative gives back what was not used.
    pub tokens: i64,
}

/// What it got, good for a few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateGrant {
    /// Requests, at most as many as asked for.
    pub requests: i64,
    /// Tokens, at most as many as asked for.
    pub tokens: i64,
    /// Until there is something again, where one of both was not given in full.
    pub wait: Duration,
}
