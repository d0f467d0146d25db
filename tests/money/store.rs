//! The quick suite's way to a fresh namespace of the throwaway PostgreSQL.

#[expect(dead_code, reason = "the quick suite uses all of it")]
#[path = "../it/store/harness.rs"]
pub(crate) mod harness;
