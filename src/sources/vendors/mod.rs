//! What senders say: one file for each vendor. To add one: a file, a `mod` line, a row.

mod clerk;
mod cloudevents;
mod dynamics;
mod eventbridge;
mod generic;
mod gohighlevel;
mod hubspot;
pub mod job_types;
mod jobs;
mod pipedrive;
mod s3;
mod salesforce;
mod sendgrid;
mod standard_webhooks;
mod twilio;
mod whatsapp;

use crate::sources::contract::Vendor;

/// Every kind of sender that this release knows.
pub const VENDORS: &[Vendor] = &[
    whatsapp::VENDOR,
    hubspot::VENDOR,
    gohighlevel::VENDOR,
    pipedrive::VENDOR,
    clerk::VENDOR,
    twilio::VENDOR,
    sendgrid::VENDOR,
    generic::VENDOR,
    cloudevents::VENDOR,
    eventbridge::VENDOR,
    s3::VENDOR,
    salesforce::VENDOR,
    dynamics::VENDOR,
    standard_webhooks::VENDOR,
    jobs::VENDOR,
];
