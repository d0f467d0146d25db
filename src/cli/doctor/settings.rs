//! The settings: what is wrong with them, secrets that cannot be read, and times that do not fit together.

use std::path::Path;

use secrecy::ExposeSecret as _;

use crate::{
    cli::doctor::finding::Finding,
    config::{Loaded, Problem, ProviderKind, Settings, Severity},
    signature::Key,
};

/// All of it.
pub(super) fn check(file: Option<&Path>, loaded: &Loaded) -> Vec<Finding> {
    let settings = &loaded.settings;
    let mut found: Vec<Finding> = loaded.problems.iter().map(finding).collect();
    found.extend(settings.worker_needs().iter().map(finding));
    if found.is_empty() {
        let file =
            file.map_or_else(|| "no file, defaults only".to_owned(), |file| file.display().to_string());
        found.push(Finding::ok("configuration", file));
    }
    found.extend(secrets(settings));
    found.extend(webhooks(settings));
    found.extend(times(settings));
    found.extend(routes(settings));
    found
}

/// A problem of the settings as a line.
pub(super) fn finding(problem: &Problem) -> Finding {
    let detail = format!("{}: {}", problem.path, problem.message);
    let hint =
        problem.hint.as_deref().unwrap_or("`longshore config template --reference` explains every setting");
    match problem.severity {
        Severity::Error => Finding::fail("configuration", detail, hint),
        Severity::Warning => Finding::warn("configuration", detail, hint),
    }
}

fn secrets(settings: &Settings) -> Vec<Finding> {
    let secrets = settings.secrets();
    let hint = "put it where the reference says, readable by this user only";
    let unread: Vec<Finding> = secrets
        .iter()
        .filter_map(|(path, secret)| Some((path, secret.read_url().err()?)))
        .map(|(path, error)| Finding::fail("secrets", format!("{path}: {error}"), hint))
        .collect();
    if unread.is_empty() {
        return vec![Finding::ok("secrets", format!("{} can be read", secrets.len()))];
    }
    unread
}

/// Can what we send be signed?
fn webhooks(settings: &Settings) -> Option<Finding> {
    let webhooks = &settings.webhooks;
    let used = webhooks.alert_url.is_some() || !webhooks.callbacks.is_empty();
    let hint = "make one with `openssl rand -base64 32`, and give it to the receiver";
    let Some(secret) = webhooks.secret.as_ref() else {
        return used.then(|| Finding::fail("webhooks", "webhooks.secret is missing", hint));
    };
    // That it cannot be read is told among the secrets.
    let secret = secret.read().ok()?;
    let able = Key::parse(secret.expose_secret()).ok().and_then(|key| key.sign("doctor", "0", b""));
    Some(match able {
        None => Finding::fail("webhooks", "webhooks.secret is not a key that signs (`whsec_...`)", hint),
        Some(_) if webhooks.alert_url.is_none() => Finding::warn(
            "webhooks",
            "no alert_url: budgets and models that go down are counted and logged only",
            "set webhooks.alert_url",
        ),
        Some(_) => Finding::ok("webhooks", format!("signed with `{}`", webhooks.key_id)),
    })
}

/// Times that contradict each other.
fn times(settings: &Settings) -> Vec<Finding> {
    let handler = settings.worker.handler_timeout;
    let slow = settings
        .llm
        .providers
        .iter()
        .filter(|(_, provider)| provider.kind != ProviderKind::Rules && provider.timeout >= handler);
    let mut found: Vec<Finding> = slow
        .map(|(name, provider)| {
            let detail =
                format!("a call to `{name}` may take {:?}, its handler only {handler:?}", provider.timeout);
            Finding::warn(
                "times",
                detail,
                "worker.handler_timeout should be longer: the call is paid all the same",
            )
        })
        .collect();
    let lease = settings.queue.visibility;
    if found.is_empty() {
        let tick = settings.queue.lease_tick();
        found.push(Finding::ok("times", format!("leases of {lease:?}, extended every {tick:?}")));
    }
    found
}

/// Routes, and who is asked when nothing else is said.
fn routes(settings: &Settings) -> Vec<Finding> {
    let llm = &settings.llm;
    let mut found = vec![Finding::ok(
        "routes",
        format!("{} routes, {} models, default `{}`", llm.routes.len(), llm.providers.len(), llm.default),
    )];
    if llm.default == "rules" && llm.providers.values().any(|provider| provider.kind != ProviderKind::Rules) {
        let detail = "llm.default is `rules`: models are asked only where a prompt or a tenant names a route";
        found.push(Finding::warn("routes", detail, "set llm.default to a route or a provider"));
    }
    found
}
