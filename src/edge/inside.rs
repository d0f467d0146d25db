//! What every request needs.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use crate::{
    clock::Clock,
    edge::{door::Door, limits::Limits, outlet::Outlet, peer::Peers, seal::Sealer},
    http::Http,
};

/// Shared by all requests.
pub(super) struct Inside {
    pub(super) doors: BTreeMap<String, Door>,
    pub(super) limits: Limits,
    pub(super) peers: Peers,
    pub(super) sealer: Sealer,
    pub(super) outlet: Outlet,
    pub(super) http: Http,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state_dir: PathBuf,
}
