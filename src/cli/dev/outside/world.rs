//! What the stand-in remembers: everything that was asked of it, and what it is told to do wrong.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    cli::dev::outside::{
        limits::{Limiter, Limits, Pass},
        script::{Fault, Script, Service},
    },
    clock::{Clock as _, SystemClock},
    domain::{ids::sha256_hex, timestamp::Timestamp, usage::Usage},
};

/// One request, in the order in which requests were read. Nothing is ever merged: two requests are two.
#[derive(Clone, Debug)]
pub struct Seen {
    /// 0, 1, 2 ...
    pub number: usize,
    /// When it had been read.
    pub at: Timestamp,
    /// Who was asked.
    pub service: Service,
    /// Path of the URL.
    pub path: String,
    /// The body; null where it was no JSON.
    pub body: Value,
    /// SHA-256 of the body, hex: the same for each attempt of one call.
    pub fingerprint: String,
    /// `x-client-request-id`, where sent.
    pub correlation_id: Option<String>,
    /// The status answered; `None` where the connection was cut.
    pub status: Option<u16>,
    /// For how long the answer asked not to come again.
    pub retry_after: Option<Duration>,
    /// Model: what the call was billed, answered or not.
    pub bill: Option<Bill>,
    /// WhatsApp: the id of the message that was accepted and will reach the person, answered or not.
    pub message_id: Option<String>,
}

impl Seen {
    /// WhatsApp: our command's id, as sent along.
    #[must_use]
    pub fn command_id(&self) -> Option<&str> {
        self.body["biz_opaque_callback_data"].as_str()
    }
}

/// What a call to the model cost its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The model.
    pub model: String,
    /// Tokens in normal form.
    pub usage: Usage,
}

/// Sums over what was billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: i64,
    /// All input tokens, cached or not.
    pub input: i64,
    /// The part of them that came from the cache.
    pub cached: i64,
    /// Output tokens.
    pub output: i64,
}

impl Totals {
    /// What these requests were billed.
    #[must_use]
    pub fn of<'a>(log: impl IntoIterator<Item = &'a Seen>) -> Self {
        log.into_iter().filter_map(|seen| seen.bill.as_ref()).fold(Self::default(), |sum, bill| Self {
            calls: sum.calls + 1,
            input: sum.input + bill.usage.input(),
            cached: sum.cached + bill.usage.cache_read,
            output: sum.output + bill.usage.output,
        })
    }
}

/// Requests that came again before the answer to the same request had allowed it.
#[must_use]
pub fn too_early(log: &[Seen]) -> Vec<String> {
    let mut barred: HashMap<&str, Timestamp> = HashMap::new();
    let mut early = Vec::new();
    for seen in log {
        if let Some(until) = barred.remove(seen.fingerprint.as_str()).filter(|until| seen.at < *until) {
            let (number, missing) = (seen.number, until.0 - seen.at.0);
            early.push(format!("request {number} came {missing} us before its Retry-After"));
        }
        if let Some(wait) = seen.retry_after {
            barred.insert(&seen.fingerprint, seen.at.plus(wait));
        }
    }
    early
}

/// What became of a request, before it is logged.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) bill: Option<Bill>,
    pub(crate) message_id: Option<String>,
}

/// Shared by all handlers.
#[derive(Debug)]
pub(crate) struct World {
    log: Mutex<Vec<Seen>>,
    grown: watch::Sender<usize>,
    scripts: Mutex<Vec<Script>>,
    counts: Mutex<HashMap<String, u32>>,
    limiter: Mutex<Limiter>,
    ids: AtomicU64,
}

impl Default for World {
    fn default() -> Self {
        let (grown, _) = watch::channel(0);
        Self {
            log: Mutex::default(),
            grown,
            scripts: Mutex::default(),
            counts: Mutex::default(),
            limiter: Mutex::default(),
            // A later process on the same store must not give the ids of an earlier one again.
            ids: AtomicU64::new(u64::try_from(SystemClock.now().0).unwrap_or(1)),
        }
    }
}

impl World {
    pub(crate) fn record(
        &self,
        service: Service,
        path: &str,
        body: &[u8],
        correlation_id: Option<String>,
        effect: Effect,
    ) {
        let (fingerprint, path) = (sha256_hex(&[body]), path.to_owned());
        let body = serde_json::from_slice(body).unwrap_or_default();
        let Effect { status, retry_after, bill, message_id } = effect;
        let mut log = held(&self.log);
        let (number, at) = (log.len(), SystemClock.now());
        log.push(Seen {
            number,
            at,
            service,
            path,
            body,
            fingerprint,
            correlation_id,
            status,
            retry_after,
            bill,
            message_id,
        });
        self.grown.send_replace(log.len());
    }

    pub(crate) fn log(&self) -> Vec<Seen> {
        held(&self.log).clone()
    }

    /// Changes with every request.
    pub(crate) fn grown(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    pub(crate) fn script(&self, script: Script) {
        held(&self.scripts).push(script);
    }

    /// Forgets all scripts.
    pub(crate) fn heal(&self) {
        held(&self.scripts).clear();
    }

    /// The first script that fits and is not used up.
    pub(crate) fn scripted(&self, service: Service, body: &str) -> Option<Fault> {
        let fits = |script: &&mut Script| {
            script.service == service && script.times > 0 && body.contains(&script.contains)
        };
        let mut scripts = held(&self.scripts);
        scripts.iter_mut().filter(fits).find_map(|script| {
            let fault = match &script.fault {
                Fault::Share { per_mille, seed, fault } => {
                    let place = self.before(&format!("share {seed}"));
                    (dice(*seed, place) < *per_mille).then(|| (**fault).clone())
                }
                fault => Some(fault.clone()),
            }?;
            script.times -= 1;
            Some(fault)
        })
    }

    /// Sets the limits, or lifts them.
    pub(crate) fn limit(&self, limits: Limits) {
        held(&self.limiter).limits = limits;
    }

    /// May a request of so many tokens be served now?
    pub(crate) fn admit(&self, model: &str, tokens: i64) -> Result<Pass, Fault> {
        held(&self.limiter).admit(model, tokens, Instant::now())
    }

    /// How often this was asked before.
    pub(crate) fn before(&self, what: &str) -> u32 {
        let mut counts = held(&self.counts);
        let count = counts.entry(what.to_owned()).or_default();
        let before = *count;
        *count += 1;
        before
    }

    /// A new number for an id.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

/// A number below a thousand (SplitMix64): the same for the same seed and place.
fn dice(seed: u64, place: u32) -> u32 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(place) + 1));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from((mixed ^ (mixed >> 31)) % 1000).unwrap_or_default()
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
