//! How senders are proved: one file for each construction. To add a scheme: a file, a `mod` line, a row.

mod gohighlevel;
mod hubspot;
pub(super) mod longshore;
mod meta;
mod queue;
mod salesforce_outbound_message;
mod sendgrid;
mod sns;
mod standard_webhooks;
mod telnyx;
mod vonage_jwt;

use crate::sources::contract::Scheme;

/// Every way to prove a sender that this release knows.
pub const SCHEMES: &[Scheme] = &[
    meta::SCHEME,
    hubspot::V3,
    standard_webhooks::SCHEME,
    longshore::SCHEME,
    gohighlevel::SCHEME,
    telnyx::SCHEME,
    sendgrid::SCHEME,
    vonage_jwt::SCHEME,
    sns::SCHEME,
    salesforce_outbound_message::SCHEME,
    queue::SCHEME,
];
