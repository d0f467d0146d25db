//! An SQS-compatible server in this process: AWS JSON 1.0 over HTTP, standard queues, durable in its own
//! SQLite file. For one machine, development and tests; production is Amazon SQS.
//!
//! A request goes `listener` -> `protocol` (faults, counting) -> `operations` (checks) -> `engine`, the one
//! writer: it works what arrives together in one transaction, because a commit costs a disk flush.

mod attributes;
mod backend;
mod call;
pub mod counters;
mod counts;
mod delivery;
mod digest;
mod engine;
mod error;
pub mod faults;
mod handle;
pub mod listener;
mod messages_table;
mod model;
mod operations;
mod protocol;
mod queue_jobs;
mod queues_table;
mod registry;
mod schema;
pub mod server;
mod validate;
mod visibility;
mod waiters;
