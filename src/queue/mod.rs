//! Amazon SQS, and the server of our own that speaks its protocol.

pub mod clients;
pub mod contract;
pub mod local;
mod refusal;
pub mod sqs;
