//! `longshore queue serve`: the embedded SQS-compatible queue on its own.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::queue::local::{
    faults::FaultRule,
    server::{Options, Server},
};

/// The embedded queue.
#[derive(Debug, Args)]
pub struct QueueCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve an SQS-compatible endpoint for one machine, kept in a file. Ends on SIGTERM or Ctrl-C.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen; port 0 takes a free one. There is no access control: stay on loopback.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9324")]
    listen: SocketAddr,
    /// Folder of the queue's file; made when absent.
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
    /// Fail on purpose: OPERATION:error|throttle|lose|duplicate|partial|delay=TIME[:SHARE|:xTIMES], for
    /// instance ReceiveMessage:throttle:0.1 or '*:delay=200ms'. May be given several times.
    #[arg(long, value_name = "RULE")]
    fault: Vec<FaultRule>,
}

impl QueueCommand {
    /// Runs until the process is asked to stop.
    ///
    /// # Errors
    /// The folder or the port cannot be used.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::Serve(serve) => serve.run().await,
        }
    }
}

impl Serve {
    #[expect(clippy::print_stdout, reason = "a command says what it does")]
    async fn run(self) -> anyhow::Result<()> {
        let options = Options { faults: self.fault, ..Options::new(self.listen, self.state_dir) };
        let server = Server::start(options).await?;
        println!("serving SQS at {}", server.endpoint());
        asked_to_stop().await?;
        server.shutdown().await;
        Ok(())
    }
}

async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("SIGTERM cannot be watched")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("Ctrl-C cannot be watched"),
    }
}
