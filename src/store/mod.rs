//! What is remembered: one contract of business verbs, two databases behind it.

pub mod contract;
pub mod report;
