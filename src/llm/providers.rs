//! The table of providers: from settings to routes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::{LlmSettings, ProviderKind, ProviderSettings},
    http::Http,
    llm::{
        contract::Provider,
        openai::{DEFAULT_BASE, OpenAi},
        pricing::PriceError,
        rules::{self, Rules},
    },
    retry::RetryPolicy,
};

/// The name under which `rules` is always there.
const RULES: &str = "rules";
/// OpenAI's cheapest that keeps strict schemas.
const DEFAULT_MODEL: &str = "gpt-6-luna";
/// Longest own backoff between two calls of one step; what takes longer is waited for outside.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// The LLM settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A provider's settings are wrong.
    #[error("llm.providers.{0}: {1}")]
    Provider(String, String),
    /// A name that no provider has.
    #[error("{0} names the LLM provider `{1}`, which is not configured")]
    NoSuchProvider(String, String),
    /// The price table is wrong.
    #[error(transparent)]
    Prices(#[from] PriceError),
}

/// A provider and how it is asked.
pub struct Route {
    /// `openai`, `rules`: in ledger and metrics.
    pub kind: &'static str,
    /// The model asked.
    pub model: String,
    /// The whole call.
    pub timeout: Duration,
    /// Calls of one step within one attempt of the event.
    pub attempts: u32,
    /// Waits between them.
    pub policy: RetryPolicy,
    /// Costs nothing, whatever the price table says.
    pub free: bool,
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
}

/// Routes by the names that the settings give them; `rules` is always among them.
///
/// # Errors
/// When a provider's settings are wrong or the default names none.
pub fn routes(settings: &LlmSettings, http: &Http) -> Result<BTreeMap<String, Arc<Route>>, SetupError> {
    let mut routes = BTreeMap::from([(RULES.to_owned(), Arc::new(free_rules(1)))]);
    for (name, provider) in &settings.providers {
        let route = route(provider, http).map_err(|what| SetupError::Provider(name.clone(), what))?;
        routes.insert(name.clone(), Arc::new(route));
    }
    if !routes.contains_key(&settings.default) {
        return Err(SetupError::NoSuchProvider("llm.default".to_owned(), settings.default.clone()));
    }
    Ok(routes)
}

fn route(settings: &ProviderSettings, http: &Http) -> Result<Route, String> {
    match settings.kind {
        ProviderKind::Rules => Ok(free_rules(settings.attempts)),
        ProviderKind::Openai => {
            let base = settings.base_url.as_deref().unwrap_or(DEFAULT_BASE);
            Ok(Route {
                kind: "openai",
                model: settings.model.clone().unwrap_or_else(|| DEFAULT_MODEL.to_owned()),
                timeout: settings.timeout,
                attempts: settings.attempts.max(1),
                policy: RetryPolicy::new(settings.backoff, LONGEST_BACKOFF),
                free: false,
                provider: Arc::new(OpenAi::new(http.clone(), base, settings.api_key.clone())?),
            })
        }
    }
}

fn free_rules(attempts: u32) -> Route {
    Route {
        kind: RULES,
        model: rules::MODEL.to_owned(),
        timeout: Duration::from_secs(1),
        attempts: attempts.max(1),
        policy: RetryPolicy::new(Duration::from_millis(1), Duration::from_millis(1)),
        free: true,
        provider: Arc::new(Rules),
    }
}
