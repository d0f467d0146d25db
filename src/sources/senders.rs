//! The configured senders: each source's settings joined with its vendor and its scheme.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::{SealKeySettings, SealSettings, SourceSettings},
    domain::{envelope::AwsMessage, ids::SourceName, reason::Reason},
    sources::{
        contract::{Scheme, Vendor},
        decode::Defaults,
        rejection::Fault,
        schemes::SCHEMES,
        vendors::VENDORS,
    },
};

/// All configured senders.
#[derive(Debug)]
pub struct Senders {
    pub(super) seal_keys: Vec<SealKeySettings>,
    sources: BTreeMap<String, Arc<Sender>>,
    defaults: Defaults,
}

/// One configured sender.
#[derive(Debug)]
pub struct Sender {
    /// What its bodies say.
    pub vendor: &'static Vendor,
    /// How it is proved.
    pub scheme: &'static Scheme,
    /// Its section of the configuration.
    pub settings: SourceSettings,
    pub(super) drills: bool,
}

/// A source of the configuration names something that is not in the tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name}: {what}; known are {known}")]
pub struct UnknownSender {
    source_name: String,
    what: String,
    known: String,
}

impl Senders {
    /// Joins configured senders with the tables. `drills`: are rehearsals allowed?
    ///
    /// # Errors
    /// When a source names a vendor or a scheme that is not in the tables.
    pub fn new(
        seal: &SealSettings,
        configured: &BTreeMap<String, SourceSettings>,
        (drills, defaults): (bool, Defaults),
    ) -> Result<Self, UnknownSender> {
        let mut sources = BTreeMap::new();
        for (name, settings) in configured {
            let (vendor, scheme) = rows(settings).map_err(|(what, known)| UnknownSender {
                source_name: name.clone(),
                what,
                known: known.join(", "),
            })?;
            sources.insert(
                name.clone(),
                Arc::new(Sender { vendor, scheme, settings: settings.clone(), drills }),
            );
        }
        Ok(Self { seal_keys: seal.keys.clone(), sources, defaults })
    }

    /// What the queue's configuration says about messages without attributes.
    #[must_use]
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// The sender of this name.
    #[must_use]
    pub fn get(&self, source: &str) -> Option<&Arc<Sender>> {
        self.sources.get(source)
    }

    /// Whose message of an AWS service it is: the named sender's, else the one's that claims where it came from, the
    /// innermost envelope first and the longest pattern first, else the queue's default.
    pub(super) fn source_of(&self, sent: &AwsMessage) -> Result<SourceName, Fault> {
        let claimed = || sent.origins.iter().find_map(|origin| self.claiming(origin));
        let default = || self.defaults.source.clone().map(SourceName);
        let unknown =
            || (Reason::UnknownSource, "no source claims where it came from by `origins`".to_owned());
        sent.source.clone().or_else(claimed).or_else(default).ok_or_else(unknown)
    }

    fn claiming(&self, origin: &str) -> Option<SourceName> {
        let claims = self.sources.iter().flat_map(|(name, sender)| {
            let matching = sender.settings.origins.iter().filter(|pattern| is_origin(pattern, origin));
            matching.map(move |pattern| (pattern.len(), name))
        });
        claims.max_by_key(|(length, _)| *length).map(|(_, name)| SourceName(name.clone()))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sender)> {
        self.sources.iter().map(|(name, sender)| (name.as_str(), &**sender))
    }

    pub(super) fn find(&self, source: &SourceName) -> Result<&Arc<Sender>, Fault> {
        let unknown = || (Reason::UnknownSource, "no source of this name is configured".to_owned());
        self.get(source.as_str()).ok_or_else(unknown)
    }
}

/// A `*` at the end of a pattern stands for any rest.
fn is_origin(pattern: &str, origin: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => origin.starts_with(start),
        None => pattern == origin,
    }
}

/// The vendor that a source names, and its scheme: the configured one, else the vendor's own. On failure: what is
/// wrong, and what there is.
fn rows(
    settings: &SourceSettings,
) -> Result<(&'static Vendor, &'static Scheme), (String, Vec<&'static str>)> {
    let vendor = VENDORS.iter().find(|row| row.name == settings.vendor).ok_or_else(|| {
        (format!("unknown vendor `{}`", settings.vendor), VENDORS.iter().map(|row| row.name).collect())
    })?;
    let schemes = || SCHEMES.iter().map(|row| row.name).collect();
    let name = settings
        .scheme
        .as_deref()
        .or(vendor.scheme)
        .ok_or_else(|| (format!("vendor `{}` needs a `scheme`", vendor.name), schemes()))?;
    let scheme = SCHEMES
        .iter()
        .find(|row| row.name == name)
        .ok_or_else(|| (format!("unknown scheme `{name}`"), schemes()))?;
    Ok((vendor, scheme))
}
