//! What supervisors see: alive, ready, numbers; and what systemd is told.

use std::{
    io::Read as _,
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use longshore::{
    admin::{Admin, Probes},
    domain::timestamp::Timestamp,
    http::Http,
    lifecycle::Vitals,
    llm::contract::{ModelHealth, ModelState},
    queue::local::server::{Options, Server},
    store::{contract::Store, sqlite::SqliteStore},
    telemetry::metrics,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;

const WAIT: Duration = Duration::from_secs(1);
const ANY: &str = "127.0.0.1:0";

struct Port {
    admin: Admin,
    vitals: Arc<Vitals>,
    store: Arc<dyn Store>,
    models: Arc<Mutex<Vec<ModelHealth>>>,
    _folder: TempDir,
}

impl Port {
    async fn open(executor: Handle, migrated: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(folder.path().join("store.db"), 1).await.unwrap());
        if migrated {
            store.migrate().await.unwrap();
        }
        let vitals = Arc::new(Vitals::default());
        let metrics = metrics::start().unwrap();
        let models: Arc<Mutex<Vec<ModelHealth>>> = Arc::default();
        let told = Arc::clone(&models);
        let probes = Probes {
            vitals: Arc::clone(&vitals),
            store: Arc::clone(&store),
            models: Arc::new(move || told.lock().unwrap().clone()),
            metrics,
            wait: WAIT,
            executor,
        };
        let admin = Admin::start(ANY.parse().unwrap(), probes).unwrap();
        Self { admin, vitals, store, models, _folder: folder }
    }

    async fn ask(&self, page: &str) -> (u16, String) {
        let url = format!("http://{}/{page}", self.admin.address());
        let answer = Http::new().unwrap().get(&url, Duration::from_secs(10)).await.unwrap();
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    }

    /// Status, and the names of the checks that failed.
    async fn checks(&self, page: &str) -> (u16, Vec<String>, String) {
        let (status, text) = self.ask(page).await;
        let body: Value = serde_json::from_str(&text).unwrap();
        let checks = body["checks"].as_array().unwrap().iter();
        let failed = checks.filter(|check| check["status"] == "fail");
        (status, failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect(), text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polling_worker_is_alive_and_ready() {
    let port = Port::open(Handle::current(), true).await;
    assert_eq!(port.checks("readyz").await.1, ["queue"], "nothing was received yet");
    port.vitals.poll_started(Timestamp(1));
    port.vitals.poll_succeeded(Timestamp(2));
    assert_eq!(port.checks("readyz").await.0, 200);
    assert_eq!(port.checks("livez").await.0, 200);
    let (status, page) = port.ask("metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("longshore_build_info{") && page.contains("longshore_ready 1"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_what_is_wrong_and_liveness_does_not_care() {
    let port = Port::open(Handle::current(), false).await;
    port.vitals.poll_succeeded(Timestamp(2));
    let (status, failed, text) = port.checks("readyz").await;
    assert_eq!((status, failed.as_slice()), (503, ["schema".to_owned()].as_slice()));
    assert!(text.contains("longshore migrate up"), "{text}");

    port.store.migrate().await.unwrap();
    for _ in 0..3 {
        port.vitals.poll_failed();
    }
    port.vitals.drain();
    assert_eq!(port.checks("readyz").await.1, ["queue", "draining"]);

    port.store.close().await;
    assert_eq!(port.checks("readyz").await.1, ["database", "schema", "queue", "draining"]);
    assert_eq!(port.checks("livez").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rce_17_a_model_that_is_down_degrades_and_a_database_that_is_gone_unreadies() {
    let port = Port::open(Handle::current(), true).await;
    port.vitals.poll_succeeded(Timestamp(2));
    let model = |name: &str, state, opens_in_seconds, why: Option<&str>| ModelHealth {
        name: name.to_owned(),
        provider: "openai".to_owned(),
        model: "gpt-5-mini".to_owned(),
        state,
        opens_in_seconds,
        why: why.map(str::to_owned),
        concurrency: 1,
    };
    let degraded = |text: &str| serde_json::from_str::<Value>(text).unwrap()["degraded"].clone();

    let (status, _, text) = port.checks("readyz").await;
    assert_eq!((status, degraded(&text)), (200, Value::Null));
    *port.models.lock().unwrap() = vec![
        model("openai", ModelState::Down, Some(12), Some("5 failures in a row")),
        model("spare", ModelState::Probing, None, Some("no credit")),
        model("rules", ModelState::Up, None, None),
    ];
    let (status, failed, text) = port.checks("readyz").await;
    assert_eq!((status, failed), (200, Vec::new()), "{text}");
    let expected = [
        "llm:openai: 5 failures in a row, asked again in 12 s",
        "llm:spare: no credit, a single call is trying it",
    ];
    assert_eq!(degraded(&text), serde_json::json!(expected));

    port.store.close().await;
    let (status, failed, text) = port.checks("readyz").await;
    assert_eq!((status, failed[0].as_str()), (503, "database"));
    assert_eq!(degraded(&text), serde_json::json!(expected), "said in both cases");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_executor_is_not_alive() {
    // An executor that nobody drives: what it is given never runs.
    let stuck = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = Port::open(stuck.handle().clone(), true).await;
    let (status, failed, _) = port.checks("livez").await;
    assert_eq!((status, failed), (503, vec!["executor".to_owned()]));
    stuck.shutdown_background();
}

/// A worker under something that acts as systemd.
struct Supervised {
    child: Child,
    notify: UnixDatagram,
}

impl Supervised {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("notify");
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_longshore"))
            .arg("worker")
            .current_dir(folder)
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("WATCHDOG_USEC", "300000")])
            .env("NOTIFY_SOCKET", &socket)
            .env("SEAL", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, notify }
    }

    /// Waits until systemd was told this.
    fn told(&self, what: &str) {
        let mut buffer = [0_u8; 4_096];
        loop {
            let length = self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("{what}: {error}"));
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line.starts_with(what)) {
                return;
            }
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(server: &Server, admin: SocketAddr) -> String {
    let (endpoint, queue, dead) = (server.endpoint(), server.queue_url("q"), server.queue_url("q-dead"));
    format!(
        "admin.listen = \"{admin}\"\n[queue]\nurl = \"{queue}\"\ndead_letter_url = \"{dead}\"\n\
         endpoint = \"{endpoint}\"\nregion = \"us-east-1\"\nwait = \"1s\"\n[worker]\nmigrate = true\n\
         drain = \"6s\"\n[seal]\nsign_with = \"k\"\n[[seal.keys]]\nid = \"k\"\nsecret = \"env:SEAL\"\n\
         sources = [\"wake\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_ready_watchdog_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(Options::new(ANY.parse().unwrap(), folder.path().join("queue"))).await.unwrap();
    server.ensure_queue("q-dead", &[]).await.unwrap();
    server.ensure_queue("q", &[]).await.unwrap();
    let free = std::net::TcpListener::bind(ANY).unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    std::fs::write(folder.path().join("longshore.toml"), settings(&server, admin)).unwrap();

    let mut worker = Supervised::start(folder.path());
    worker = tokio::task::block_in_place(|| {
        worker.told("READY=1");
        worker.told("WATCHDOG=1");
        worker
    });
    let alive = Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(["health", "--live"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(alive.success());
    let pid = worker.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    tokio::task::block_in_place(|| worker.told("STOPPING=1"));
    let status = tokio::task::block_in_place(|| worker.child.wait().unwrap());
    let mut log = String::new();
    worker.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["timestamp"].is_string(), "{line}");
    }
    assert!(log.contains("all that was begun is finished") && !log.contains("whsec_"), "{log}");
    server.shutdown().await;
}

#[test]
fn every_metric_in_the_code_is_described() {
    let known: Vec<&str> = metrics::METRICS.iter().map(|metric| metric.name).collect();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut used = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = std::fs::read_to_string(&entry).unwrap();
            for call in ["counter!(", "gauge!(", "histogram!("] {
                for place in text.split(call).skip(1) {
                    let Some(name) = place.trim_start().strip_prefix('"') else { continue };
                    let name = name.split('"').next().unwrap();
                    assert!(known.contains(&name), "{name} in {} is not in METRICS", entry.display());
                    used += 1;
                }
            }
        }
    }
    assert!(used > 20, "only {used} found");
}
