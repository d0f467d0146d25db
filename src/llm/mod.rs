//! Asking models: one contract, one file per provider, and the gateway that makes every call durable.

mod call_metrics;
pub mod contract;
pub mod gateway;
mod journal;
mod model_name;
mod next;
pub mod openai;
mod openai_answer;
mod openai_error;
pub mod output;
mod portable_schema;
pub mod pricing;
pub mod providers;
pub mod rules;
mod rules_words;
mod wait_hint;
