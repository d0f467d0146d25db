//! Longshore: a background worker for CRM and messaging events on Amazon SQS.
//!
//! The modules stand on floors; each names only lower ones. `tests/architecture.rs` holds the list.

pub mod config;
pub mod crash_point;
pub mod domain;
pub mod queue;
pub mod store;
