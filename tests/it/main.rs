//! Integration tests: one binary, one file per story.

mod config;
//! The integration tests, one binary.

mod store;
