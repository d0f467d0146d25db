//! store/sqlite.
