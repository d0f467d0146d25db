//! From settings to models that can be asked, and to routes, the orders in which they are asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{LlmSettings, ProviderKind, ProviderSettings, TenantSettings},
    domain::ids::{TenantId, sha256_hex},
    http::Http,
    llm::{
        contract::Provider,
        vendors::{self, rules},
    },
    retry::RetryPolicy,
};

/// The name under which `rules` is always there.
pub const RULES: &str = "rules";
/// Longest own backoff between two calls of one step; what takes longer is waited for outside.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// The LLM settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A provider's settings are wrong.
    #[error("llm.providers.{0}: {1}")]
    Provider(String, String),
    /// A name that no route and no provider has.
    #[error("{0} names `{1}`, which is neither a route nor a provider")]
    NoSuchRoute(String, String),
}

/// One model behind one credential, and how it is asked.
pub struct Model {
    /// Its name in the settings.
    pub name: String,
    /// `openai`, `rules` ...: in ledger and metrics.
    pub kind: &'static str,
    /// The model asked.
    pub model: String,
    /// Names the credential and the model in limits that are shared: a hash, so that nothing of the key is told.
    pub bucket: String,
    /// Its settings.
    pub settings: ProviderSettings,
    /// Waits between its attempts.
    pub policy: RetryPolicy,
    /// Costs nothing, whatever the price table says.
    pub free: bool,
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
}

impl Model {
    /// The model that these settings describe.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(name: &str, settings: &ProviderSettings, http: &Http) -> Result<Self, String> {
        let free = settings.kind == ProviderKind::Rules;
        let model = match &settings.model {
            _ if free => rules::MODEL.to_owned(),
            Some(model) => model.clone(),
            None => return Err("no model is named".to_owned()),
        };
        let key = settings.api_key.as_ref().map_or("", |key| key.shown());
        let base = settings.base_url.as_deref().unwrap_or_default();
        let parts = [settings.kind.name(), base, key, &model].map(str::as_bytes);
        Ok(Self {
            name: name.to_owned(),
            kind: settings.kind.name(),
            bucket: sha256_hex(&parts).chars().take(16).collect(),
            model,
            settings: settings.clone(),
            policy: RetryPolicy::new(settings.backoff, LONGEST_BACKOFF),
            free,
            provider: vendors::provider(settings, http)?,
        })
    }
}

/// All models and routes of one configuration.
pub struct Models {
    models: BTreeMap<String, Arc<Model>>,
    routes: BTreeMap<String, Vec<Arc<Model>>>,
    tenants: BTreeMap<String, String>,
    default: String,
}

impl Models {
    /// `rules` is always among them.
    ///
    /// # Errors
    /// When a provider's settings are wrong or a name leads nowhere.
    pub fn new(
        settings: &LlmSettings,
        tenants: &BTreeMap<String, TenantSettings>,
        http: &Http,
    ) -> Result<Self, SetupError> {
        let mut models = BTreeMap::new();
        for (name, provider) in &settings.providers {
            let wrong = |what| SetupError::Provider(name.clone(), what);
            models.insert(name.clone(), Arc::new(Model::new(name, provider, http).map_err(wrong)?));
        }
        if !models.contains_key(RULES) {
            let wrong = |what: String| SetupError::Provider(RULES.to_owned(), what);
            let own =
                ProviderSettings::of_kind(ProviderKind::Rules).map_err(|error| wrong(error.to_string()))?;
            models.insert(RULES.to_owned(), Arc::new(Model::new(RULES, &own, http).map_err(wrong)?));
        }
        let mut routes: BTreeMap<_, _> =
            models.iter().map(|(name, model)| (name.clone(), vec![Arc::clone(model)])).collect();
        for (route, names) in &settings.routes {
            let find = |name: &String| {
                let lost = || SetupError::NoSuchRoute(format!("llm.routes.{route}"), name.clone());
                models.get(name).cloned().ok_or_else(lost)
            };
            routes.insert(route.clone(), names.iter().map(find).collect::<Result<_, _>>()?);
        }
        let tenants: BTreeMap<String, String> =
            tenants.iter().filter_map(|(tenant, own)| Some((tenant.clone(), own.llm.clone()?))).collect();
        let named = tenants.iter().map(|(tenant, name)| (format!("tenants.{tenant}.llm"), name));
        for (path, name) in named.chain([("llm.default".to_owned(), &settings.default)]) {
            if !routes.contains_key(name) {
                return Err(SetupError::NoSuchRoute(path, name.clone()));
            }
        }
        Ok(Self { models, routes, tenants, default: settings.default.clone() })
    }

    /// The same, with one model asked of another provider: one's own.
    #[must_use]
    pub fn with_provider(mut self, name: &str, provider: &Arc<dyn Provider>) -> Self {
        let own = |model: &mut Arc<Model>| {
            if model.name == name {
                let settings = model.settings.clone();
                *model = Arc::new(Model {
                    name: model.name.clone(),
                    kind: model.kind,
                    model: model.model.clone(),
                    bucket: model.bucket.clone(),
                    policy: model.policy,
                    free: model.free,
                    settings,
                    provider: Arc::clone(provider),
                });
            }
        };
        self.models.values_mut().for_each(own);
        self.routes.values_mut().flatten().for_each(own);
        self
    }

    /// The models to ask, in order: the tenant's route, else the prompt's where it is configured, else the default.
    #[must_use]
    pub fn route(&self, tenant: &TenantId, wanted: Option<&str>) -> &[Arc<Model>] {
        let names = [self.tenants.get(tenant.as_str()).map(String::as_str), wanted, Some(&self.default)];
        names.into_iter().flatten().find_map(|name| self.routes.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The model of this name in the settings.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }
}
