//! How senders are proved: one file for each construction. To add a scheme: a file, a `mod` line, a row.

mod basic_auth;
mod dataverse;
mod form;
mod gohighlevel;
mod hubspot;
pub(super) mod longshore;
mod mandrill;
mod meta;
mod queue;
mod salesforce_hmac;
mod salesforce_outbound_message;
mod sendgrid;
mod slack;
mod sns;
mod standard_webhooks;
mod stripe;
mod telnyx;
mod twilio;
mod vonage_jwt;

use crate::sources::contract::Scheme;

/// Every way to prove a sender that this release knows.
pub const SCHEMES: &[Scheme] = &[
    meta::SCHEME,
    hubspot::V1,
    hubspot::V2,
    hubspot::V3,
    gohighlevel::SCHEME,
    standard_webhooks::STANDARD,
    standard_webhooks::SVIX,
    longshore::SCHEME,
    twilio::SCHEME,
    telnyx::SCHEME,
    vonage_jwt::SCHEME,
    basic_auth::SCHEME,
    dataverse::SCHEME,
    sendgrid::SCHEME,
    mandrill::SCHEME,
    stripe::SCHEME,
    slack::SCHEME,
    sns::SCHEME,
    salesforce_hmac::ENS,
    salesforce_hmac::DATACLOUD,
    salesforce_outbound_message::SCHEME,
    queue::SCHEME,
];
