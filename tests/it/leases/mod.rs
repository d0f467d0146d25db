//! Whose work is whose: a worker that was away commits nothing, one that stops leaves nothing behind, and
//! long work keeps its lease.

mod away;
mod long_work;
mod stopping;
