//! Amazon SQS, and the server of our own that speaks its protocol.

pub mod contract;
pub mod local;
pub mod sqs;
