//! From a fault, or none, to bytes on the wire or to a cut connection.

use std::time::Duration;

use axum::{body::Body, response::Response};

use crate::{
    cli::dev::outside::script::{Fault, Gate},
    queue::local::listener::Scissors,
};

/// What is answered, and when.
pub(crate) struct Reply {
    response: Option<Response>,
    wait: Wait,
}

enum Wait {
    None,
    For(Duration),
    Until(Gate),
}

impl Reply {
    /// `coded` answers an error code, `good` is the answer where nothing is wrong.
    pub(crate) fn to(
        fault: Option<Fault>,
        coded: impl Fn(i64) -> Response,
        good: impl FnOnce() -> Response,
    ) -> Self {
        let well = || Some(good());
        let (response, wait) = match fault {
            Some(Fault::Answer { status, headers, body }) => (Some(raw(status, &headers, body)), Wait::None),
            Some(Fault::Code(code)) => (Some(coded(code)), Wait::None),
            Some(Fault::CutBefore | Fault::CutAfter) => (None, Wait::None),
            Some(Fault::Slow(wait)) => (well(), Wait::For(wait)),
            Some(Fault::Hold(gate)) => (well(), Wait::Until(gate)),
            _ => (well(), Wait::None),
        };
        Self { response, wait }
    }

    /// `None` when the connection is cut.
    pub(crate) fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status().as_u16())
    }

    pub(crate) async fn send(self, scissors: &Scissors) -> Response {
        match self.wait {
            Wait::None => {}
            Wait::For(wait) => tokio::time::sleep(wait).await,
            Wait::Until(gate) => gate.passed().await,
        }
        self.response.unwrap_or_else(|| {
            scissors.cut();
            Response::default()
        })
    }
}

/// An answer as given; JSON where the body begins with a brace.
pub(crate) fn raw(status: u16, headers: &[(&'static str, String)], body: String) -> Response {
    let kind = if body.starts_with('{') { "application/json" } else { "text/html" };
    let mut builder = Response::builder().status(status).header("content-type", kind);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(Body::from(body)).unwrap_or_default()
}
