//! `/metrics`: the page for Prometheus.

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};

use crate::admin::health::Probes;

pub(super) async fn metrics(State(probes): State<Probes>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], probes.metrics.render())
}
