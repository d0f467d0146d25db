//! Integration tests: one binary, one file per story.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing, and its figures by printing them"
)]

mod abuse;
mod cli;
mod config;
mod crash;
mod dev;
mod handlers;
mod health;
mod leases;
mod limits;
mod llm;
mod messages_page;
mod messaging;
mod queue;
mod senders;
mod sources_decode;
mod sources_known_answers;
mod sources_properties;
mod sources_read;
mod sources_trust;
mod sources_verify;
mod store;
mod world;
