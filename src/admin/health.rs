//! `/livez` and `/readyz`.
//!
//! Alive means: restarting would not help. It looks only inside this process. Ready means: schema, database
//! and queue are as needed and it is not stopping; what is wrong is named, and nothing restarts because of it. A model
//! that is down makes it degraded, not unready: other events can be worked, and those that cannot wait.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::{runtime::Handle, time::timeout};

use crate::{
    lifecycle::Vitals,
    llm::contract::{ModelHealth, ModelState},
    store::contract::{SchemaState, Store, StoreError},
    telemetry::metrics::Metrics,
};

/// Longest time for one question to the database or the executor.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Without an answered receive for this long beyond the long poll, the queue counts as lost.
const POLL_AGE: Duration = Duration::from_secs(120);

/// What the answers are made from.
#[derive(Clone)]
pub struct Probes {
    /// Signs of life.
    pub vitals: Arc<Vitals>,
    /// The store that is asked.
    pub store: Arc<dyn Store>,
    /// How the models are doing.
    pub models: Arc<dyn Fn() -> Vec<ModelHealth> + Send + Sync>,
    /// The page of metrics.
    pub metrics: Metrics,
    /// The long poll's wait.
    pub wait: Duration,
    /// The executor that does the work, which is not the one that answers here.
    pub executor: Handle,
}

/// One answer: 200 when nothing failed, else 503.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
    checks: Vec<Check>,
    /// What is away and can be done without: `llm:NAME: why`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

impl Check {
    pub(super) fn of(name: &'static str, wrong: Option<String>) -> Self {
        Self { name, status: if wrong.is_none() { "pass" } else { "fail" }, output: wrong }
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let code = if self.is_good() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (code, Json(self)).into_response()
    }
}

impl Health {
    pub(super) fn of(checks: Vec<Check>) -> Self {
        let status = if checks.iter().all(|check| check.status == "pass") { "pass" } else { "fail" };
        Self { status, version: env!("CARGO_PKG_VERSION"), checks, degraded: Vec::new() }
    }

    fn degraded(self, models: &[ModelHealth]) -> Self {
        Self { degraded: models.iter().filter_map(degraded).collect(), ..self }
    }

    pub(super) fn is_good(&self) -> bool {
        self.status == "pass"
    }
}

pub(super) async fn livez(State(probes): State<Probes>) -> Response {
    let turns = probes.ask(async {}).await.map(drop);
    let executor = turns.map_err(|late| format!("the executor {late}")).err();
    Health::of(vec![
        Check::of("executor", executor),
        Check::of("poll_loop", probes.vitals.stuck(probes.wait)),
    ])
    .into_response()
}

pub(super) async fn readyz(State(probes): State<Probes>) -> Response {
    let (vitals, wait) = (&probes.vitals, probes.wait);
    let database = probes.database().await;
    // A database that does not answer would only be named twice.
    let schema = if database.is_some() { Some("unknown".to_owned()) } else { probes.schema().await };
    let (age, at, failures) = vitals.last_poll();
    let polled = match at {
        None => Some("no receive was answered yet".to_owned()),
        Some(at) if age > wait + POLL_AGE => Some(format!("last answered receive: {at}")),
        Some(_) if failures >= 3 => Some(format!("{failures} receives failed in a row")),
        Some(_) => None,
    };
    let draining = vitals.is_draining().then(|| "stopping".to_owned());
    let health = Health::of(vec![
        Check::of("database", database),
        Check::of("schema", schema),
        Check::of("queue", polled),
        Check::of("draining", draining),
    ])
    .degraded(&(probes.models)());
    ::metrics::gauge!("longshore_ready").set(if health.is_good() { 1.0 } else { 0.0 });
    health.into_response()
}

impl Probes {
    /// Has something done by the working executor: connections belong to it.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, String> {
        match timeout(PATIENCE, self.executor.spawn(question)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("is gone".to_owned()),
            Err(_) => Err(format!("did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn database(&self) -> Option<String> {
        let store = Arc::clone(&self.store);
        match self.ask(async move { store.ping().await }).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(kind(&error).to_owned()),
            Err(late) => Some(format!("the database {late}")),
        }
    }

    async fn schema(&self) -> Option<String> {
        let store = Arc::clone(&self.store);
        match self.ask(async move { store.schema().await }).await {
            Ok(Ok(SchemaState::Current)) => None,
            Ok(Ok(SchemaState::Behind(missing))) => {
                Some(format!("out of date by {}: run `longshore migrate up`", missing.join(", ")))
            }
            Ok(Ok(SchemaState::Foreign(unknown))) => {
                Some(format!("made by another release: {}", unknown.join(", ")))
            }
            Ok(Err(error)) => Some(kind(&error).to_owned()),
            Err(late) => Some(format!("the database {late}")),
        }
    }
}

/// `None` for a model that is asked as usual.
fn degraded(model: &ModelHealth) -> Option<String> {
    let next = match (model.state, model.opens_in_seconds) {
        (ModelState::Up, _) => return None,
        (ModelState::Probing, _) => "a single call is trying it".to_owned(),
        (ModelState::Down, Some(seconds)) => format!("asked again in {seconds} s"),
        (ModelState::Down, None) => "not asked".to_owned(),
    };
    let why = model.why.as_deref().unwrap_or("failed too often");
    Some(format!("llm:{}: {why}, {next}", model.name))
}

/// The error without the database's own words: they may name hosts, users and rows.
fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "the database does not answer",
        StoreError::Conflict(_) | StoreError::CommitUnknown(_) => "the database is in trouble",
        StoreError::Schema(_) => "the schema is not the one of this release",
        StoreError::Refused(_) => "the database refused",
    }
}
