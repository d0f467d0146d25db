//! Restarts the throwaway PostgreSQL: it says itself where it lives.

use std::process::Stdio;

use sqlx::PgPool;
use tokio::process::Command;

/// How it is told to stop: `fast` ends every connection, `immediate` is a crash.
pub(crate) async fn restart(mode: &str) {
    let url = crate::store::harness::cluster();
    let pool = PgPool::connect(&url).await.unwrap();
    let bin = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
    let bin: String = sqlx::query_scalar(bin).fetch_one(&pool).await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&pool).await.unwrap();
    pool.close().await;
    let owner = Command::new("stat").args(["--format=%U", &data]).output().await.unwrap();
    let owner = String::from_utf8(owner.stdout).unwrap().trim().to_owned();
    let me = Command::new("id").arg("-un").output().await.unwrap();
    let me = String::from_utf8(me.stdout).unwrap().trim().to_owned();
    let program = format!("{bin}/pg_ctl");
    let mut command = if owner == me {
        Command::new(&program)
    } else {
        // The server does not run as root.
        let mut command = Command::new("runuser");
        command.args(["-u", &owner, "--", &program]);
        command
    };
    let log = format!("--log={data}/restarted.log");
    command.args(["restart", "--wait", "--timeout=60", "-m", mode, "-D", &data, &log]);
    let silent = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(silent.status().await.unwrap().success(), "PostgreSQL does not restart");
}
