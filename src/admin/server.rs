//! The port. It has a thread and an executor of its own: when the working executor is stuck, somebody must
//! still be there to say so.

use std::{io, net::SocketAddr, thread};

use axum::{Router, routing::get};
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use crate::admin::{
    health::{Probes, livez, readyz},
    metrics::metrics,
};

/// The running server.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl Admin {
    /// Binds and serves the pages of these probes. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(listen: SocketAddr, probes: impl Into<Router>) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind(listen)?;
        socket.set_nonblocking(true)?;
        let (address, stop) = (socket.local_addr()?, CancellationToken::new());
        let executor = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stopped, router) = (stop.clone(), probes.into());
        let serve = move || {
            executor.block_on(async {
                let served = async {
                    let listener = tokio::net::TcpListener::from_std(socket)?;
                    axum::serve(listener, router).await
                };
                // Not graceful: a scraper that keeps its connection open must not keep the process.
                tokio::select! {
                    () = stopped.cancelled() => {}
                    Err(error) = served => tracing::error!(%error, "the admin port is closed"),
                }
            });
        };
        let thread = Some(thread::Builder::new().name("admin".to_owned()).spawn(serve)?);
        Ok(Self { address, stop, thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    /// Closes the port and waits for the thread, which ends at once.
    fn drop(&mut self) {
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the admin thread panicked");
        }
    }
}

impl From<Probes> for Router {
    fn from(probes: Probes) -> Self {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(probes)
    }
}
