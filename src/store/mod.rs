//! What is remembered: one contract of business verbs, two databases behind it.

pub(crate) mod budget_rows;
mod common_sql;
pub mod contract;
mod error;
pub mod group;
mod llm_contract;
pub(crate) mod mentions;
pub(crate) mod migrations;
pub mod postgres;
pub(crate) mod rate_bucket;
pub(crate) mod record_rows;
pub mod report;
pub(crate) mod rows;
pub mod sqlite;
pub(crate) mod vectors;
