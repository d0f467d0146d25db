//! Settings: the generated files, and what `config check` finds.

use std::path::Path;

use longshore::config::{Known, Template, from_toml, render};

fn checked(text: &str) -> String {
    let mut loaded = from_toml(text, &[]).unwrap();
    let known = Known {
        vendors: vec!["whatsapp".into(), "hubspot".into()],
        schemes: vec!["hubspot-v3".into()],
        forms: vec!["envelope.v1".into()],
    };
    loaded.check_rules(&known);
    loaded.problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn assert_all_found(text: &str, expected: &[&str]) {
    let found = checked(text);
    for line in expected {
        assert!(found.contains(line), "{line} is not in\n{found}");
    }
    assert!(!found.contains("hunter2"), "{found}");
}

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, template, flag) in [
        (".env.example", Template::Environment, "--env"),
        ("docs/longshore.example.toml", Template::Toml, "--toml"),
        ("docs/SETTINGS.md", Template::Reference, "--reference"),
    ] {
        let committed = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        let same = committed == render(template);
        assert!(same, "{file} drifted; run: cargo run -- config template {flag} > {file}");
    }
}

#[test]
fn the_defaults_break_no_rule() {
    assert_eq!(checked(""), "");
}

#[test]
fn rules_of_queue_and_worker() {
    assert_all_found(
        r#"
        admin.listen = "0.0.0.0:9464"
        [queue]
        url = "ftp://x"
        dead_letter_url = "http://u:hunter2@127.0.0.1/q"
        wait = "21s"
        visibility = "1s"
        default_form = "envelop.v1"
        default_source = "nobody"
        [worker]
        concurrency = 0
        drain = "24s"
        attempts = 0
        [store]
        url = "postgres://u:hunter2@db/longshore"
        [log]
        format = "xml"
        filter = "longshore=loud"
        "#,
        &[
            "queue.url: must be",
            "queue.dead_letter_url: must be",
            "queue.wait: must be at most 20s",
            "queue.visibility: ",
            "queue.default_form: unknown form `envelop.v1` (did you mean `envelope.v1`?)",
            "queue.default_source: unknown source",
            "worker.concurrency: ",
            "worker.drain: must be at least queue.wait + 5s",
            "worker.attempts: ",
            "store.url: a secret must be a reference",
            "log.format: ",
            "log.filter: ",
            "warning: admin.listen",
        ],
    );
}

#[test]
fn rules_of_keys_sources_and_providers() {
    assert_all_found(
        r#"
        tenants.acme.llm = "opnai"
        [seal]
        sign_with = "old"
        keys = [{ id = "old", secret = "env:OLD", state = "revoked", sources = ["nowhere"] }]
        [sources.wa]
        vendor = "whatsap"
        keys = [
            { id = "a", secret = "env:A", not_before = "2026-01-02T00:00:00Z", not_after = "2026-01-01T00:00:00Z" },
            { id = "a", secret = "hunter2", not_after = "tomorrow" },
        ]
        [llm.providers.openai]
        kind = "openai"
        "#,
        &[
            "seal.sign_with: key `old` is not active",
            "seal.keys[0].sources: unknown source `nowhere`",
            "sources.wa.vendor: unknown vendor `whatsap` (did you mean `whatsapp`?)",
            "sources.wa.keys[0].not_after: must be later",
            "sources.wa.keys[1].id: `a` is there twice",
            "sources.wa.keys[1].not_after: is not an RFC 3339",
            "sources.wa.keys[1].secret: a secret must be",
            "warning: sources.wa.tenant",
            "llm.providers.openai.model: is missing",
            "llm.providers.openai.api_key: is missing",
            "tenants.acme.llm: unknown route or provider `opnai` (did you mean `openai`?)",
        ],
    );
}

#[test]
fn a_section_that_could_not_be_read_is_not_judged() {
    let found = checked("[worker]\nattempts = \"x\"\ndrain = \"1s\"\n");
    assert!(found.contains("worker.attempts") && !found.contains("worker.drain"), "{found}");
}

#[test]
fn an_unreadable_secret_is_named() {
    let mut loaded = from_toml("[whatsapp]\naccess_token = \"env:LONGSHORE_NOT_THERE\"\n", &[]).unwrap();
    loaded.check_secrets();
    let found: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["whatsapp.access_token: environment variable LONGSHORE_NOT_THERE is not set"]);
}

#[test]
fn rce_4a_a_configured_sender_needs_an_id_and_pointers() {
    let loaded = "[sources.desk]\nvendor = \"generic\"\nfields.time = \"when\"\nfields.items = \"\"\n";
    let mut loaded = from_toml(loaded, &[]).unwrap();
    loaded.check_rules(&Known { vendors: vec!["generic".into()], ..Known::default() });
    let found: String = loaded.problems.iter().map(|problem| format!("{problem}\n")).collect();
    assert!(found.contains("sources.desk.fields.id: is missing"), "{found}");
    assert!(found.contains("sources.desk.fields.time: is not a JSON pointer"), "{found}");
    assert!(!found.contains("fields.items"), "{found}");
}
