//! Reaching people: one contract, one file per channel. Reaching our own systems: signed requests.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::Settings,
    domain::event::Channel,
    http::Http,
    messaging::{contract::ChannelSender, whatsapp::Whatsapp},
};

pub mod callback;
pub mod contract;
mod pressure;
pub mod webhook;
pub mod whatsapp;
mod whatsapp_error;

/// The table of channels.
///
/// # Errors
/// When a channel's settings make no sense; the text names the setting.
pub fn channels(
    settings: &Settings,
    http: &Http,
) -> Result<BTreeMap<Channel, Arc<dyn ChannelSender>>, String> {
    let whatsapp = Whatsapp::new(&settings.whatsapp, http.clone())?;
    Ok(BTreeMap::from([(Channel::Whatsapp, Arc::new(whatsapp) as Arc<dyn ChannelSender>)]))
}
