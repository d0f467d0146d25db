//! Who sends us what, and how that is proved: `Delivery` -> `Envelope` -> `Verified` -> events.
//!
//! The types make another order of the steps fail to compile ([`prove`](prove::prove) is the column of the first ones):
//! only [`decode`](decode::decode) makes an envelope, only [`verify`](verified::verify) a `Verified`, and only
//! [`read`](read::read) makes events from one.

pub mod contract;
pub mod decode;
mod exact_json;
mod fields;
mod freshness;
mod gzip;
pub mod inspect;
mod keys;
pub mod objects;
pub mod opened;
pub mod prove;
mod public_key;
pub mod read;
mod records;
pub mod rejection;
pub mod schemes;
pub mod senders;
pub mod sign;
mod soap;
mod unique_json;
mod usual;
pub mod vendors;
pub mod verified;
mod xml;

use crate::{
    config::{Settings, Trust},
    sources::{
        contract::{Scheme, Vendor},
        decode::Defaults,
        schemes::SCHEMES,
        senders::{Senders, UnknownSender},
        vendors::VENDORS,
    },
};

/// The configured senders, joined with the tables.
///
/// # Errors
/// When a source names a vendor or a scheme that is not in the tables.
pub fn senders(settings: &Settings) -> Result<Senders, UnknownSender> {
    let (form, source) = (settings.queue.default_form.clone(), settings.queue.default_source.clone());
    let trusted = settings.queue.trust == Some(Trust::Queue);
    let how = (settings.worker.drills, Defaults { form, source, trusted });
    Senders::new(&settings.seal, &settings.sources, how)
}

/// The vendor of this name.
#[must_use]
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|row| row.name == name)
}

/// The scheme of this name.
#[must_use]
pub fn scheme(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|row| row.name == name)
}
