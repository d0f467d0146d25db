//! A worker as a process of its own, which may be killed, stopped and asked to end.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::Instant;

/// How often its end is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// SIGKILL.
pub(crate) const KILL: i32 = 9;

/// The process; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    pub(super) fn start(settings: &Path, log: &Path, environment: &[(&str, &str)]) -> Self {
        let out = File::create(log).unwrap();
        let child = command(settings)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap();
        Self { child, log: log.to_owned() }
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
        assert!(sent.success(), "kill -{name} {pid}");
    }

    /// The most memory that it ever held, in MiB (`VmHWM`).
    pub(crate) fn peak_mebibytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the worker runs on after {within:?}\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for its end by SIGKILL, and by nothing else.
    pub(crate) async fn killed(mut self, within: Duration) {
        let status = self.ended(within).await;
        assert_eq!(status.signal(), Some(KILL), "{status}\n{}", self.log());
    }

    /// Kills it here and now; it must have been alive.
    pub(crate) async fn kill(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the worker ended before\n{}", self.log());
        self.signal("KILL");
        self.killed(Duration::from_secs(5)).await;
    }

    /// Asks it to end, which must go well.
    pub(crate) async fn stop(mut self, within: Duration) {
        self.signal("TERM");
        let status = self.ended(within).await;
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Everything that it said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it said, but for the ordinary.
    pub(crate) fn log(&self) -> String {
        let text = self.said();
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be stopped, or gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `longshore worker` with these settings, and nothing of the test's own environment.
fn command(settings: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
    command.arg("worker").arg("--config").arg(settings);
    for ours in
        ["LONGSHORE_TEST_POSTGRES", "LONGSHORE_TEST_AWS", "LONGSHORE_TEST_AIMOCK", "LONGSHORE_TEST_SEED"]
    {
        command.env_remove(ours);
    }
    command
}
