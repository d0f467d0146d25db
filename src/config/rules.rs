//! Rules that no single value can break alone.

use std::{collections::BTreeSet, time::Duration};

use tracing_subscriber::EnvFilter;

use crate::{
    config::{
        load::Loaded,
        problem::{Problem, http_url},
        secret::SecretRef,
        senders::{KeySettings, KeyState},
        settings::Settings,
    },
    domain::timestamp::Timestamp,
};

/// Names that are defined above this floor.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Vendors that a source may name.
    pub vendors: Vec<String>,
    /// Schemes that a source may name.
    pub schemes: Vec<String>,
    /// Forms that a message may have.
    pub forms: Vec<String>,
}

impl Loaded {
    /// Adds what is wrong between settings. A section that could not be read as written is not judged: its
    /// defaults stand in, and they are not what the user meant.
    pub fn check_rules(&mut self, known: &Known) {
        let section = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let broken: BTreeSet<String> = self.problems.iter().map(|problem| section(&problem.path)).collect();
        let found = self.settings.rules(known);
        self.problems.extend(found.into_iter().filter(|problem| !broken.contains(&section(&problem.path))));
    }

    /// Adds every reference to a secret that cannot be read now.
    pub fn check_secrets(&mut self) {
        for (path, secret) in self.settings.secrets() {
            let read = if path == "store.url" { secret.read_url() } else { secret.read() };
            if let Err(error) = read
                && secret.check().is_ok()
            {
                self.problems.push(Problem::new(path, error.to_string()));
            }
        }
    }
}

impl Settings {
    /// Every reference to a secret, with its path.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, &SecretRef)> {
        let mut found = vec![("store.url".to_owned(), &self.store.url)];
        found.extend(self.whatsapp.access_token.iter().map(|s| ("whatsapp.access_token".to_owned(), s)));
        for (path, key) in self.keys() {
            found.extend(key.secret.iter().map(|secret| (format!("{path}.secret"), secret)));
        }
        for (name, source) in &self.sources {
            found.extend(source.verify_token.iter().map(|s| (format!("sources.{name}.verify_token"), s)));
        }
        for (name, provider) in &self.llm.providers {
            found.extend(provider.api_key.iter().map(|s| (format!("llm.providers.{name}.api_key"), s)));
        }
        found.extend(self.webhooks.secret.iter().map(|s| ("webhooks.secret".to_owned(), s)));
        found
    }

    fn keys(&self) -> Vec<(String, &KeySettings)> {
        let seal = self.seal.keys.iter().enumerate().map(|(i, key)| (format!("seal.keys[{i}]"), &key.key));
        let sources = self.sources.iter().flat_map(|(name, source)| {
            let sets = [("keys", &source.keys), ("legacy_keys", &source.legacy_keys)];
            sets.into_iter().flat_map(move |(set, keys)| {
                keys.iter().enumerate().map(move |(i, key)| (format!("sources.{name}.{set}[{i}]"), key))
            })
        });
        seal.chain(sources).collect()
    }

    fn rules(&self, known: &Known) -> Vec<Problem> {
        let mut found = Vec::new();
        self.queue_rules(known, &mut found);
        self.worker_rules(&mut found);
        self.intake_rules(&mut found);
        self.key_rules(&mut found);
        self.seal_rules(&mut found);
        self.source_rules(known, &mut found);
        self.llm_rules(&mut found);
        self.webhook_rules(&mut found);
        self.other_rules(&mut found);
        found
    }

    /// What only the worker needs.
    #[must_use]
    pub fn worker_needs(&self) -> Vec<Problem> {
        [("queue.url", &self.queue.url), ("queue.dead_letter_url", &self.queue.dead_letter_url)]
            .into_iter()
            .filter(|(_, url)| url.is_empty())
            .map(|(path, _)| missing(path))
            .collect()
    }

    /// What only the edge needs.
    #[must_use]
    pub fn intake_needs(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.queue.url.is_empty() {
            found.push(missing("queue.url"));
        }
        if self.intake.public_url.is_none() && self.sources.values().any(|source| source.public_url.is_none())
        {
            let message =
                "is missing: requests tell the address where the edge listens, and signed URLs do not match";
            found.push(Problem::new("intake.public_url", message).warning());
        }
        found
    }

    fn queue_rules(&self, known: &Known, found: &mut Vec<Problem>) {
        let queue = &self.queue;
        let seconds = Duration::from_secs;
        for (path, url) in [
            ("queue.url", Some(&queue.url)),
            ("queue.dead_letter_url", Some(&queue.dead_letter_url)),
            ("queue.endpoint", queue.endpoint.as_ref()),
            ("objects.endpoint", self.objects.endpoint.as_ref()),
        ] {
            found.extend(url.filter(|url| !url.is_empty()).and_then(|url| http_url(path, url)));
        }
        if !queue.url.is_empty() && queue.url == queue.dead_letter_url {
            found.push(Problem::new("queue.dead_letter_url", "must not be the queue itself"));
        }
        if queue.wait > seconds(20) {
            found.push(Problem::new("queue.wait", "must be at most 20s: Amazon SQS waits no longer"));
        }
        if queue.visibility < seconds(3)
            || queue.visibility > seconds(43_200)
            || queue.visibility.subsec_nanos() != 0
        {
            found.push(Problem::new("queue.visibility", "must be whole seconds from 3s to 12h"));
        }
        if let Some(form) = queue.default_form.as_ref().filter(|form| !known.forms.contains(form)) {
            let forms = known.forms.iter().map(String::as_str);
            found.push(Problem::unknown("queue.default_form", "form", form, forms));
        }
        if let Some(source) = queue.default_source.as_ref().filter(|name| !self.sources.contains_key(*name)) {
            let sources = self.sources.keys().map(String::as_str);
            found.push(Problem::unknown("queue.default_source", "source", source, sources));
        }
    }

    fn worker_rules(&self, found: &mut Vec<Problem>) {
        let worker = &self.worker;
        let mut rule = |kept: bool, path: &str, message: &str| {
            if !kept {
                found.push(Problem::new(path, message));
            }
        };
        rule(worker.concurrency >= 1, "worker.concurrency", "must be at least 1");
        rule(worker.bytes_in_flight >= 1 << 20, "worker.bytes_in_flight", "must be at least 1048576");
        rule(worker.attempts >= 1, "worker.attempts", "must be at least 1");
        rule(!worker.handler_timeout.is_zero(), "worker.handler_timeout", "must not be 0");
        rule(!worker.backoff_initial.is_zero(), "worker.backoff_initial", "must not be 0");
        let grows = worker.backoff_initial <= worker.backoff_max;
        rule(grows, "worker.backoff_max", "must be at least worker.backoff_initial");
        let drains = worker.drain >= self.queue.wait + Duration::from_secs(5);
        rule(
            drains,
            "worker.drain",
            "must be at least queue.wait + 5s: an open receive is never thrown away",
        );
        rule(self.objects.max_bytes >= 1, "objects.max_bytes", "must be at least 1");
        rule(!self.objects.timeout.is_zero(), "objects.timeout", "must not be 0");
        rule(self.store.connections >= 1, "store.connections", "must be at least 1");
    }

    fn intake_rules(&self, found: &mut Vec<Problem>) {
        let intake = &self.intake;
        let mut rule = |kept: bool, path: &str, message: &str| {
            if !kept {
                found.push(Problem::new(path, message));
            }
        };
        let second = Duration::from_secs(1);
        rule(intake.linger <= second, "intake.linger", "must be at most 1s: the vendor waits meanwhile");
        rule(!intake.body_timeout.is_zero(), "intake.body_timeout", "must not be 0");
        rule(!intake.send_timeout.is_zero(), "intake.send_timeout", "must not be 0");
        let drains = intake.drain >= intake.send_timeout + second;
        rule(
            drains,
            "intake.drain",
            "must be at least intake.send_timeout + 1s: requests in flight wait for it",
        );
        rule(intake.max_waiting >= 1, "intake.max_waiting", "must be at least 1");
        rule(intake.max_bytes >= 1 << 20, "intake.max_bytes", "must be at least 1048576");
        rule(intake.max_connections >= 1, "intake.max_connections", "must be at least 1");
        let same = intake.listen == self.admin.listen && intake.listen.port() != 0;
        rule(!same, "intake.listen", "must not be admin.listen");
        for (path, name) in [
            ("intake.client_certificate_header", &intake.client_certificate_header),
            ("intake.client_ip_header", &intake.client_ip_header),
        ] {
            let named = name.as_ref().is_none_or(|name| is_header_name(name));
            rule(named, path, "must be the name of a header: letters, digits and `-`");
        }
        found.extend(intake.public_url.as_ref().and_then(|url| http_url("intake.public_url", url)));
    }

    fn key_rules(&self, found: &mut Vec<Problem>) {
        let mut seen = BTreeSet::new();
        for (path, key) in self.keys() {
            let set = path.split(".keys[").next().unwrap_or_default().to_owned();
            if !seen.insert((set, key.id.as_str())) {
                found.push(Problem::new(format!("{path}.id"), format!("`{}` is there twice", key.id)));
            }
            if key.secret.is_some() == key.public_key.is_some() {
                let what = if key.secret.is_some() { "both `secret` and" } else { "neither `secret` nor" };
                found.push(Problem::new(&path, format!("has {what} `public_key`")));
            }
            let mut date = |name: &str, text: &Option<String>| {
                let text = text.as_ref()?;
                let at = Timestamp::parse_rfc3339(text);
                if at.is_none() {
                    let problem = Problem::new(format!("{path}.{name}"), "is not an RFC 3339 time");
                    found.push(problem.hint("such as 2026-11-21T10:00:00Z"));
                }
                at
            };
            let (from, until) = (date("not_before", &key.not_before), date("not_after", &key.not_after));
            if from.zip(until).is_some_and(|(from, until)| from >= until) {
                found.push(Problem::new(format!("{path}.not_after"), "must be later than not_before"));
            }
        }
        for (path, secret) in self.secrets() {
            let form = if secret.0.starts_with("sqlite:") { Ok(()) } else { secret.check() };
            if let Err(error) = form {
                found.push(Problem::new(path, error.to_string()));
            }
        }
    }

    fn seal_rules(&self, found: &mut Vec<Problem>) {
        for (index, key) in self.seal.keys.iter().enumerate() {
            for name in &key.sources {
                if !matches!(name.as_str(), "*" | "wake") && !self.sources.contains_key(name) {
                    let sources = self.sources.keys().map(String::as_str);
                    found.push(Problem::unknown(
                        format!("seal.keys[{index}].sources"),
                        "source",
                        name,
                        sources,
                    ));
                }
            }
        }
        let Some(id) = &self.seal.sign_with else { return };
        match self.seal.keys.iter().find(|key| &key.key.id == id) {
            None => {
                let ids = self.seal.keys.iter().map(|key| key.key.id.as_str());
                found.push(Problem::unknown("seal.sign_with", "key", id, ids));
            }
            Some(key) if key.key.state != KeyState::Active => {
                found.push(Problem::new("seal.sign_with", format!("key `{id}` is not active")));
            }
            Some(key) if !key.sources.iter().any(|name| name == "wake") => {
                found.push(Problem::new(
                    "seal.sign_with",
                    format!("key `{id}` may not seal wakes: add `wake` to its sources"),
                ));
            }
            Some(_) => {}
        }
    }

    fn other_rules(&self, found: &mut Vec<Problem>) {
        found.extend(http_url("whatsapp.base_url", &self.whatsapp.base_url));
        if let Err(error) = EnvFilter::try_new(&self.log.filter) {
            let problem = Problem::new("log.filter", error.to_string());
            found.push(problem.hint("such as `info` or `longshore=debug,warn`"));
        }
        if !matches!(self.log.format.as_str(), "json" | "text" | "auto") {
            found.push(Problem::new("log.format", "must be json, text or auto"));
        }
        if !self.admin.listen.ip().is_loopback() {
            let problem = Problem::new("admin.listen", "health and metrics are open to other machines");
            found.push(problem.hint("they have no authentication").warning());
        }
    }
}

fn missing(path: &str) -> Problem {
    let variable = format!("LONGSHORE_{}", path.replace('.', "_").to_uppercase());
    Problem::new(path, "is missing").hint(format!("set it in the file, or as {variable}"))
}

fn is_header_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
