//! The command line as people and scripts meet it: exit codes, hints, JSON, no secrets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// Runs a command in an empty environment and the given folder.
fn longshore(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("longshore.toml"), settings).unwrap();
    folder
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    let folder = folder("");
    assert_eq!(longshore(folder.path(), &["wokrer"]).status.code(), Some(64));
    assert_eq!(longshore(folder.path(), &["dlq", "replay"]).status.code(), Some(64));
    let help = longshore(folder.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(out(&help).contains("Exit codes"), "{}", out(&help));
}

#[test]
fn a_wrong_configuration_exits_78_with_everything_that_is_wrong() {
    let folder = folder(
        "[queue]\nwiat = \"1s\"\nwait = \"30s\"\n[whatsapp]\naccess_token = \"EAAGliteral99\"\n\
         [log]\nformat = \"xml\"\n[store]\nurl = \"env:LONGSHORE_NOWHERE\"\n",
    );
    let check = longshore(folder.path(), &["config", "check"]);
    assert_eq!(check.status.code(), Some(78));
    for expected in [
        "queue.wiat: unknown setting `wiat` (did you mean `wait`?)",
        "whatsapp.access_token: a secret must be a reference",
        "log.format: must be json, text or auto",
        "store.url: environment variable LONGSHORE_NOWHERE is not set",
    ] {
        assert!(out(&check).contains(expected), "{expected} is not in\n{}", out(&check));
    }
    let worker = longshore(folder.path(), &["worker"]);
    assert_eq!(worker.status.code(), Some(78));
    let print = longshore(folder.path(), &["config", "print"]);
    for text in [out(&check), err(&worker), out(&print)] {
        assert!(!text.contains("EAAGliteral99"), "{text}");
    }
}

#[test]
fn a_store_without_schema_is_refused_with_the_command_to_run() {
    let folder = folder("");
    let list = longshore(folder.path(), &["dlq", "list"]);
    assert_eq!(list.status.code(), Some(75));
    assert!(err(&list).contains("run `longshore migrate up`"), "{}", err(&list));
    assert_eq!(longshore(folder.path(), &["migrate", "check"]).status.code(), Some(75));
    assert_eq!(longshore(folder.path(), &["migrate", "up"]).status.code(), Some(0));
    assert_eq!(longshore(folder.path(), &["migrate", "check"]).status.code(), Some(0));
    for list in [["dlq", "list"], ["outbox", "list"], ["usage", "report"]] {
        let answer = longshore(folder.path(), &[list[0], list[1], "--json"]);
        assert_eq!(serde_json::from_slice::<Value>(&answer.stdout).unwrap(), Value::Array(Vec::new()));
    }
    assert_eq!(longshore(folder.path(), &["event", "show", "nobody:1:x"]).status.code(), Some(65));
    assert_eq!(longshore(folder.path(), &["outbox", "resolve", "x", "sent"]).status.code(), Some(65));
    let off = longshore(folder.path(), &["tenant", "auto-replies", "acme", "off"]);
    assert!(out(&off).contains("acme are off"), "{}", err(&off));
    let still = longshore(folder.path(), &["tenant", "auto-replies", "acme"]);
    assert!(out(&still).contains("acme are off"), "{}", err(&still));
}

#[test]
fn a_probe_without_a_worker_says_no() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let folder = folder(&format!("admin.listen = \"{listen}\"\n"));
    let health = longshore(folder.path(), &["health"]);
    assert_eq!((health.status.code(), out(&health).contains(&listen.to_string())), (Some(1), true));
}

#[test]
fn signed_messages_can_be_printed_for_every_vendor() {
    let folder = folder("");
    let secret = folder.path().join("secret");
    fs::write(&secret, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let key = format!("secret = \"file:{}\"", secret.display());
    let mut settings = format!("[[seal.keys]]\nid = \"edge\"\n{key}\nsources = [\"*\"]\n");
    for vendor in ["whatsapp", "hubspot", "standard-webhooks", "jobs"] {
        settings.push_str(&format!(
            "[sources.{vendor}]\nvendor = \"{vendor}\"\ntenant = \"t\"\n[[sources.{vendor}.keys]]\nid = \"k\"\n{key}\n"
        ));
    }
    fs::write(folder.path().join("longshore.toml"), settings).unwrap();
    fs::write(folder.path().join("body.json"), r#"{"id":"j-1","specversion":"1.0"}"#).unwrap();
    for vendor in ["whatsapp", "hubspot", "standard-webhooks", "jobs"] {
        let signed = longshore(folder.path(), &["sign", vendor, "body.json", "--print"]);
        assert_eq!(signed.status.code(), Some(0), "{vendor}: {}", err(&signed));
        let message: Value = serde_json::from_slice(&signed.stdout).unwrap();
        let form = if vendor == "jobs" { "job.v1" } else { "envelope.v1" };
        assert_eq!(message["attributes"]["longshore-form"], form, "{message}");
        assert!(message["attributes"]["webhook-signature"].as_str().unwrap().starts_with("v1,"));
    }
    let job = longshore(folder.path(), &["enqueue", "body.json", "--print"]);
    assert_eq!(job.status.code(), Some(0), "{}", err(&job));
    assert_eq!(longshore(folder.path(), &["sign", "nobody", "body.json"]).status.code(), Some(78));
    assert_eq!(longshore(folder.path(), &["enqueue", "missing.json"]).status.code(), Some(65));
}

#[test]
fn rce_4b_a_vendor_s_body_is_read_without_any_settings() {
    let empty = tempfile::tempdir().unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let read = |more: &[&str]| longshore(empty.path(), &[&["read"], more].concat());
    let events = |output: &Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();

    // What cannot be read is named with its position; the rest is printed in order, repetitions kept.
    let batch = read(&["--source", "whatsapp", &format!("{fixtures}/whatsapp_batch.json"), "--json"]);
    assert_eq!(batch.status.code(), Some(65));
    let list = events(&batch);
    let keys: Vec<_> = list.as_array().unwrap().iter().map(|event| &event["dedupe_key"]).collect();
    assert_eq!((keys.len(), keys[0]), (9, keys[5]));
    assert_eq!(list[6]["kind"], "status");
    assert!(err(&batch).contains("item 6: schema_mismatch: /id: text is required"), "{}", err(&batch));

    let nothing = read(&["--source", "whatsapp", &format!("{fixtures}/whatsapp_other_field.json"), "--json"]);
    assert_eq!((nothing.status.code(), out(&nothing).trim()), (Some(0), "[]"));
    assert_eq!(read(&["--source", "nobody", "x"]).status.code(), Some(64));

    // Headers count, however they are written down.
    fs::write(empty.path().join("user.json"), r#"{"type":"user.created","data":{"id":"user_1"}}"#).unwrap();
    for headers in
        [r#"{"Svix-Id":"msg_7"}"#, r#"[["svix-id","msg_7"]]"#, "POST /x HTTP/1.1\nSVIX-ID: msg_7\n"]
    {
        fs::write(empty.path().join("headers"), headers).unwrap();
        let user = read(&["--source", "clerk", "user.json", "--headers", "headers", "--json"]);
        let expected = serde_json::json!([{ "source": "clerk", "kind": "user.created", "account": "",
            "dedupe_key": "clerk::msg_7", "occurred_at_ms": null }]);
        assert_eq!(events(&user), expected);
    }
    let table = read(&["--source", "clerk", "user.json", "--headers", "headers"]);
    assert!(out(&table).contains("clerk::msg_7") && out(&table).contains("1 read, 0 not"), "{}", out(&table));
}
