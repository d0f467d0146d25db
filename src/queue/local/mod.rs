//! queue/local.
