//! Asking models: one contract, one file per provider, and the gateway that makes every call durable.

mod call_metrics;
pub mod contract;
pub mod gateway;
mod journal;
pub mod models;
pub mod money;
mod next;
pub mod output;
pub mod prompts;
pub mod vendors;
