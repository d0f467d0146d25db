//! What the settings of models, routes and signed requests must not contradict.

use crate::config::{
    llm::{ProviderKind, ProviderSettings},
    problem::{Problem, http_url},
    settings::Settings,
};

impl Settings {
    pub(super) fn llm_rules(&self, found: &mut Vec<Problem>) {
        for (path, name) in self.named_routes() {
            if !self.llm.providers.contains_key(name) && !self.llm.routes.contains_key(name) {
                let known = self.llm.providers.keys().chain(self.llm.routes.keys()).map(String::as_str);
                found.push(Problem::unknown(path, "route or provider", name, known));
            }
        }
        for (route, providers) in &self.llm.routes {
            let path = format!("llm.routes.{route}");
            if providers.is_empty() {
                found.push(Problem::new(&path, "names no provider"));
            }
            if self.llm.providers.contains_key(route) {
                found.push(Problem::new(&path, "is also the name of a provider"));
            }
            self.known_providers(&path, providers, found);
        }
        self.known_providers("llm.embeddings", self.llm.embeddings.as_slice(), found);
        for (name, provider) in &self.llm.providers {
            provider_rules(&format!("llm.providers.{name}"), provider, found);
        }
    }

    fn named_routes(&self) -> impl Iterator<Item = (String, &String)> {
        let tenants = self
            .tenants
            .iter()
            .filter_map(|(id, tenant)| Some((format!("tenants.{id}.llm"), tenant.llm.as_ref()?)));
        tenants.chain([("llm.default".to_owned(), &self.llm.default)])
    }

    fn known_providers(&self, path: &str, names: &[String], found: &mut Vec<Problem>) {
        let unknown = names.iter().filter(|name| !self.llm.providers.contains_key(*name));
        found.extend(unknown.map(|name| {
            Problem::unknown(path, "provider", name, self.llm.providers.keys().map(String::as_str))
        }));
    }

    pub(super) fn webhook_rules(&self, found: &mut Vec<Problem>) {
        let webhooks = &self.webhooks;
        found.extend(webhooks.alert_url.as_ref().and_then(|url| http_url("webhooks.alert_url", url)));
        found.extend(webhooks.callbacks.iter().filter_map(|url| http_url("webhooks.callbacks", url)));
        let used = webhooks.alert_url.is_some() || !webhooks.callbacks.is_empty();
        if used && webhooks.secret.is_none() {
            let problem = Problem::new("webhooks.secret", "is missing");
            found.push(
                problem.hint("alerts and callbacks are signed; make one with `openssl rand -base64 32`"),
            );
        }
    }
}

fn provider_rules(path: &str, provider: &ProviderSettings, found: &mut Vec<Problem>) {
    found.extend(provider.base_url.as_ref().and_then(|url| http_url(&format!("{path}.base_url"), url)));
    let mut wrong = |name: &str, what: &str| found.push(Problem::new(format!("{path}.{name}"), what));
    let positive = [
        ("attempts", Some(provider.attempts)),
        ("concurrency", Some(provider.concurrency)),
        ("breaker_failures", Some(provider.breaker_failures)),
        ("requests_per_minute", provider.requests_per_minute),
        ("tokens_per_minute", provider.tokens_per_minute),
        ("context", provider.context),
        ("max_output", provider.max_output),
    ];
    for (name, _) in positive.into_iter().filter(|(_, value)| *value == Some(0)) {
        wrong(name, "must be at least 1");
    }
    if provider.temperature.is_some_and(|degree| !(0.0..=2.0).contains(&degree)) {
        wrong("temperature", "must be between 0 and 2");
    }
    if provider.kind == ProviderKind::Rules {
        return;
    }
    if provider.model.is_none() {
        wrong("model", "is missing");
    }
    // Bedrock goes by the AWS credentials of the machine.
    if provider.api_key.is_none() && provider.base_url.is_none() && provider.kind != ProviderKind::Bedrock {
        let problem = Problem::new(format!("{path}.api_key"), "is missing");
        found.push(problem.hint("only a server of your own (`base_url`) goes without"));
    }
}
