//! store/postgres.
