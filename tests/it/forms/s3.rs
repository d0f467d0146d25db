//! The client of the object store, against a server that nobody here wrote; and a door before it that can be shut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use longshore::{
    config::{ObjectSettings, from_toml},
    queue::{
        objects::{ObjectError, ObjectStore as _},
        s3::S3Objects,
    },
};
use tokio::net::{TcpListener, TcpStream};

/// Where `make test` tells the endpoint of its LocalStack.
#[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test`")]
pub(crate) fn localstack() -> String {
    std::env::var("LONGSHORE_TEST_AWS")
        .unwrap_or_else(|_| panic!("LONGSHORE_TEST_AWS is not set: run `make test`, it brings a LocalStack"))
}

/// A fresh bucket at this endpoint.
pub(crate) async fn bucket(endpoint: &str) -> String {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true);
    let name = format!("b-{}", uuid::Uuid::new_v4().simple());
    aws_sdk_s3::Client::from_conf(config.build()).create_bucket().bucket(&name).send().await.unwrap();
    name
}

/// The client under test.
pub(crate) async fn client(endpoint: &str, timeout: Duration) -> S3Objects {
    let settings = from_toml("", &[]).unwrap().settings;
    let objects = ObjectSettings {
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        path_style: true,
        timeout,
        ..settings.objects
    };
    S3Objects::connect(&objects, &settings.queue).await
}

/// A door to a server: closed, it drops whoever knocks.
pub(super) struct Door {
    pub(super) endpoint: String,
    pub(super) open: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    pub(super) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (open, server) =
            (Arc::new(AtomicBool::new(false)), server.trim_start_matches("http://").to_owned());
        let is_open = Arc::clone(&open);
        let task = tokio::spawn(async move {
            while let Ok((mut visitor, _)) = listener.accept().await {
                if is_open.load(Ordering::SeqCst) {
                    let mut behind = TcpStream::connect(&server).await.unwrap();
                    tokio::spawn(async move {
                        let _ = tokio::io::copy_bidirectional(&mut visitor, &mut behind).await;
                    });
                }
            }
        });
        Self { endpoint, open, task }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_is_got_and_never_more_than_asked_for() {
    let endpoint = localstack();
    let (bucket, client) = (bucket(&endpoint).await, client(&endpoint, LONG).await);
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    for key in ["longshore/bodies/ing_1", "ümläut and space/+?&#.json", "a//b/../c"] {
        client.put(&bucket, key, body.clone()).await.unwrap();
        assert!(client.get(&bucket, key, body.len()).await.unwrap() == body, "{key}");
    }
    assert_eq!(client.get(&bucket, "a//b/../c", body.len() - 1).await, Err(ObjectError::TooLarge));
    assert_eq!(client.get(&bucket, "none", 10).await, Err(ObjectError::Missing));
    client.put(&bucket, "empty", Vec::new()).await.unwrap();
    assert_eq!(client.get(&bucket, "empty", 0).await, Ok(Vec::new()));
    // A bucket that is listed and not there is our mistake, not the message's.
    let gone = client.get("no-such-bucket-of-ours", "none", 10).await;
    assert!(matches!(&gone, Err(ObjectError::Unavailable(why)) if why.contains("NoSuchBucket")), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_or_silent_is_unavailable() {
    let away = client("http://127.0.0.1:1", LONG).await;
    assert!(matches!(away.get("b", "k", 10).await, Err(ObjectError::Unavailable(_))));
    assert!(matches!(away.put("b", "k", vec![1]).await, Err(ObjectError::Unavailable(_))));
    // Accepts, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent =
        client(&format!("http://{}", listener.local_addr().unwrap()), Duration::from_millis(300)).await;
    assert!(matches!(silent.get("b", "k", 10).await, Err(ObjectError::Unavailable(_))));
}
