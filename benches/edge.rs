//! How fast the edge is: WhatsApp bodies of about 1 KiB over kept-alive connections, through the edge in this process
//! into the embedded queue, whose every answer is flushed to the disk first.
//!
//! First 64 connections as fast as they can (closed loop); then half that rate on a fixed schedule (open loop), where
//! the latency counts from the moment when a request was due, so that a slow answer is not hidden by a late question.
//!
//! `cargo bench --bench edge`; `LONGSHORE_BENCH_REQUESTS` changes the number of requests (40,000).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing to say")]
#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::disallowed_methods, reason = "its own setting comes from the environment")]

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use longshore::{
    app::intake::Intake,
    clock::{Clock as _, SystemClock},
    config::{Settings, SourceSettings, from_toml},
    queue::{
        contract::Queue as _,
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
    sources::{self, contract::Order, sign::sign_request},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

const CONNECTIONS: usize = 64;
const APP_SECRET: &str = "bench-app-secret";
const SEAL: &str = "whsec_YmVuY2gtb25seS1ub3QtYS1yZWFsLXNlY3JldC0xMjM0NQ==";

fn main() {
    let asked = std::env::var("LONGSHORE_BENCH_REQUESTS").ok().and_then(|number| number.parse().ok());
    let requests: usize = asked.unwrap_or(40_000);
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // Not the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    runtime.block_on(run(folder.path(), requests));
}

async fn run(folder: &Path, requests: usize) {
    let server = Server::start(Options::new("127.0.0.1:0".parse().unwrap(), folder)).await.unwrap();
    let url = server.ensure_queue("bench", &[]).await.unwrap();
    let settings = settings(folder, &server.endpoint(), &url);
    let queue = SqsQueue::connect(&settings.queue, &url).await;
    let intake = Intake::start(settings).await.unwrap();
    let bytes: Arc<[u8]> = request(intake.address()).into();

    let rate = closed_loop(intake.address(), &bytes, requests).await;
    let calls = server.counters().calls("SendMessageBatch");
    println!("closed loop: {rate:.0} requests/s over {CONNECTIONS} connections, {calls} calls to the queue");
    let half = rate / 2.0;
    open_loop(intake.address(), &bytes, requests / 2, half).await;

    assert!(intake.stop(CancellationToken::new()).await);
    let depth = queue.depth().await.unwrap();
    let sent = requests / CONNECTIONS * CONNECTIONS + requests / 2 / CONNECTIONS * CONNECTIONS;
    assert_eq!(usize::try_from(depth.visible).unwrap(), sent, "every 200 is on the queue, once");
    server.shutdown().await;
}

/// Every connection asks again as soon as it was answered. Answers requests a second.
async fn closed_loop(address: SocketAddr, bytes: &Arc<[u8]>, requests: usize) -> f64 {
    let share = requests / CONNECTIONS;
    let mut connections = connect(address).await;
    let started = Instant::now();
    let work = connections.drain(..).map(|mut stream| {
        let bytes = Arc::clone(bytes);
        tokio::spawn(async move {
            for _ in 0..share {
                ask(&mut stream, &bytes).await;
            }
        })
    });
    join_all(work).await.into_iter().for_each(Result::unwrap);
    count(share * CONNECTIONS) / started.elapsed().as_secs_f64()
}

/// Requests are due at fixed times; each goes over the next connection that is free.
async fn open_loop(address: SocketAddr, bytes: &Arc<[u8]>, requests: usize, rate: f64) {
    let requests = requests / CONNECTIONS * CONNECTIONS;
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = connect(address).await;
    let started = Instant::now() + Duration::from_millis(50);
    let work = connections.drain(..).map(|mut stream| {
        let (bytes, next) = (Arc::clone(bytes), Arc::clone(&next));
        tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return took;
                }
                let due = started + Duration::from_secs_f64(count(number) / rate);
                sleep_until(due).await;
                ask(&mut stream, &bytes).await;
                took.push(due.elapsed());
            }
        })
    });
    let mut took: Vec<Duration> = join_all(work).await.into_iter().flat_map(Result::unwrap).collect();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
    println!(
        "open loop at {rate:.0} requests/s: p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms",
        at(50),
        at(99),
        at(100)
    );
}

async fn connect(address: SocketAddr) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    streams
}

/// One request and its answer, which has no body. The client must cost next to nothing.
async fn ask(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut buffer = [0; 1_024];
    let mut filled = 0;
    while !buffer[..filled].ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer[filled..]).await.unwrap();
        assert!(read > 0, "the edge hung up");
        filled += read;
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..filled]));
}

/// A message as WhatsApp sends it, signed.
fn request(address: SocketAddr) -> Vec<u8> {
    let body = serde_json::json!({ "object": "whatsapp_business_account", "entry": [{
        "id": "102290129340398", "changes": [{ "field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550783881", "phone_number_id": "106540352242922" },
            "contacts": [{ "profile": { "name": "Bench" }, "wa_id": "16505551234" }],
            "messages": [{
                "from": "16505551234", "id": "wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
                "timestamp": "1795176000", "type": "text", "text": { "body": "how much? ".repeat(50) },
            }],
        } }],
    }] });
    let settings = SourceSettings::of_vendor("whatsapp").unwrap();
    let order = Order {
        settings: &settings,
        secret: APP_SECRET,
        key_id: None,
        method: "POST",
        url: "https://hooks.example.test/hooks/whatsapp",
        body: body.to_string().into_bytes(),
        id: "bench",
        at: SystemClock.now(),
    };
    let signed = sign_request(sources::scheme("meta-sha256").unwrap(), &order).unwrap();
    let mut text = format!(
        "POST /hooks/whatsapp HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n",
        signed.body.len()
    );
    for (name, value) in &signed.headers {
        text += &format!("{name}: {value}\r\n");
    }
    [text.as_bytes(), b"\r\n", &signed.body].concat()
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn count(number: usize) -> f64 {
    number as f64
}

fn settings(folder: &Path, endpoint: &str, url: &str) -> Settings {
    let secret = |name: &str, value: &str| {
        let path = folder.join(name);
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("file:{}", path.display())
    };
    let (app, seal) = (secret("app", APP_SECRET), secret("seal", SEAL));
    let text = format!(
        r#"
queue = {{ url = "{url}", endpoint = "{endpoint}", region = "us-east-1" }}
intake = {{ listen = "127.0.0.1:0", public_url = "https://hooks.example.test" }}
seal.keys = [{{ id = "edge", secret = "{seal}", sources = ["*"] }}]
[sources.whatsapp]
vendor = "whatsapp"
tenant = "bench"
keys = [{{ id = "app", secret = "{app}" }}]
"#
    );
    from_toml(&text, &[]).unwrap().into_settings().unwrap()
}
