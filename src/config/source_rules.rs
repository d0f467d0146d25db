//! What a source's settings must not contradict.

use crate::{
    config::{
        problem::{Problem, http_url},
        rules::Known,
        senders::SourceSettings,
        settings::Settings,
    },
    domain::timestamp::Timestamp,
};

impl Settings {
    pub(super) fn source_rules(&self, known: &Known, found: &mut Vec<Problem>) {
        for (name, source) in &self.sources {
            let path = format!("sources.{name}");
            if !known.vendors.contains(&source.vendor) {
                let vendors = known.vendors.iter().map(String::as_str);
                found.push(Problem::unknown(format!("{path}.vendor"), "vendor", &source.vendor, vendors));
            }
            if let Some(scheme) = source.scheme.as_ref().filter(|scheme| !known.schemes.contains(scheme)) {
                let schemes = known.schemes.iter().map(String::as_str);
                found.push(Problem::unknown(format!("{path}.scheme"), "scheme", scheme, schemes));
            }
            let by_policy = source.scheme.as_deref() == Some("queue");
            if by_policy && self.queue.trust.is_none() {
                let problem =
                    Problem::new(format!("{path}.scheme"), "counts only on a queue with `trust = \"queue\"`");
                found.push(problem.hint("here all its messages become dead letters").warning());
            }
            let shows_itself = by_policy || self.queue.trust.is_some() || !source.organization_ids.is_empty();
            if source.keys.is_empty() && !shows_itself {
                let problem =
                    Problem::new(format!("{path}.keys"), "no key: all its messages become dead letters");
                found.push(problem.warning());
            }
            if source.tenant.is_none() && source.accounts.is_empty() {
                let problem =
                    Problem::new(format!("{path}.tenant"), "neither `tenant` nor `accounts` is set");
                found.push(problem.hint("its events become dead letters (`tenant_unknown`)").warning());
            }
            if source.max_body == 0 {
                found.push(Problem::new(format!("{path}.max_body"), "must not be 0"));
            }
            proof_rules(&path, source, found);
            field_rules(&format!("{path}.fields"), source, found);
            if source.credential_place().is_none() {
                let path = format!("{path}.credential_in");
                found.push(Problem::new(path, "must be `header:NAME` or `query:NAME`"));
            }
            found.extend(
                source.public_url.as_ref().and_then(|url| http_url(&format!("{path}.public_url"), url)),
            );
        }
    }
}

/// What single schemes need.
fn proof_rules(path: &str, source: &SourceSettings, found: &mut Vec<Problem>) {
    let mut wrong = |name: &str, message: &str, hint: &str| {
        found.push(Problem::new(format!("{path}.{name}"), message).hint(hint));
    };
    let is_fingerprint = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !source.client_certificates.iter().all(is_fingerprint) {
        let hint = "openssl x509 -noout -fingerprint -sha256, without the colons";
        wrong("client_certificates", "must be SHA-256 fingerprints of 64 hex digits", hint);
    }
    if source.legacy_until.as_deref().is_some_and(|text| Timestamp::parse_rfc3339(text).is_none()) {
        wrong("legacy_until", "is not an RFC 3339 time", "such as 2026-09-01T00:00:00Z");
    }
    if !matches!(source.min_signature_version, 1 | 2) {
        wrong("min_signature_version", "must be 1 or 2", "2 is SHA-256");
    }
    for (name, rate) in [
        ("requests_per_second", source.requests_per_second),
        ("sender_events_per_minute", source.sender_events_per_minute),
    ] {
        if rate == Some(0) {
            wrong(name, "must not be 0", "leave it out for no limit");
        }
    }
}

/// Where a sender's fields stand.
fn field_rules(path: &str, source: &SourceSettings, found: &mut Vec<Problem>) {
    let fields = &source.fields;
    if source.vendor == "generic" && fields.id.is_empty() {
        let problem = Problem::new(format!("{path}.id"), "is missing: without an id no duplicate is known");
        found.push(problem.hint("such as [\"/id\"]; several are joined, where one is not unique"));
    }
    let named = [
        ("items", &fields.items),
        ("event_type", &fields.event_type),
        ("time", &fields.time),
        ("account", &fields.account),
        ("subject", &fields.subject),
    ];
    let ids = fields.id.iter().map(|pointer| ("id", pointer));
    let pointers = named.into_iter().filter_map(|(name, pointer)| Some((name, pointer.as_ref()?)));
    for (name, pointer) in ids.chain(pointers) {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let problem = Problem::new(format!("{path}.{name}"), "is not a JSON pointer (RFC 6901)");
            found.push(problem.hint("it begins with a slash, such as /data/id"));
        }
    }
}
