//! A vendor that knows nothing of us: answers what a script says, byte for byte, and notes when it was asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::dialects::Dialect;

/// What it does with one request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
    /// A good answer, this much later.
    Late(Duration),
    /// A stream without its last event, and with an end as if that were all.
    CutStream,
    /// Less of a plain answer than its length promises.
    Torn,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    /// The status answered; 0 for none.
    pub(super) status: u16,
}

/// What happens to the texts that hold a word: each act once, in this order, then all goes well.
type Scripts = HashMap<&'static str, Vec<Act>>;

/// The vendor.
pub(super) struct Vendor {
    pub(super) base_url: String,
    told: Arc<Told>,
}

struct Told {
    dialect: Dialect,
    scripts: Scripts,
    asked: Mutex<HashMap<&'static str, Vec<Asked>>>,
}

impl Vendor {
    pub(super) async fn start(dialect: Dialect, scripts: Scripts) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}{}", listener.local_addr().unwrap(), dialect.version);
        let told = Arc::new(Told { dialect, scripts, asked: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, told }
    }

    /// The requests of one case.
    pub(super) fn asked(&self, case: &str) -> Vec<Asked> {
        self.told.asked.lock().unwrap().get(case).cloned().unwrap_or_default()
    }
}

async fn answer(State(told): State<Arc<Told>>, body: Bytes) -> Response {
    let at = Instant::now();
    let text = String::from_utf8_lossy(&body).into_owned();
    let request: Value = serde_json::from_str(&text).unwrap_or_default();
    let case = told.scripts.keys().copied().find(|case| text.contains(*case)).unwrap_or("good");
    let act = {
        let mut asked = told.asked.lock().unwrap();
        let before = asked.entry(case).or_default();
        let act = told.scripts.get(case).and_then(|acts| acts.get(before.len())).cloned();
        let status = match &act {
            Some(Act::Answer(status, ..)) => *status,
            Some(Act::CutStream | Act::Torn) => 0,
            Some(Act::Late(_)) | None => 200,
        };
        before.push(Asked { at, status });
        act
    };
    let reading = instance(&schema(&request).unwrap_or(json!({ "type": "string" })));
    let streamed = (told.dialect.streams)(&request);
    let whole = || (told.dialect.answer)(&reading.to_string());
    let events = || (told.dialect.events)(&reading.to_string());
    let well = || match streamed {
        true => sse(events()),
        false => plain(200, &[], whole()),
    };
    match act {
        None => well(),
        Some(Act::Late(wait)) => {
            tokio::time::sleep(wait).await;
            well()
        }
        Some(Act::Answer(status, headers, body)) => plain(status, &headers, body),
        Some(Act::CutStream) => {
            let mut events = events();
            events.pop();
            sse(events)
        }
        Some(Act::Torn) => {
            let body = whole();
            let promised = body.len().to_string();
            let half = body[..body.len() / 2].to_owned();
            let piece = stream::iter([Ok(half), Err(std::io::Error::other("gone"))]);
            let response = Response::builder().header("content-type", "application/json");
            response.header("content-length", promised).body(Body::from_stream(piece)).unwrap()
        }
    }
}

fn plain(status: u16, headers: &[(&'static str, &'static str)], body: String) -> Response {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body)).unwrap()
}

fn sse(events: Vec<String>) -> Response {
    let pieces = stream::iter(events.into_iter().map(Ok::<_, std::io::Error>));
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from_stream(pieces)).unwrap()
}

/// The schema of the answer, wherever the vendor's dialect puts it: also as a JSON string.
fn schema(request: &Value) -> Option<Value> {
    match request {
        Value::Object(fields) if fields.get("properties").is_some_and(Value::is_object) => {
            Some(request.clone())
        }
        Value::Object(fields) => fields.values().find_map(schema),
        Value::Array(items) => items.iter().find_map(schema),
        Value::String(text) if text.starts_with('{') => schema(&serde_json::from_str(text).ok()?),
        _ => None,
    }
}

/// Something that keeps a schema.
fn instance(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|known| known.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap_or_default().to_lowercase(),
        kind => kind.as_str().unwrap_or_default().to_lowercase(),
    };
    match kind.as_str() {
        "object" => {
            let fields = schema["properties"].as_object().cloned().unwrap_or_default();
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), instance(field))).collect())
        }
        "array" => json!([]),
        "number" => json!(0.5),
        "integer" => json!(1),
        "boolean" => json!(false),
        _ => json!("en"),
    }
}
