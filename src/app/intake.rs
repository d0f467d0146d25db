//! The edge, put together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::objects,
    clock::SystemClock,
    config::Settings,
    edge::{Edge, Parts},
    http::Http,
    lifecycle::Vitals,
    queue::sqs::SqsQueue,
    sources,
};

/// How often the executor shows that it turns.
const TICK: Duration = Duration::from_millis(500);

/// An edge with everything it needs, started.
pub struct Intake {
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    edge: Edge,
    drain: Duration,
    ticker: JoinHandle<()>,
}

impl Intake {
    /// Builds and starts an edge. It asks nothing of the queue before the first request: sending is all that its
    /// role need be allowed.
    ///
    /// # Errors
    /// When a setting cannot be used, or the address cannot be bound.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let vitals = Arc::new(Vitals::without_polls());
        let (listen, drain) = (settings.intake.listen, settings.intake.drain);
        let parts = Parts {
            queue: Arc::new(SqsQueue::connect(&settings.queue, &settings.queue.url).await),
            senders: sources::senders(&settings)?,
            http: Http::new()?,
            clock: Arc::new(SystemClock),
            objects: objects::open(&settings).await,
            vitals: Arc::clone(&vitals),
            settings,
        };
        let edge = Edge::start(parts).await.with_context(|| format!("intake.listen {listen}"))?;
        let seen = Arc::clone(&vitals);
        let ticker = tokio::spawn(async move {
            loop {
                seen.tick();
                tokio::time::sleep(TICK).await;
            }
        });
        Ok(Self { vitals, edge, drain, ticker })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.edge.address()
    }

    /// Stops in order; answers whether everything finished by itself. `hurry` shortens the drain.
    pub async fn stop(self, hurry: CancellationToken) -> bool {
        let finished = self.edge.stop(self.drain, hurry).await;
        self.ticker.abort();
        finished
    }
}
