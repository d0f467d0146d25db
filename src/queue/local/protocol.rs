//! AWS JSON 1.0 over HTTP: one request in, one answer or refusal out.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::Value;

use crate::queue::local::{
    backend::Backend,
    call::Call,
    counters::Counters,
    error::{ApiError, Code},
    faults::Faults,
    listener::Scissors,
    operations,
};

/// A batch of 1 MiB in all, every character escaped as `\u0000`, with room to spare.
const LARGEST_REQUEST: usize = 8 * 1_048_576;

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// What every request needs.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) backend: Backend,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
}

/// The server's routes: counters, and everything else is SQS.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/_longshore/counters", get(counters))
        .fallback(answer)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(service)
}

async fn counters(State(service): State<Arc<Service>>) -> Response {
    Json(service.counters.all()).into_response()
}

async fn answer(
    State(service): State<Arc<Service>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(operation) = target(&headers) else {
        let text =
            "The header X-Amz-Target: AmazonSQS.OPERATION is missing: this server speaks AWS JSON 1.0.";
        return refuse(&ApiError::new(Code::UnknownOperation, text));
    };
    service.counters.count(operation);
    let strike = service.faults.draw(operation);
    tokio::time::sleep(strike.delay).await;
    if strike.error {
        return refuse(&ApiError::new(Code::InternalError, "Fault on request."));
    }
    if strike.throttle {
        return refuse(&ApiError::new(Code::RequestThrottled, "Fault on request: slow down."));
    }
    let base = base(&headers);
    let call = Call { backend: &service.backend, base: &base, body: &body, strike };
    let result = operations::perform(operation, call).await;
    if strike.lose {
        scissors.cut();
    }
    result.map_or_else(|refusal| refuse(&refusal), |value| respond(StatusCode::OK, &value))
}

fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()?.strip_prefix("AmazonSQS.")
}

/// Where the client found this server, for the queue URLs it gets.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}

fn respond(status: StatusCode, value: &Value) -> Response {
    let headers =
        [("content-type", CONTENT_TYPE.to_owned()), ("x-amzn-requestid", uuid::Uuid::new_v4().to_string())];
    (status, headers, Body::from(value.to_string())).into_response()
}

fn refuse(refusal: &ApiError) -> Response {
    let mut response = respond(refusal.status(), &refusal.body());
    // The names are ours, plain ASCII: this cannot fail.
    if let Ok(value) = refusal.query_error().parse() {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}
