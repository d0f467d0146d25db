//! Longshore: a background worker for CRM and messaging events on Amazon SQS.
//!
//! The modules stand on floors; each names only lower ones. `tests/architecture.rs` holds the list.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash_point;
pub mod domain;
pub mod edge;
pub mod handlers;
pub mod http;
pub mod lifecycle;
pub mod llm;
pub mod messaging;
pub mod queue;
pub mod retry;
mod signature;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod worker;
