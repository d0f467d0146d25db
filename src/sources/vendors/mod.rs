//! What senders say: one file for each vendor. To add one: a file, a `mod` line, a row.

mod clerk;
mod dynamics;
mod gohighlevel;
mod hubspot;
pub mod job_types;
mod jobs;
mod pipedrive;
mod salesforce;
mod standard_webhooks;
mod whatsapp;

use crate::sources::contract::Vendor;

/// Every kind of sender that this release knows.
pub const VENDORS: &[Vendor] = &[
    whatsapp::VENDOR,
    hubspot::VENDOR,
    salesforce::VENDOR,
    gohighlevel::VENDOR,
    pipedrive::VENDOR,
    dynamics::VENDOR,
    clerk::VENDOR,
    standard_webhooks::VENDOR,
    jobs::VENDOR,
];
