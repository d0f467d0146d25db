//! What senders say: one file for each vendor. To add one: a file, a `mod` line, a row.

mod dynamics;
mod hubspot;
pub mod job_types;
mod jobs;
mod salesforce;
mod standard_webhooks;
mod whatsapp;

use crate::sources::contract::Vendor;

/// Every kind of sender that this release knows.
pub const VENDORS: &[Vendor] = &[
    whatsapp::VENDOR,
    hubspot::VENDOR,
    salesforce::VENDOR,
    dynamics::VENDOR,
    standard_webhooks::VENDOR,
    jobs::VENDOR,
];
