//! The words that every floor above shares: what arrives, what it means, what became of it. No I/O.

pub mod budget;
pub mod call;
pub mod command;
pub mod data_subject;
pub mod dead_letter;
pub mod delivery;
pub mod envelope;
pub mod event;
pub mod ids;
pub mod job;
pub mod money;
pub mod outcome;
pub mod rate;
pub mod reason;
pub mod record;
pub mod salesforce_id;
pub mod timestamp;
pub mod usage;
