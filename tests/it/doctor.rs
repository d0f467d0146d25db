//! The doctor, asked as people and scripts ask: what is well, what is not, what to do, and nothing that costs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use longshore::{
    cli::dev::outside::Outside,
    queue::local::server::{Options, Server},
};
use serde_json::Value;
use tempfile::TempDir;

/// Runs it in an empty environment but for credentials that the embedded queue does not look at.
async fn doctor(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.args([&["doctor"], more].concat()).current_dir(folder).env_clear();
    command.envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", "us-east-1")]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// State and detail of a check.
fn found(output: &Output, check: &str) -> Vec<(String, String)> {
    let page: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", out(output)));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    page["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| (text(finding, "state"), text(finding, "detail")))
        .collect()
}

struct Machine {
    folder: TempDir,
    server: Server,
    outside: Outside,
    settings: String,
}

impl Machine {
    async fn start(receives: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(Options::new(listen, folder.path().join("queue"))).await.unwrap();
        let dead = server.ensure_queue("dead", &[]).await.unwrap();
        let policy = format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{receives}}}"#,
            server.queue_arn("dead")
        );
        let queue = server.ensure_queue("events", &[("RedrivePolicy", &policy)]).await.unwrap();
        let outside = Outside::start().await.unwrap();
        let key = folder.path().join("key");
        fs::write(&key, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = format!(
            r#"
admin.listen = "{admin}"
[queue]
url = "{queue}"
dead_letter_url = "{dead}"
endpoint = "{endpoint}"
region = "us-east-1"
[seal]
sign_with = "k"
keys = [{{ id = "k", secret = "file:{key}", sources = ["wake"] }}]
[webhooks]
alert_url = "http://127.0.0.1:9/alerts"
secret = "file:{key}"
[llm]
default = "main"
[llm.routes]
main = ["openai", "rules"]
[llm.providers.openai]
kind = "openai"
base_url = "{llm}"
model = "gpt-4o-mini"
timeout = "5s"
"#,
            admin = free.local_addr().unwrap(),
            endpoint = server.endpoint(),
            key = key.display(),
            llm = outside.llm_base_url(),
        );
        drop(free);
        let machine = Self { folder, server, outside, settings };
        machine.write(&machine.settings);
        machine
    }

    fn write(&self, settings: &str) {
        fs::write(self.folder.path().join("longshore.toml"), settings).unwrap();
    }

    async fn ask(&self, more: &[&str]) -> Output {
        doctor(self.folder.path(), more).await
    }

    fn migrate(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        let done =
            command.args(["migrate", "up"]).current_dir(self.folder.path()).env_clear().status().unwrap();
        assert!(done.success());
    }

    async fn finish(self) {
        self.outside.shutdown().await;
        self.server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_well_passes_and_nothing_is_asked_of_a_model() {
    let machine = Machine::start(100).await;
    machine.migrate();
    let answer = machine.ask(&["--json"]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", out(&answer));
    for check in [
        "configuration",
        "secrets",
        "webhooks",
        "times",
        "routes",
        "store",
        "clock",
        "budgets",
        "queue",
        "redrive policy",
        "dead-letter queue",
        "prices",
        "prompts",
        "llm:openai",
    ] {
        let states = found(&answer, check);
        assert_eq!(states.len(), 1, "{check}: {}", out(&answer));
        assert_eq!(states[0].0, "ok", "{check}: {}", states[0].1);
    }
    // No worker runs: worth saying, no failure.
    assert_eq!(found(&answer, "worker")[0].0, "warn");
    assert!(machine.outside.log().is_empty(), "the doctor asked a model: {:?}", machine.outside.log());

    let lines = machine.ask(&[]).await;
    let text = out(&lines);
    assert!(text.contains("0 fail") && text.lines().any(|line| line.starts_with("ok    store")), "{text}");
    assert!(!text.contains("whsec_"), "{text}");
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_all_at_once_with_what_to_do() {
    let machine = Machine::start(3).await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/v1", gone.local_addr().unwrap());
    drop(gone);
    let settings = machine
        .settings
        .replace(&machine.outside.llm_base_url(), &closed)
        .replace("gpt-4o-mini", "a-model-of-our-own")
        .replace("/dead\"", "/nobody\"")
        .replacen("secret = \"file:", "secret = \"file:/nowhere", 1);
    machine.write(&settings);
    let answer = machine.ask(&["--json"]).await;
    assert_eq!(answer.status.code(), Some(1), "{}", out(&answer));
    for (check, state, words) in [
        ("secrets", "fail", "seal.keys[0].secret"),
        ("store", "fail", "the schema lacks"),
        ("redrive policy", "warn", "maxReceiveCount is 3"),
        ("dead-letter queue", "fail", ""),
        ("prices", "warn", "a-model-of-our-own"),
        ("llm:openai", "fail", "cannot connect"),
        ("worker", "warn", "none answers"),
    ] {
        let states = found(&answer, check);
        let (told, detail) = states.first().unwrap_or_else(|| panic!("{check}: {}", out(&answer)));
        assert!(told == state && detail.contains(words), "{check}: {told} {detail}");
    }
    let page: Value = serde_json::from_slice(&answer.stdout).unwrap();
    let unhelped =
        page["checks"].as_array().unwrap().iter().find(|f| f["state"] != "ok" && f["hint"].is_null());
    assert!(unhelped.is_none(), "a finding without a hint: {unhelped:?}");
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_toml_is_one_failure() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("longshore.toml"), "[queue\n").unwrap();
    let answer = doctor(folder.path(), &["--json"]).await;
    assert_eq!(
        (answer.status.code(), found(&answer, "configuration").len()),
        (Some(1), 1),
        "{}",
        out(&answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_runs_is_asked_how_it_is() {
    let machine = Machine::start(100).await;
    machine.migrate();
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.arg("worker").current_dir(machine.folder.path()).env_clear();
    command.envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")]);
    let mut worker = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let answer = machine.ask(&["--json"]).await;
        let (state, detail) = found(&answer, "worker").remove(0);
        if state == "ok" {
            assert!(detail.contains(env!("CARGO_PKG_VERSION")), "{detail}");
            break;
        }
        assert!(std::time::Instant::now() < end, "{state}: {detail}");
    }
    let _ = worker.kill();
    let _ = worker.wait();
    machine.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_asks_each_model_once_and_says_where_it_is_booked() {
    let machine = Machine::start(100).await;
    machine.migrate();
    let answer = machine.ask(&["--json", "--live"]).await;
    let (state, detail) = found(&answer, "live:openai").remove(0);
    assert_eq!(state, "ok", "{detail}");
    assert!(detail.contains("ledger"), "{detail}");
    assert_eq!(machine.outside.log().len(), 1);
    machine.finish().await;
}
