//! The worker dies, again and again, and nothing is lost or done twice.
//!
//! Every test ends with the same judge, which knows what was sent and believes only the tables and the
//! stand-in's log.

mod points;
mod random;
mod traffic;
