//! Who sends us what, and how that is proved: `Delivery` -> `Envelope` -> `Verified` -> events.
//!
//! The types make another order of the steps fail to compile: only [`decode`](decode::decode) makes an envelope,
//! only [`verify`](verified::verify) a `Verified`, and only [`read`](read::read) makes events from one.

pub mod contract;
pub mod decode;
mod fields;
mod freshness;
mod hubspot;
pub mod job_types;
mod jobs;
mod keys;
mod longshore;
pub mod read;
pub mod rejection;
pub mod sign;
mod signature;
mod standard_webhooks;
pub mod verified;
mod whatsapp;

use crate::{
    config::Settings,
    sources::{
        contract::Vendor,
        decode::Defaults,
        verified::{Senders, UnknownVendor},
    },
};

/// Every kind of sender that this release knows.
pub const SOURCES: &[Vendor] = &[whatsapp::VENDOR, hubspot::VENDOR, standard_webhooks::VENDOR, jobs::VENDOR];

/// The configured senders, joined with the table.
///
/// # Errors
/// When a source names a vendor that is not in the table.
pub fn senders(settings: &Settings) -> Result<Senders, UnknownVendor> {
    let (form, source) = (settings.queue.default_form.clone(), settings.queue.default_source.clone());
    let how = (settings.worker.drills, Defaults { form, source });
    Senders::new(&settings.seal, &settings.sources, how, SOURCES)
}

/// The row of this name.
#[must_use]
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    SOURCES.iter().find(|row| row.name == name)
}
