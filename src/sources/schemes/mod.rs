//! How senders are proved: one file for each construction. To add a scheme: a file, a `mod` line, a row.

mod hubspot;
pub(super) mod longshore;
mod meta;
mod standard_webhooks;

use crate::sources::contract::Scheme;

/// Every way to prove a sender that this release knows.
pub const SCHEMES: &[Scheme] = &[meta::SCHEME, hubspot::V3, standard_webhooks::SCHEME, longshore::SCHEME];
