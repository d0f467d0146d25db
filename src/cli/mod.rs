//! The command line.

pub mod dev;
pub mod queue;
