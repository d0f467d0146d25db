//! `longshore verify --vectors`, and with it every symmetric scheme: signatures that were made by other code.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Made with Python's hmac, not with this product. The cases called `vendor-example` are what vendors publish.
const SYMMETRIC: &str = "tests/fixtures/signatures/symmetric.json";

fn verify(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longshore")).arg("verify").args(arguments).env_clear().output().unwrap()
}

fn vectors() -> Vec<Value> {
    serde_json::from_slice(&fs::read(path()).unwrap()).unwrap()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(SYMMETRIC)
}

/// The exit code and the JSON that is said of these vectors.
fn judged(vectors: &Value) -> (Option<i32>, Value) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("vectors.json");
    fs::write(&file, vectors.to_string()).unwrap();
    let output = verify(&["--vectors", file.to_str().unwrap(), "--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn df_2_wa_25_rce_12_other_peoples_signatures_end_as_they_should() {
    let output = verify(&["--vectors", path().to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{} passed, 0 failed\n", vectors().len()));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wa_25_every_symmetric_scheme_has_a_good_and_six_bad_variants() {
    let mut counted: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for vector in vectors() {
        let (good, bad) = counted.entry(vector["scheme"].as_str().unwrap().to_owned()).or_default();
        *(if vector["expect"] == "valid" { good } else { bad }) += 1;
    }
    assert_eq!(counted.len(), 13, "{counted:?}");
    assert!(counted.values().all(|(good, bad)| *good >= 1 && *bad >= 6), "{counted:?}");
}

#[test]
fn a_wrong_expectation_is_reported_and_the_answer_is_no() {
    let mut one = vectors().into_iter().find(|v| v["scheme"] == "slack" && v["case"] == "stale").unwrap();
    let right = one.clone();
    one["expect"] = json!("valid");
    let (code, report) = judged(&json!([right, one]));
    assert_eq!(code, Some(1));
    assert_eq!(
        report,
        json!({ "passed": 1, "failed": 1, "disagreements": [{
            "scheme": "slack", "case": "stale", "expected": "valid", "got": "expired",
            "why": "signed 301 s before it was received, tolerance 300 s",
        }]})
    );
}

#[test]
fn what_cannot_be_judged_fails_alone() {
    let right = vectors().swap_remove(0);
    let with = |field: &str, value: Value| {
        let mut vector = right.clone();
        vector[field] = value;
        vector
    };
    let odd = [
        (with("scheme", json!("hubspot-v9")), "no scheme `hubspot-v9`"),
        (with("body_base64", json!("%")), "`body_base64` is not base64"),
        (with("expect", json!("perhaps")), "cannot be read"),
        (with("config", json!({ "tolerence": 1 })), "unknown field `tolerence`"),
        (json!("not a case"), "cannot be read"),
    ];
    for (vector, why) in odd {
        let (code, report) = judged(&json!([vector, right]));
        assert_eq!((code, &report["passed"], &report["failed"]), (Some(1), &json!(1), &json!(1)));
        let told = &report["disagreements"][0];
        assert_eq!(told["got"], "error", "{told}");
        assert!(told["why"].as_str().unwrap().contains(why), "{told}");
    }
}

#[test]
fn people_get_a_table_that_ends_with_the_counts() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("vectors.json");
    let mut one = vectors().swap_remove(0);
    one["expect"] = json!("missing");
    fs::write(&file, json!([one]).to_string()).unwrap();
    let output = verify(&["--vectors", file.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().last(), Some("0 passed, 1 failed"));
    for expected in ["hubspot-v1", "vendor-example", "missing", "valid"] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_file_without_vectors_exits_65_with_a_hint() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("vectors.json");
    for (content, complaint) in
        [("{}", "hint: a vector file is a JSON list"), ("[]", "holds no vectors"), ("[", "hint: ")]
    {
        fs::write(&file, content).unwrap();
        let output = verify(&["--vectors", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(65), "{content}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(complaint), "{said}");
    }
    assert_eq!(verify(&["--vectors", "/nowhere.json"]).status.code(), Some(65));
    assert_eq!(verify(&[]).status.code(), Some(64));
}
