//! A fresh queue with its dead-letter queue for each test, on one of two servers.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::QueueAttributeName,
};
use longshore::{
    config::QueueSettings,
    domain::delivery::Delivery,
    queue::{
        clients::SqsClients,
        contract::{OutgoingMessage, Queue as _},
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
};

/// Where `make test` tells the endpoint of its LocalStack.
const LOCALSTACK: &str = "LONGSHORE_TEST_AWS";

/// Longer than anything here takes: the end of a wait that fails.
pub(super) const LONG: Duration = Duration::from_secs(20);

/// Receives after which a message of the test queue is dead.
pub(super) const MAX_RECEIVES: u32 = 2;

/// One server with the test's queues.
pub(super) struct Harness {
    pub(super) queue: SqsQueue,
    pub(super) dead: SqsQueue,
    pub(super) clients: SqsClients,
    pub(super) url: String,
    sqs: Client,
    dead_url: String,
    embedded: Option<(Server, tempfile::TempDir)>,
}

pub(super) async fn embedded() -> Harness {
    let (server, folder) = serve(|_| ()).await;
    Harness::open(server.endpoint(), Some((server, folder))).await
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test`")]
pub(super) async fn localstack() -> Harness {
    let endpoint = std::env::var(LOCALSTACK)
        .unwrap_or_else(|_| panic!("{LOCALSTACK} is not set: run `make test`, it brings a LocalStack"));
    Harness::open(endpoint, None).await
}

/// An embedded server in a folder of its own.
pub(super) async fn serve(change: impl FnOnce(&mut Options)) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new("127.0.0.1:0".parse().unwrap(), folder.path());
    change(&mut options);
    (Server::start(options).await.unwrap(), folder)
}

/// A plain SDK client without retries, for what the contract does not offer.
pub(super) fn sdk(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// Settings for a server on this machine.
pub(super) fn settings(endpoint: &str, url: &str) -> QueueSettings {
    QueueSettings {
        url: url.to_owned(),
        dead_letter_url: String::new(),
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        default_form: None,
        default_source: None,
        trust: None,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(60),
    }
}

/// The client under test, on a queue of an embedded server.
pub(super) async fn client(server: &Server, name: &str) -> SqsQueue {
    let url = server.queue_url(name);
    SqsQueue::connect(&settings(&server.endpoint(), &url), &url).await
}

impl Harness {
    async fn open(endpoint: String, embedded: Option<(Server, tempfile::TempDir)>) -> Self {
        let sqs = sdk(&endpoint);
        let name = format!("t-{}", uuid::Uuid::new_v4().simple());
        let dead = sqs.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap();
        let dead_url = dead.queue_url.unwrap();
        let policy = serde_json::json!({
            "deadLetterTargetArn": arn(&sqs, &dead_url).await,
            "maxReceiveCount": MAX_RECEIVES,
        });
        let queue = sqs
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
            .send();
        let url = queue.await.unwrap().queue_url.unwrap();
        let clients = SqsClients::connect(&settings(&endpoint, &url)).await;
        Self {
            queue: SqsQueue::new(clients.clone(), &url),
            dead: SqsQueue::new(clients.clone(), &dead_url),
            clients,
            url,
            sqs,
            dead_url,
            embedded,
        }
    }

    /// Takes the queues, or the whole server, away again.
    pub(super) async fn finish(self) {
        match self.embedded {
            Some((server, _folder)) => server.shutdown().await,
            None => {
                for url in [&self.url, &self.dead_url] {
                    self.sqs.delete_queue().queue_url(url).send().await.unwrap();
                }
            }
        }
    }
}

async fn arn(sqs: &Client, url: &str) -> String {
    let call = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
    call.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone()
}

/// A message with nothing but a body.
pub(super) fn text(body: &str) -> OutgoingMessage {
    OutgoingMessage { body: body.to_owned(), ..OutgoingMessage::default() }
}

/// The next message, hidden for a minute.
pub(super) async fn next(queue: &SqsQueue) -> Delivery {
    let mut got = queue.receive(1, LONG, Duration::from_secs(60)).await.unwrap();
    assert_eq!(got.len(), 1, "nothing arrived within {LONG:?}");
    got.remove(0)
}

/// Receives until there are that many.
pub(super) async fn gather(queue: &SqsQueue, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let got = queue.receive(10, LONG, Duration::from_secs(60)).await.unwrap();
        assert!(!got.is_empty(), "{} of {count} arrived", all.len());
        all.extend(got);
    }
    all
}

/// Waits until a condition holds, asking again and again.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + LONG;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
