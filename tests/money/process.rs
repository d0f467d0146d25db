//! A process of its own that asks: this test binary once more, told by an environment variable what to do. Not the
//! `longshore worker`: between a queue and a handler nobody could say how many calls are under way, and it is the
//! gateway with its store that must not overspend, however it dies. (`tests/it/crash` kills the worker itself.)

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use longshore::{domain::reason::Reason, llm::gateway::Gateway};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::bench::{Ask, Setup, put_off};

const TASK: &str = "LONGSHORE_MONEY_TASK";
/// Printed when the first question can be asked.
const READY: &str = "ready to ask";
/// So often in a row must the budget have said no until somebody believes it.
const REFUSALS: u32 = 10;

/// What such a process does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Spends a tenant's budget with so many calls at once, until nothing fits any more.
    Spend { setup: Setup, tenant: String, process: usize, at_once: usize, max_output: u32 },
    /// Asks the same questions as every other process with this name, until all are answered.
    Answer { setup: Setup, name: String, questions: usize, at_once: usize },
    /// Asks new questions for as long as it lives.
    Flood { setup: Setup, process: usize, at_once: usize, padding: usize },
}

/// The process; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it; returns when it is about to ask.
    pub(crate) fn start(task: &Task, environment: &[(&str, &str)]) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["process::does_what_it_is_told", "--exact", "--nocapture", "--test-threads=1"])
            .env(TASK, serde_json::to_string(task).unwrap())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Returns when it is about to ask, or gone.
    pub(crate) async fn ready(&mut self) {
        let Some(output) = self.0.stdout.take() else { return };
        let mut lines = BufReader::new(output).lines();
        while lines.next_line().await.unwrap().is_some_and(|line| !line.ends_with(READY)) {}
        // The rest is read by nobody, and must not fill up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    }

    /// SIGKILL; false when it had ended before.
    pub(crate) async fn kill(&mut self) -> bool {
        let alive = self.0.try_wait().unwrap().is_none();
        self.0.start_kill().unwrap();
        alive && self.0.wait().await.unwrap().signal() == Some(9)
    }

    /// How it ended, within a time.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let ended = timeout(within, self.0.wait()).await;
        ended.unwrap_or_else(|_| panic!("a process runs on after {within:?}")).unwrap()
    }
}

/// Nothing, unless it is told something: then it is one of the processes that other tests start.
#[test]
fn does_what_it_is_told() {
    #[expect(clippy::disallowed_methods, reason = "told by the test that started it")]
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Task = serde_json::from_str(&task).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(task));
}

async fn run(task: Task) {
    match task {
        Task::Spend { setup, tenant, process, at_once, max_output } => {
            let (store, gateway) = setup.open().await;
            println!("\n{READY}");
            join_all(
                (0..at_once).map(|lane| spend(&gateway, &tenant, format!("{process}.{lane}"), max_output)),
            )
            .await;
            gateway.drained().await;
            store.close().await;
        }
        Task::Answer { setup, name, questions, at_once } => {
            let (store, gateway) = setup.open().await;
            println!("\n{READY}");
            let lane = |lane: usize| {
                let (gateway, name) = (Arc::clone(&gateway), name.clone());
                async move {
                    for number in (lane..questions).step_by(at_once) {
                        question(&name, number).until_answered(&gateway).await;
                    }
                }
            };
            join_all((0..at_once).map(lane)).await;
            gateway.drained().await;
            store.close().await;
        }
        Task::Flood { setup, process, at_once, padding } => {
            let (_store, gateway) = setup.open().await;
            println!("\n{READY}");
            join_all((0..at_once).map(|lane| flood(&gateway, format!("{process}.{lane}"), padding))).await;
        }
    }
}

/// A question that every process of this name asks; every other is streamed.
pub(crate) fn question(name: &str, number: usize) -> Ask {
    let text = format!("Question {number} of {name}");
    Ask { streamed: number % 2 == 1, ..Ask::new("acme", format!("{name}:{number}"), text) }
}

/// Buys until the budget has said no several times in a row: what others have set aside may come back.
async fn spend(gateway: &Gateway, tenant: &str, lane: String, max_output: u32) {
    let (mut number, mut refusals) = (0, 0);
    while refusals < REFUSALS {
        let key = format!("{tenant}:{lane}:{number}");
        let text = format!("Question {number} of {tenant} {lane} {}", "wind ".repeat(100));
        let ask = Ask { max_output, ..Ask::new(tenant, key, text) };
        match ask.once(gateway).await {
            Ok(_) => (number, refusals) = (number + 1, 0),
            Err(failure) if failure.reason == Reason::BudgetExhausted => {
                refusals += 1;
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(failure) => tokio::time::sleep(put_off(&ask.key, &failure).min(Duration::from_secs(1))).await,
        }
    }
}

/// Asks one question after the other, without an end.
pub(crate) async fn flood(gateway: &Gateway, lane: String, padding: usize) {
    for number in 0.. {
        let text = format!("Question {number} of {lane} {}", "wind ".repeat(padding / 5));
        Ask::new("acme", format!("flood:{lane}:{number}"), text).until_answered(gateway).await;
    }
}
