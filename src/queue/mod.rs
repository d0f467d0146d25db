//! Amazon SQS, the server of our own that speaks its protocol, and the store of bodies too large for either.

pub mod clients;
pub mod contract;
pub mod local;
pub mod objects;
mod refusal;
pub mod s3;
pub mod sqs;
