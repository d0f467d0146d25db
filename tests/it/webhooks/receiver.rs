//! Somebody who takes signed requests, answers as planned, and checks them as the house's own schemes do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri},
    response::IntoResponse,
};
use longshore::{
    clock::{Clock as _, SystemClock},
    config::{KeySettings, SourceSettings},
    domain::{envelope::HttpRequest, reason::Reason},
    sources::{inspect::prove, schemes::SCHEMES},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Longest wait for a request.
const SOON: Duration = Duration::from_secs(30);

/// What the receiver answers, in order; the last for ever.
type Plan = VecDeque<(u16, &'static [(&'static str, &'static str)], Duration)>;

/// Somebody who takes signed requests.
pub(crate) struct Receiver {
    pub(crate) base: String,
    seen: watch::Receiver<Vec<HttpRequest>>,
    server: JoinHandle<()>,
}

struct Desk {
    plan: Mutex<Plan>,
    seen: watch::Sender<Vec<HttpRequest>>,
}

/// Status, headers, and how long it takes.
pub(crate) type Planned = (u16, &'static [(&'static str, &'static str)], Duration);

impl Receiver {
    pub(crate) async fn start(plan: &[Planned]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (told, seen) = watch::channel(Vec::new());
        let desk = Arc::new(Desk { plan: Mutex::new(plan.iter().copied().collect()), seen: told });
        let router = Router::new().fallback(take).with_state(desk);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, seen, server }
    }

    pub(crate) async fn answering(status: u16) -> Self {
        Self::start(&[(status, &[], Duration::ZERO)]).await
    }

    pub(crate) fn seen(&self) -> Vec<HttpRequest> {
        self.seen.borrow().clone()
    }

    pub(crate) async fn until(&mut self, requests: usize) -> Vec<HttpRequest> {
        let enough = self.seen.wait_for(|seen| seen.len() >= requests);
        tokio::time::timeout(SOON, enough).await.expect("not in time").unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(desk): State<Arc<Desk>>, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: uri.to_string(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.to_vec(),
    };
    desk.seen.send_modify(|seen| seen.push(request));
    let (status, more, wait) = {
        let mut plan = desk.plan.lock().unwrap();
        if plan.len() > 1 { plan.pop_front().unwrap() } else { plan[0] }
    };
    tokio::time::sleep(wait).await;
    let mut answer = HeaderMap::new();
    for (name, value) in more {
        answer.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    (StatusCode::from_u16(status).unwrap(), answer)
}

/// As whoever receives it would check it.
pub(crate) fn verdict(scheme: &str, key: &str, request: &HttpRequest) -> Result<(), Reason> {
    let row = SCHEMES.iter().find(|row| row.name == scheme).unwrap();
    let settings = SourceSettings {
        keys: vec![KeySettings::of_text("k-1", key)],
        ..SourceSettings::of_vendor("standard-webhooks").unwrap()
    };
    prove(row, &settings, request, SystemClock.now()).map_err(|(reason, _)| reason)
}
