//! The vendors' part: posts their requests to the edge and reads what they are answered.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};

use crate::{
    cli::dev::samples::call::{Answer, Call},
    clock::{Clock as _, SystemClock},
    http::{Http, Post},
};

/// Vendors wait for seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// Requests at once.
const AT_ONCE: usize = 16;

/// All vendors.
pub(crate) struct Vendors {
    http: Http,
    edge: SocketAddr,
}

impl Vendors {
    /// They call the edge at this address.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub(crate) fn new(edge: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { http: Http::new()?, edge })
    }

    /// Posts all of them; answers by the name given with each.
    ///
    /// # Errors
    /// When one cannot be signed, or is not answered.
    pub(crate) async fn post(
        &self,
        calls: Vec<(&'static str, &Call)>,
    ) -> anyhow::Result<Vec<(&'static str, Answer)>> {
        let all = stream::iter(calls).map(|(name, call)| self.post_one(name, call)).buffered(AT_ONCE);
        all.collect::<Vec<_>>().await.into_iter().collect()
    }

    async fn post_one(&self, name: &'static str, call: &Call) -> anyhow::Result<(&'static str, Answer)> {
        let url = format!("http://{}/hooks/{}", self.edge, call.source);
        let request = call.signed(&url, SystemClock.now()).context(name)?;
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let post = Post {
            url: request.url.parse().context(name)?,
            bearer: None,
            headers: &headers,
            json: request.body,
            timeout: PATIENCE,
            written: "hook_written",
        };
        let answer = self.http.post(post).await.with_context(|| format!("{name}: no answer of the edge"))?;
        Ok((name, Answer::of(answer.status, &answer.body)))
    }
}
