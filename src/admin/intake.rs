//! `/livez` and `/readyz` of an edge: it has no store and no poll loop, only sends.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    admin::{
        health::{Check, Health, PATIENCE},
        metrics::render,
    },
    lifecycle::Vitals,
    telemetry::metrics::Metrics,
};

/// So many calls to the queue must fail in a row.
const FAILURES: u32 = 3;
/// Older failures do not count: an edge that nobody asks because it is not ready would never find out.
const WINDOW: Duration = Duration::from_secs(10);

/// What the answers are made from.
#[derive(Clone)]
pub struct IntakeProbes {
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    /// The page of metrics.
    pub metrics: Metrics,
    /// The executor that does the work, which is not the one that answers here.
    pub executor: Handle,
}

impl From<IntakeProbes> for Router {
    fn from(probes: IntakeProbes) -> Self {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route(
                "/metrics",
                get(|State(probes): State<IntakeProbes>| async move { render(&probes.metrics) }),
            )
            .with_state(probes)
    }
}

async fn livez(State(probes): State<IntakeProbes>) -> Response {
    let turns = timeout(PATIENCE, probes.executor.spawn(async {})).await;
    let stuck = || "the executor does not answer".to_owned();
    let executor = if matches!(turns, Ok(Ok(()))) { None } else { Some(stuck()) };
    Health::of(vec![Check::of("executor", executor)]).into_response()
}

async fn readyz(State(probes): State<IntakeProbes>) -> Response {
    let failures = probes.vitals.failing(WINDOW);
    let queue = (failures >= FAILURES).then(|| format!("{failures} calls to the queue failed in a row"));
    let draining = probes.vitals.is_draining().then(|| "stopping".to_owned());
    let health = Health::of(vec![Check::of("queue", queue), Check::of("draining", draining)]);
    ::metrics::gauge!("longshore_ready").set(if health.is_good() { 1.0 } else { 0.0 });
    health.into_response()
}
