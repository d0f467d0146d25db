//! What a call passes before the wire: a circuit breaker, a number of calls at once, a rate per minute.

pub(crate) mod breaker;
pub(crate) mod concurrency;
pub(crate) mod gates;
pub(crate) mod limiter;
mod need;
mod rate_account;
mod slots;
