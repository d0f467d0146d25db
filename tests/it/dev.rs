//! `longshore dev --once`, run as a newcomer runs it: twice on one folder.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// Tables that a later run may add to: what was done is written down each time.
const MAY_GROW: &[&str] = &["audit_log"];

fn dev(state: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(["dev", "--once", "--json", "--state-dir"])
        .arg(state)
        .env_remove("OPENAI_API_KEY")
        .env_remove("OPENAI_BASE_URL")
        // Settings of another installation must not reach it.
        .env("LONGSHORE_WORKER_CONCURRENCY", "1")
        .output()
        .unwrap()
}

fn summary(run: &Output) -> Value {
    let failed = |summary: &Value| {
        let samples = summary["samples"].as_array().cloned().unwrap_or_default();
        samples.into_iter().filter(|sample| sample["ok"] != true).collect::<Vec<_>>()
    };
    let said = String::from_utf8_lossy(&run.stderr);
    let summary: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(run.status.code(), Some(0), "{said} {:#?}", failed(&summary));
    assert_eq!(summary["ok"], true);
    assert!(summary["seconds"].as_f64().unwrap() < 20.0);
    summary
}

fn total(summary: &Value, column: &str) -> i64 {
    summary["events"].as_array().unwrap().iter().map(|row| row[column].as_i64().unwrap()).sum()
}

fn counts<'a>(summary: &'a Value, table: &str) -> (&'a Value, &'a Value) {
    let rows = &summary["tables"][table];
    (&rows["before"], &rows["after"])
}

/// Each of them has events that were done.
fn every_vendor_is_there(summary: &Value) {
    let rows = summary["events"].as_array().unwrap();
    let done =
        |source: &str| rows.iter().any(|row| row["source"] == source && row["done"].as_u64().unwrap() > 0);
    let sources = [
        "whatsapp",
        "hubspot",
        "gohighlevel",
        "pipedrive",
        "salesforce",
        "salesforce-apex",
        "dynamics",
        "twilio",
        "sendgrid",
        "clerk",
        "billing",
        "meter",
        "partner",
        "chat",
    ];
    let missing: Vec<_> = sources.into_iter().filter(|source| !done(source)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_second_run_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");

    let first = summary(&dev(&state));
    assert!(first["samples"].as_array().unwrap().len() >= 100);
    let sent = |column: &str| first["queue"][column].as_u64().unwrap();
    assert!(sent("messages") >= 40 && sent("requests") >= 55, "both ways are used");
    every_vendor_is_there(&first);
    assert_eq!(first["first_run"], true);
    assert!(first["llm"]["calls"].as_i64().unwrap() > 0);
    assert!(total(&first, "done") >= 190 && total(&first, "retried") >= 7 && total(&first, "parked") >= 1);
    let got = first["outside"].as_array().unwrap();
    assert!(got.iter().any(|message| message["status"] == 200));
    assert!(
        got.iter().all(|message| message["to"].as_str().unwrap().starts_with("•••")),
        "numbers are masked"
    );

    let second = summary(&dev(&state));
    assert_eq!(second["queue"]["requests"], first["queue"]["requests"]);
    assert_eq!(second["first_run"], false);
    assert_eq!(second["llm"]["calls"], 0);
    assert_eq!(second["outside"].as_array().unwrap().len(), 0);
    assert_eq!((total(&second, "done"), total(&second, "retried")), (0, 0));
    assert_eq!(second["dead_letters"]["before"], second["dead_letters"]["after"]);
    for table in second["tables"].as_object().unwrap().keys() {
        let (before, after) = counts(&second, table);
        assert_eq!(before, counts(&first, table).1, "{table} changed between the runs");
        assert!(before == after || MAY_GROW.contains(&table.as_str()), "{table}: {before} -> {after}");
    }
}
