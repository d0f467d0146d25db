//! What the stand-in remembers: everything that was asked of it, and what it is told to do wrong.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;
use tokio::sync::watch;

use crate::{
    cli::dev::outside::script::{Fault, Script, Service},
    clock::{Clock as _, SystemClock},
    domain::{timestamp::Timestamp, usage::Usage},
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
    /// `x-client-request-id`, where sent.
    pub correlation_id: Option<String>,
    /// The status answered; `None` where the connection was cut.
    pub status: Option<u16>,
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

/// What became of a request, before it is logged.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    pub(crate) status: Option<u16>,
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
        body: Value,
        correlation_id: Option<String>,
        effect: Effect,
    ) {
        let mut log = held(&self.log);
        let Effect { status, bill, message_id } = effect;
        let (number, at, path) = (log.len(), SystemClock.now(), path.to_owned());
        log.push(Seen { number, at, service, path, body, correlation_id, status, bill, message_id });
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

    /// The first script that fits and is not used up.
    pub(crate) fn scripted(&self, service: Service, body: &str) -> Option<Fault> {
        let mut scripts = held(&self.scripts);
        let script = scripts.iter_mut().find(|script| {
            script.service == service && script.times > 0 && body.contains(&script.contains)
        })?;
        script.times -= 1;
        Some(script.fault.clone())
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

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
