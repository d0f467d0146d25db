//! Asking models: one contract, one file per provider, and the gateway that makes every call durable.

mod attempt;
mod books;
mod call_metrics;
pub mod contract;
mod gate;
pub mod gateway;
mod journal;
pub mod models;
pub mod money;
mod next;
mod order;
pub mod output;
mod over_budget;
pub mod prompts;
mod purchase;
mod question_key;
mod route_walk;
mod turns;
mod vectors;
pub mod vendors;
