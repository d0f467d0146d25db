//! From a delivery to the proof of its sender, in one column: each step takes what only the one before it makes, so
//! that nothing is fetched for an envelope before its seal, and nothing believed before its signature.

use crate::{
    domain::delivery::Delivery,
    sources::{
        decode::{decode, load},
        objects::Objects,
        opened::{complete, open},
        rejection::Rejection,
        senders::Senders,
        verified::{Checked, verify},
    },
};

/// Who sent it, proved.
///
/// # Errors
/// The reasons of each step; those of the class `Defer` are our fault, and the message should come back.
pub async fn prove(delivery: &Delivery, senders: &Senders, objects: &Objects) -> Result<Checked, Rejection> {
    let loaded = load(delivery, objects).await?;
    let envelope = decode(&loaded, senders.defaults())?;
    let opened = open(envelope, senders)?;
    let complete = complete(opened, senders, objects).await?;
    verify(complete, senders)
}
