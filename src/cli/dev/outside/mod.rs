//! A stand-in for the outside world, on loopback: the WhatsApp Cloud API and a model behind OpenAI's chat
//! completions, plain and streamed. It answers as those do, keeps a log and a bill by which tests and people
//! judge what was really asked of it, and goes wrong on request. It merges nothing: what is sent twice is
//! there twice.

mod callback;
pub mod limits;
mod model;
mod openai;
mod reply;
pub mod script;
mod stream;
mod whatsapp;
pub mod world;

use std::{io, sync::Arc};

use axum::{Router, routing::post};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::dev::outside::{
        limits::Limits,
        script::Script,
        world::{Seen, Totals, World},
    },
    queue::local::listener::{CuttableListener, Scissors},
};

/// The stand-in, running until shut down or dropped.
#[derive(Debug)]
pub struct Outside {
    /// `http://127.0.0.1:PORT`.
    pub base_url: String,
    world: Arc<World>,
    stop: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Outside {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let (world, stop) = (Arc::new(World::default()), CancellationToken::new());
        let router = Router::new()
            .route("/v1/chat/completions", post(openai::completions))
            .route("/{version}/{phone}/messages", post(whatsapp::messages))
            .route("/callbacks/{*chat}", post(callback::take))
            .with_state(Arc::clone(&world));
        let service = router.into_make_service_with_connect_info::<Scissors>();
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            axum::serve(CuttableListener(listener), service).with_graceful_shutdown(stopped).await
        });
        Ok(Self { base_url, world, stop, server })
    }

    /// For `llm.providers.*.base_url`.
    #[must_use]
    pub fn llm_base_url(&self) -> String {
        format!("{}/v1", self.base_url)
    }

    /// For `whatsapp.base_url`.
    #[must_use]
    pub fn whatsapp_base_url(&self) -> String {
        format!("{}/v23.0", self.base_url)
    }

    /// Every request so far.
    #[must_use]
    pub fn log(&self) -> Vec<Seen> {
        self.world.log()
    }

    /// The length of the log, to be told when it grows.
    #[must_use]
    pub fn grown(&self) -> watch::Receiver<usize> {
        self.world.grown()
    }

    /// Returns the log once it satisfies `enough`; waits for ever else.
    pub async fn until(&self, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut grown = self.grown();
        loop {
            let log = self.log();
            if enough(&log) {
                return log;
            }
            // The sender lives as long as this.
            let _ = grown.changed().await;
        }
    }

    /// Adds a fault. Scripts are looked at in the order in which they were added, before tags and digits.
    pub fn script(&self, script: Script) {
        self.world.script(script);
    }

    /// Forgets all scripts: from now on everything goes well, but for tags and digits.
    pub fn heal(&self) {
        self.world.heal();
    }

    /// Sets the model's limits, or lifts them with the default; also while requests are under way.
    pub fn limit(&self, limits: Limits) {
        self.world.limit(limits);
    }

    /// What the model has billed so far.
    #[must_use]
    pub fn billed(&self) -> Totals {
        Totals::of(&self.log())
    }

    /// Stops listening and waits for open requests; connections that only idle are closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        // An error of the server has nobody left to concern.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.stop.cancel();
        self.server.abort();
    }
}
