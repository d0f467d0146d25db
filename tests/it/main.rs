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
mod doctor;
mod edge;
mod flows;
mod forms;
mod fuzz_corpus;
mod handlers;
mod health;
mod leases;
mod limits;
mod llm;
mod messages_page;
mod messaging;
mod money_commands;
mod ordered_work;
mod queue;
mod schemes_roundtrip;
mod schemes_vectors;
mod senders;
mod sources_asymmetric;
mod sources_configured;
mod sources_crms;
mod sources_decode;
mod sources_hostile;
mod sources_hubspot;
mod sources_known_answers;
mod sources_properties;
mod sources_read;
mod sources_sendgrid;
mod sources_trust;
mod sources_twilio;
mod sources_verify;
mod sources_whatsapp;
mod store;
mod stories;
mod taking_apart;
mod webhooks;
mod world;
