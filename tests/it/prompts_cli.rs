//! `longshore prompts`, as people and scripts meet it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

fn longshore(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.args(arguments).current_dir(folder).env_clear().output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn asked(folder: &Path, arguments: &[&str]) -> Value {
    let output = longshore(folder, arguments);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Settings with a folder of prompts, in which these files stand.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("longshore.toml"), "[llm]\nprompts = \"prompts\"\n").unwrap();
    for (name, text) in files {
        let file = folder.path().join("prompts").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder
}

const CHAT: &str = include_str!("../../prompts/chat_complete.md");
const CASE: &str = include_str!("../../prompts/cases/message_reading/price.json");

#[test]
fn prompts_are_listed_shown_and_rendered_as_they_are_asked() {
    let own = CHAT.replace("version = 1", "version = 9");
    let folder = folder(&[("chat.md", &own)]);
    let list = asked(folder.path(), &["prompts", "list", "--json"]);
    let row = |id: &str| list.as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
    assert_eq!(row("chat_complete")["version"], 9);
    assert!(row("chat_complete")["file"].as_str().unwrap().ends_with("chat.md"));
    assert_eq!(
        (&row("email_draft")["file"], &row("email_draft")["over_budget"]),
        (&json!("built in"), &json!("cheaper"))
    );

    assert_eq!(out(&longshore(folder.path(), &["prompts", "show", "chat_complete"])).trim(), own.trim());
    let rendered =
        asked(folder.path(), &["prompts", "render", "message_reading", "--case", "price", "--json"]);
    assert!(rendered["turns"][0]["text"].as_str().unwrap().contains("\nHola, ¿cuánto cuesta"));
    assert_eq!(rendered["schema"]["type"], "object");
    assert_eq!(longshore(folder.path(), &["prompts", "show", "gossip"]).status.code(), Some(65));
}

#[test]
fn wa_27_a_changed_verdict_is_exit_1_and_drift_alone_is_not() {
    let plain = folder(&[("chat.md", CHAT)]);
    let test = longshore(plain.path(), &["prompts", "test"]);
    assert_eq!(test.status.code(), Some(0), "{}", out(&test));
    assert!(
        out(&test).contains("9 cases: 0 with another verdict, 0 with another question"),
        "{}",
        out(&test)
    );

    let drifted = folder(&[("chat.md", &CHAT.replace("politely", "very politely"))]);
    let report = asked(drifted.path(), &["prompts", "test", "--json"]);
    assert_eq!((&report["ok"], &report["changed"], &report["drifted"]), (&json!(true), &json!(0), &json!(2)));

    // The same answer, and a check that thinks otherwise of it.
    let other = CASE.replace("[\"pricing\", \"question\"]", "[\"complaint\"]");
    let changed = folder(&[("cases/message_reading/price.json", &other)]);
    let test = longshore(changed.path(), &["prompts", "test", "message_reading"]);
    assert_eq!(test.status.code(), Some(1), "{}", out(&test));
    assert!(out(&test).contains("good -> wrong"), "{}", out(&test));
}

#[test]
fn wa_27_a_provider_can_be_asked_instead_of_the_record() {
    let folder = folder(&[("chat.md", CHAT)]);
    let live = asked(folder.path(), &["prompts", "test", "email_draft", "--live", "rules", "--json"]);
    let renewal = live["cases"].as_array().unwrap().iter().find(|case| case["case"] == "renewal").unwrap();
    assert_eq!((&renewal["is"], &renewal["drift"]), (&json!("good"), &json!(false)));
    let nobody = longshore(folder.path(), &["prompts", "test", "--live", "nobody"]);
    assert_eq!(nobody.status.code(), Some(65));
}

#[test]
fn a_bad_prompt_is_named_by_the_configuration_check() {
    let folder = folder(&[("own.md", &CHAT.replace("{{ message }}", "{{ massage }}"))]);
    let check = longshore(folder.path(), &["config", "check"]);
    assert_eq!(check.status.code(), Some(78));
    assert!(
        out(&check).contains("own.md: template: `massage` is no value of this prompt"),
        "{}",
        out(&check)
    );
    assert_eq!(longshore(folder.path(), &["prompts", "list"]).status.code(), Some(78));
}
