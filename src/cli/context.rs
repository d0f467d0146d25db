//! What commands have in common: the settings and the store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    app::open_current_store,
    config::{self, Known, Loaded, Problems, Settings, environment_variable},
    queue::sqs::SqsQueue,
    sources::{decode, schemes::SCHEMES, vendors::VENDORS},
    store::contract::Store,
};

/// The file that is read when none is named.
const USUAL_FILE: &str = "longshore.toml";

/// How a command finds its settings.
pub(super) struct Context {
    file: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(named: Option<PathBuf>) -> Self {
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|file| file.exists());
        let variable = environment_variable("LONGSHORE_CONFIG").filter(|file| !file.is_empty());
        Self { file: named.or_else(|| variable.map(PathBuf::from)).or_else(usual) }
    }

    /// The file in use, if any.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The settings with everything that is wrong with them, secrets apart.
    pub(super) fn loaded(&self) -> Result<Loaded, Problems> {
        let mut loaded = config::from_file(self.file())?;
        loaded.check_rules(&Known {
            vendors: VENDORS.iter().map(|row| row.name.to_owned()).collect(),
            schemes: SCHEMES.iter().map(|row| row.name.to_owned()).collect(),
            forms: decode::FORMS.map(str::to_owned).to_vec(),
        });
        Ok(loaded)
    }

    /// The settings, when they can be used.
    pub(super) fn settings(&self) -> Result<Settings, Problems> {
        self.loaded()?.into_settings()
    }

    /// The store, when its schema is current.
    pub(super) async fn store(&self) -> anyhow::Result<Arc<dyn Store>> {
        open_current_store(&self.settings()?).await
    }
}

/// The queue to work, for sending.
pub(super) async fn queue(settings: &Settings) -> Result<SqsQueue, Problems> {
    let missing: Vec<_> =
        settings.worker_needs().into_iter().filter(|problem| problem.path == "queue.url").collect();
    if missing.is_empty() {
        Ok(SqsQueue::connect(&settings.queue, &settings.queue.url).await)
    } else {
        Err(Problems(missing))
    }
}

/// Who gives an order, for the audit log.
pub(super) fn actor(named: Option<String>) -> String {
    named.or_else(|| environment_variable("USER")).unwrap_or_else(|| "cli".to_owned())
}
