//! SQS client.
