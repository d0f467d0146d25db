//! A server that answers each request with the next bytes of its script, whatever they are, and remembers what was
//! asked; and the calls made against it.

use std::{
    collections::VecDeque,
    io::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use longshore::{
    config::{ProviderKind, ProviderSettings, secret::SecretRef},
    http::Http,
    llm::{
        contract::{AnswerShape, CallError, Completion, Pieces, Provider, Rejection, Request, Turn},
        vendors,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One answer.
#[derive(Clone)]
pub(in crate::llm) struct Said {
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Vec<Vec<u8>>,
    /// Between two pieces.
    pause: Duration,
    end: End,
}

/// What comes after the last piece.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The body is whole, as far as HTTP goes.
    Clean,
    /// The connection closes in the middle of the body.
    Broken,
    /// Nothing, for as long as the client bears it.
    Silent,
}

impl Said {
    pub(in crate::llm) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string().into_bytes())
    }

    pub(in crate::llm) fn bytes(status: u16, kind: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        // So that the client reads them one by one.
        let pause = Duration::from_millis(1);
        Self { status, headers, pieces: vec![body], pause, end: End::Clean }
    }

    /// Server-sent events, as they stand.
    pub(in crate::llm) fn events(text: &str) -> Self {
        Self::bytes(200, "text/event-stream; charset=utf-8", text.as_bytes().to_vec())
    }

    pub(in crate::llm) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In pieces of so many bytes, each written by itself.
    pub(in crate::llm) fn split(mut self, bytes: usize) -> Self {
        self.pieces = self.pieces.concat().chunks(bytes).map(<[u8]>::to_vec).collect();
        self
    }

    /// With this silence after so many bytes.
    pub(in crate::llm) fn pausing(mut self, bytes: usize, pause: Duration) -> Self {
        let mut begin = self.pieces.concat();
        let rest = begin.split_off(bytes);
        (self.pieces, self.pause) = (vec![begin, rest], pause);
        self
    }

    pub(in crate::llm) fn broken(mut self) -> Self {
        self.end = End::Broken;
        self
    }

    pub(in crate::llm) fn silent(mut self) -> Self {
        self.end = End::Silent;
        self
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(in crate::llm) struct Asked {
    /// `POST /path?query`.
    pub(in crate::llm) line: String,
    head: String,
    pub(in crate::llm) body: Value,
}

impl Asked {
    pub(in crate::llm) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// The server.
pub(in crate::llm) struct Raw {
    pub(in crate::llm) url: String,
    script: Arc<Mutex<VecDeque<Said>>>,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Raw {
    pub(in crate::llm) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (script, log) = (Arc::<Mutex<VecDeque<Said>>>::default(), Arc::<Mutex<Vec<Asked>>>::default());
        let (own_script, own_log) = (Arc::clone(&script), Arc::clone(&log));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, log) = (Arc::clone(&own_script), Arc::clone(&own_log));
                tokio::spawn(async move {
                    let _ = serve(socket, &script, &log).await;
                });
            }
        });
        Self { url, script, log }
    }

    pub(in crate::llm) fn says(&self, said: Said) {
        self.script.lock().unwrap().push_back(said);
    }

    pub(in crate::llm) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

/// One request, one answer, then the connection closes.
async fn serve(
    mut socket: TcpStream,
    script: &Mutex<VecDeque<Said>>,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let (line, headers) = text.split_once("\r\n").unwrap();
    let asked = |body: &[u8]| Asked {
        line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        head: headers.to_owned(),
        body: serde_json::from_slice(body).unwrap_or_default(),
    };
    let length: usize = asked(&[]).header("content-length").unwrap().parse().unwrap();
    while read.len() < head + length {
        if socket.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
    log.lock().unwrap().push(asked(&read[head..]));
    // Out of script: the connection closes without an answer.
    let said = script.lock().unwrap().pop_front();
    match said {
        Some(said) => answer(socket, said).await,
        None => Ok(()),
    }
}

async fn answer(mut socket: TcpStream, said: Said) -> std::io::Result<()> {
    let whole: usize = said.pieces.iter().map(Vec::len).sum();
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", said.status);
    for (name, value) in &said.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match said.end {
        End::Clean => head.push_str(&format!("content-length: {whole}\r\n\r\n")),
        End::Broken | End::Silent => head.push_str(&format!("content-length: {}\r\n\r\n", whole + 1)),
    }
    socket.write_all(head.as_bytes()).await?;
    for (at, piece) in said.pieces.iter().enumerate() {
        if at > 0 {
            tokio::time::sleep(said.pause).await;
        }
        socket.write_all(piece).await?;
    }
    if said.end == End::Silent {
        while socket.read(&mut [0; 64]).await? > 0 {}
    }
    socket.shutdown().await
}

/// A provider of this kind behind the key `sk-test-key`, at this base.
pub(in crate::llm) struct Called {
    pub(in crate::llm) provider: Arc<dyn Provider>,
    pub(in crate::llm) settings: ProviderSettings,
    _key: tempfile::NamedTempFile,
}

pub(in crate::llm) const KEY: &str = "sk-test-key";

impl Called {
    pub(in crate::llm) fn at(kind: ProviderKind, base: &str) -> Self {
        Self::with(kind, base, |_| {})
    }

    pub(in crate::llm) fn with(
        kind: ProviderKind,
        base: &str,
        set: impl FnOnce(&mut ProviderSettings),
    ) -> Self {
        let mut key = tempfile::NamedTempFile::new().unwrap();
        writeln!(key, "{KEY}").unwrap();
        let mut settings = ProviderSettings::of_kind(kind).unwrap();
        settings.base_url = Some(base.to_owned());
        settings.api_key = Some(SecretRef(format!("file:{}", key.path().display())));
        set(&mut settings);
        let provider = vendors::provider(&settings, &Http::new().unwrap()).unwrap();
        Self { provider, settings, _key: key }
    }

    pub(in crate::llm) async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        self.provider.complete(request).await
    }
}

/// A plain question that wants a text.
pub(in crate::llm) fn plain() -> Request {
    Request {
        model: "model-1".to_owned(),
        system: "Answer briefly.".to_owned(),
        turns: vec![Turn::user("Hello?"), Turn::assistant("Yes?"), Turn::user("What is the price?")],
        answer: AnswerShape::Text,
        max_output: 500,
        temperature: None,
        reasoning_effort: None,
        service_tier: None,
        stream: None,
        correlation_id: "trace-1".into(),
        timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(20),
    }
}

/// The same, streamed, and the pieces as they come.
pub(in crate::llm) fn streamed() -> (Request, Arc<Mutex<Vec<String>>>) {
    let came = Arc::<Mutex<Vec<String>>>::default();
    let taker = Arc::clone(&came);
    let pieces = Pieces(Arc::new(move |piece: &str| taker.lock().unwrap().push(piece.to_owned())));
    (Request { stream: Some(pieces), ..plain() }, came)
}

/// With a schema and every setting.
pub(in crate::llm) fn adorned() -> Request {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["answer"],
        "properties": { "answer": { "type": "string", "maxLength": 9 } }
    });
    Request {
        answer: AnswerShape::Json { name: "reading".to_owned(), schema },
        temperature: Some(0.5),
        reasoning_effort: Some("low".to_owned()),
        service_tier: Some("flex".to_owned()),
        ..plain()
    }
}

/// The schema as every provider takes it.
pub(in crate::llm) fn portable_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["answer"],
        "properties": { "answer": { "type": "string", "description": "(maxLength 9)" } }
    })
}

pub(in crate::llm) fn rejected(
    result: Result<Completion, CallError>,
) -> (Rejection, Option<Duration>, String) {
    match result {
        Err(CallError::Rejected { class, detail, wait }) => (class, wait, detail),
        other => panic!("not rejected: {other:?}"),
    }
}

pub(in crate::llm) fn interrupted(result: Result<Completion, CallError>) -> (String, Completion) {
    match result {
        Err(CallError::Interrupted { detail, partial }) => (detail, *partial),
        other => panic!("not interrupted: {other:?}"),
    }
}

/// An address where nobody listens.
pub(in crate::llm) async fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", free.local_addr().unwrap())
}
