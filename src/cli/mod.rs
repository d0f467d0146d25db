//! cli.
pub mod queue;
