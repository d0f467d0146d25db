//! The port: accepts connections, bounded in number and in patience, and stops in order.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config::Settings,
    edge::{
        door::doors,
        hook::serve,
        inside::Inside,
        limits::Limits,
        outlet::{Calls, Outlet},
        peer::Peers,
        seal::Sealer,
    },
    http::Http,
    lifecycle::Vitals,
    queue::contract::Queue,
    sources::{objects::Objects, senders::Senders},
};

/// Time for the head of a request, from the end of the one before: also the longest idle connection.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Largest head, in bytes; most headers, as many as an envelope takes.
const LARGEST_HEAD: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;
/// After an error of the socket itself, such as too many open files.
const RECOVERY: Duration = Duration::from_millis(100);

/// What an edge is made of.
pub struct Parts {
    /// Where messages go.
    pub queue: Arc<dyn Queue>,
    /// The configured senders.
    pub senders: Senders,
    /// For confirming subscriptions.
    pub http: Http,
    /// When requests are received.
    pub clock: Arc<dyn Clock>,
    /// Sends leave their signs here.
    pub vitals: Arc<Vitals>,
    /// Where bodies go that are too large for a message.
    pub objects: Objects,
    /// All settings.
    pub settings: Settings,
}

/// A running edge.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    vitals: Arc<Vitals>,
    /// Nothing new is accepted.
    stop: CancellationToken,
    /// What still runs is broken off.
    abort: CancellationToken,
    accepting: JoinHandle<()>,
    sending: JoinHandle<()>,
    connections: TaskTracker,
}

impl Edge {
    /// Binds and serves. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(parts: Parts) -> io::Result<Self> {
        let Parts { queue, senders, http, clock, vitals, objects, settings } = parts;
        let intake = settings.intake.clone();
        let listener = TcpListener::bind(intake.listen).await?;
        let address = listener.local_addr()?;
        let calls = Calls {
            queue,
            vitals: Arc::clone(&vitals),
            clock: Arc::clone(&clock),
            linger: intake.linger,
            patience: intake.send_timeout,
        };
        let (outlet, sending) = Outlet::start(calls, intake.max_waiting);
        let inside = Arc::new(Inside {
            doors: doors(&settings, &senders, &format!("http://{address}")),
            limits: Limits::new(&intake),
            peers: Peers::new(&intake),
            sealer: Sealer { fifo: settings.queue.url.ends_with(".fifo"), seal: settings.seal, objects },
            outlet,
            http,
            clock,
            state_dir: intake.state_dir,
        });
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let port = Port { stop: stop.clone(), abort: abort.clone(), connections: connections.clone() };
        let room = Arc::new(Semaphore::new(intake.max_connections.min(Semaphore::MAX_PERMITS)));
        let accepting = tokio::spawn(port.accept(listener, inside, room));
        Ok(Self { address, vitals, stop, abort, accepting, sending, connections })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing new, finishes the requests that it has and sends what waits. Answers whether all of it was
    /// finished within `drain`, before `hurry`; what was not got no 2xx.
    pub async fn stop(self, drain: Duration, hurry: CancellationToken) -> bool {
        self.vitals.drain();
        self.stop.cancel();
        let finish = async {
            // Both ends are known: they neither fail nor panic but through a defect, and then there is nothing left.
            let _ = self.accepting.await;
            self.connections.close();
            self.connections.wait().await;
            let _ = self.sending.await;
        };
        let finished = tokio::select! {
            end = timeout(drain, finish) => end.is_ok(),
            () = hurry.cancelled() => false,
        };
        self.abort.cancel();
        finished
    }
}

/// What the accepting task holds.
struct Port {
    stop: CancellationToken,
    abort: CancellationToken,
    connections: TaskTracker,
}

impl Port {
    async fn accept(self, listener: TcpListener, inside: Arc<Inside>, room: Arc<Semaphore>) {
        loop {
            let next = async {
                // Beyond the bound connections wait in the system's backlog.
                let place = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
                listener.accept().await.map(|(stream, remote)| (stream, remote, place))
            };
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            match next {
                Ok(connection) => {
                    let (stop, abort) = (self.stop.clone(), self.abort.clone());
                    self.connections.spawn(converse(connection, Arc::clone(&inside), stop, abort));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(RECOVERY).await;
                }
            }
        }
    }
}

/// One connection, to its end.
async fn converse(
    (stream, remote, _place): (TcpStream, SocketAddr, OwnedSemaphorePermit),
    inside: Arc<Inside>,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    // Answers are small and waited for. A socket that refuses this is as good as closed.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let inside = Arc::clone(&inside);
        async move { Ok::<_, Infallible>(serve(&inside, request, remote).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    server.max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    // How a connection ends is the caller's business: each request was answered and counted on its own.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = abort.cancelled() => {}
    }
}
