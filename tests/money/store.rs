//! The quick suite's way to a fresh namespace of the throwaway PostgreSQL.

#[expect(dead_code, unused_imports, reason = "the quick suite uses all of it")]
#[path = "../it/store/harness.rs"]
pub(crate) mod harness;
#[expect(dead_code, reason = "the quick suite uses it")]
#[path = "../it/store/without_schema.rs"]
mod without_schema;
