//! An edge in this process, in front of a world's queue, and a client that sends what it is told, byte for byte.

use std::{net::SocketAddr, sync::Arc};

use longshore::{
    app::intake::Intake,
    clock::Clock,
    domain::envelope::HttpRequest,
    edge::{Edge, Parts},
    http::Http,
    lifecycle::Vitals,
    queue::sqs::SqsQueue,
    sources::{self, objects::Objects},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::World;

/// What an edge answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl World {
    /// Starts an edge as `longshore intake` does, on a free port.
    pub(crate) async fn intake(&self) -> Intake {
        Intake::start(self.settings.clone()).await.unwrap()
    }

    /// Starts an edge that goes by this clock.
    pub(crate) async fn intake_by(&self, clock: Arc<dyn Clock>) -> Edge {
        let settings = self.settings.clone();
        let parts = Parts {
            queue: Arc::new(SqsQueue::connect(&settings.queue, &settings.queue.url).await),
            senders: sources::senders(&settings).unwrap(),
            http: Http::new().unwrap(),
            clock,
            vitals: Arc::new(Vitals::without_polls()),
            objects: Objects::none(),
            settings,
        };
        Edge::start(parts).await.unwrap()
    }
}

/// Sends a request to this address, whatever host its URL names.
pub(crate) async fn call(address: SocketAddr, request: &HttpRequest) -> Answer {
    let (_, rest) = request.url.split_once("://").unwrap();
    let target = &rest[rest.find('/').unwrap()..];
    let mut head = format!(
        "{} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        request.method,
        request.body.len()
    );
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), b"\r\n", &request.body].concat()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: body.to_owned() }
}
