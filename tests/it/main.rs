//! Integration tests: one binary, one file per story.

mod config;
mod crash;
mod senders;
mod sources_decode;
mod sources_known_answers;
mod sources_properties;
mod sources_read;
mod sources_trust;
mod sources_verify;
mod store;
mod world;
