//! `longshore intake` as a process: its ports, its signals, its exit codes; and its readiness.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use longshore::{
    admin::{Admin, IntakeProbes},
    domain::timestamp::Timestamp,
    http::Http,
    lifecycle::Vitals,
    telemetry::metrics,
};
use serde_json::Value;
use tokio::runtime::Handle;

use super::harness::{Unusual, World, ask, text, whatsapp};

fn longshore(world: &World, file: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.args(["intake", "--config", file]).current_dir(world.folder.path());
    command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The field `address` of the line that says that it receives.
fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("\"address\"")).unwrap().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let found = line.pointer("/address").or_else(|| line.pointer("/fields/address"));
    found.unwrap().as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_receives_until_it_is_told_to_stop() {
    let world = World::usual().await;
    let (endpoint, url) = (world.server.endpoint(), world.server.queue_url("events"));
    let file = "intake.toml";
    std::fs::write(
        world.folder.path().join(file),
        text(&world.folder, [&endpoint, &url], &Unusual::default()),
    )
    .unwrap();
    let mut child = longshore(&world, file).spawn().unwrap();
    let listens = tokio::task::block_in_place(|| address(&mut child));
    assert_eq!(ask(listens.parse().unwrap(), &whatsapp(b"{}")).await.status, 200);
    assert_eq!(world.messages().await.len(), 1);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let status = tokio::task::block_in_place(|| child.wait().unwrap());
    assert_eq!(status.code(), Some(0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_needs_is_said_at_once() {
    let world = World::usual().await;
    std::fs::write(world.folder.path().join("empty.toml"), "").unwrap();
    let output = tokio::task::block_in_place(|| longshore(&world, "empty.toml").output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("queue.url") && said.contains("LONGSHORE_QUEUE_URL"), "{said}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_unless_sends_fail_or_it_stops() {
    let vitals = Arc::new(Vitals::without_polls());
    let probes = IntakeProbes {
        vitals: Arc::clone(&vitals),
        metrics: metrics::start().unwrap(),
        executor: Handle::current(),
    };
    let admin = Admin::start("127.0.0.1:0".parse().unwrap(), probes).unwrap();
    let http = Http::new().unwrap();
    let status = async |page: &str| {
        http.get(&format!("http://{}/{page}", admin.address()), Duration::from_secs(10)).await.unwrap().status
    };
    assert_eq!((status("livez").await, status("readyz").await), (200, 200), "an idle edge is ready");
    for _ in 0..3 {
        vitals.poll_started(Timestamp(1));
        vitals.poll_failed();
    }
    assert_eq!((status("livez").await, status("readyz").await), (200, 503));
    vitals.poll_succeeded(Timestamp(2));
    assert_eq!(status("readyz").await, 200);
    vitals.drain();
    assert_eq!((status("readyz").await, status("metrics").await), (503, 200));
}
