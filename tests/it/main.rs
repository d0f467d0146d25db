//! Integration tests: one binary, one file per story.

mod config;
mod store;
