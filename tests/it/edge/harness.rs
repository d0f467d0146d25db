//! An edge in this process before an embedded queue, and a caller that writes bytes as it likes.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    app::intake::Intake,
    config::{Settings, from_toml},
    domain::{delivery::Delivery, envelope::HttpRequest},
    queue::{
        contract::Queue as _,
        local::server::{Options, Server},
        sqs::SqsQueue,
    },
    sources::{contract::Order, scheme, sign::sign_request, vendor},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::senders::{EDGE, secret_of};

/// Longer than anything here takes: the end of a wait that fails.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// Where vendors think that they call.
pub(super) const PUBLIC: &str = "https://hooks.example.test";

/// The world of one test.
pub(super) struct World {
    pub(super) intake: Intake,
    pub(super) queue: SqsQueue,
    pub(super) server: Server,
    pub(super) folder: TempDir,
}

/// What is unusual about it.
#[derive(Default)]
pub(super) struct Unusual<'a> {
    /// Lines of `[intake]`.
    pub(super) intake: &'a str,
    /// Lines of `[sources.whatsapp]`.
    pub(super) whatsapp: &'a str,
    /// Faults of the queue.
    pub(super) faults: &'a [&'a str],
}

/// A file that only we can read, as a reference.
pub(super) fn secret(folder: &TempDir, name: &str, value: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join(name);
    std::fs::write(&path, value).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("file:{}", path.display())
}

/// Sources `whatsapp`, `hubspot` and `standard-webhooks`, all of tenant `acme`.
pub(super) fn text(folder: &TempDir, [endpoint, url]: [&str; 2], unusual: &Unusual<'_>) -> String {
    let Unusual { intake, whatsapp, .. } = unusual;
    let source = |name: &str| {
        let key = secret(folder, name, secret_of(name));
        let more = if name == "whatsapp" { whatsapp } else { "" };
        format!(
            "[sources.{name}]\nvendor = \"{name}\"\ntenant = \"acme\"\nkeys = [{{ id = \"k\", secret = \"{key}\" }}]\n{more}\n"
        )
    };
    let sources = ["whatsapp", "hubspot", "standard-webhooks"].map(source).concat();
    let edge = secret(folder, "edge", EDGE);
    let state = folder.path().join("state");
    format!(
        r#"
queue = {{ url = "{url}", endpoint = "{endpoint}", region = "us-east-1" }}
seal.keys = [{{ id = "edge", secret = "{edge}", sources = ["*"] }}]
admin.listen = "127.0.0.1:0"
[intake]
listen = "127.0.0.1:0"
public_url = "{PUBLIC}"
state_dir = "{}"
{intake}
{sources}"#,
        state.display()
    )
}

pub(super) fn settings(text: &str) -> Settings {
    from_toml(text, &[]).unwrap().into_settings().unwrap()
}

impl World {
    pub(super) async fn usual() -> Self {
        Self::with(Unusual::default()).await
    }

    pub(super) async fn with(unusual: Unusual<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new("127.0.0.1:0".parse().unwrap(), folder.path().join("queue"));
        options.faults = unusual.faults.iter().map(|rule| rule.parse().unwrap()).collect();
        let server = Server::start(options).await.unwrap();
        let url = server.ensure_queue("events", &[]).await.unwrap();
        let settings = settings(&text(&folder, [&server.endpoint(), &url], &unusual));
        let queue = SqsQueue::connect(&settings.queue, &url).await;
        Self { intake: Intake::start(settings).await.unwrap(), queue, server, folder }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.intake.address()
    }

    /// Asks, and reads the answer.
    pub(super) async fn ask(&self, bytes: &[u8]) -> Answer {
        ask(self.address(), bytes).await
    }

    /// Everything on the queue.
    pub(super) async fn messages(&self) -> Vec<Delivery> {
        let depth = self.queue.depth().await.unwrap().visible;
        let mut all = Vec::new();
        while all.len() < usize::try_from(depth).unwrap() {
            all.extend(self.queue.receive(10, Duration::ZERO, Duration::from_secs(600)).await.unwrap());
        }
        all
    }

    /// The only message on the queue, and its envelope.
    pub(super) async fn only(&self) -> (Delivery, Value) {
        let mut all = self.messages().await;
        assert_eq!(all.len(), 1);
        let delivery = all.remove(0);
        let envelope = serde_json::from_str(&delivery.body).unwrap();
        (delivery, envelope)
    }

    pub(super) async fn finish(self) {
        assert!(self.intake.stop(CancellationToken::new()).await, "every request was answered");
        self.server.shutdown().await;
    }
}

/// The vendor's body in an envelope.
pub(super) fn body_of(envelope: &Value) -> Vec<u8> {
    STANDARD.decode(envelope["request"]["body_base64"].as_str().unwrap()).unwrap()
}

/// An answer, taken apart.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// `error` of a refusal.
    pub(super) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

/// Writes the bytes of one request and reads until the server closes; `None` when it closed without an answer.
pub(super) async fn try_ask(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    answer(&mut stream).await
}

pub(super) async fn ask(address: SocketAddr, bytes: &[u8]) -> Answer {
    try_ask(address, bytes).await.expect("an answer")
}

/// What comes until the server closes.
pub(super) async fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut all = Vec::new();
    timeout(LONG, stream.read_to_end(&mut all)).await.expect("no end of the answer").ok()?;
    let text = String::from_utf8(all).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// A request as the vendor of that name signs it.
pub(super) fn signed(vendor_name: &str, url: &str, body: &[u8]) -> HttpRequest {
    use longshore::clock::{Clock as _, SystemClock};
    let settings = longshore::config::SourceSettings::of_vendor(vendor_name).unwrap();
    let order = Order {
        settings: &settings,
        secret: secret_of(vendor_name),
        key_id: None,
        method: "POST",
        url,
        body: body.to_vec(),
        id: "msg_1",
        at: SystemClock.now(),
    };
    sign_request(vendor(vendor_name).and_then(|row| scheme(row.scheme?)).unwrap(), &order).unwrap()
}

/// The bytes of a signed request to this path, with further header lines.
pub(super) fn post(path: &str, request: &HttpRequest, more: &str) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: edge.internal\r\nconnection: close\r\ncontent-length: {}\r\n{more}",
        request.body.len()
    );
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", &request.body].concat()
}

/// A signed WhatsApp request of this body.
pub(super) fn whatsapp(body: &[u8]) -> Vec<u8> {
    post("/hooks/whatsapp", &signed("whatsapp", PUBLIC, body), "")
}

pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}
