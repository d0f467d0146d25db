//! `/metrics`: the page for Prometheus.

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse as _, Response},
};

use crate::{admin::health::Probes, telemetry::metrics::Metrics};

pub(super) async fn metrics(State(probes): State<Probes>) -> Response {
    render(&probes.metrics)
}

pub(super) fn render(metrics: &Metrics) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render()).into_response()
}
