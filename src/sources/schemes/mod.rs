//! How senders are proved: one file for each construction. To add a scheme: a file, a `mod` line, a row.

mod basic_auth;
mod dataverse;
mod form;
mod hubspot;
pub(super) mod longshore;
mod mandrill;
mod meta;
mod queue;
mod salesforce_hmac;
mod slack;
mod standard_webhooks;
mod stripe;
mod twilio;

use crate::sources::contract::Scheme;

/// Every way to prove a sender that this release knows.
pub const SCHEMES: &[Scheme] = &[
    meta::SCHEME,
    hubspot::V1,
    hubspot::V2,
    hubspot::V3,
    standard_webhooks::STANDARD,
    standard_webhooks::SVIX,
    longshore::SCHEME,
    stripe::SCHEME,
    slack::SCHEME,
    salesforce_hmac::ENS,
    salesforce_hmac::DATACLOUD,
    twilio::SCHEME,
    mandrill::SCHEME,
    basic_auth::SCHEME,
    dataverse::SCHEME,
    queue::SCHEME,
];
