//! Amazon SQS, and the server of our own that speaks its protocol.

pub mod contract;
