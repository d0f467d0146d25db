//! Sends the samples and watches until all have ended, or time is up.

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::dev::{
        judge::Judge,
        lines::Lines,
        machine::Machine,
        observed::Observed,
        samples::sample::{Parcel, Sample},
        state_dir::StateDir,
        vendors::Vendors,
    },
    domain::{delivery::Attribute, reason::Reason},
    queue::contract::{BATCH, EntryResult, OutgoingMessage, Queue as _},
    sources::sign::SignedMessage,
    worker::trail::Happening,
};

/// The store and the outside are looked at this often.
const LOOK: Duration = Duration::from_millis(60);
/// The source whose key is delivered only when it was missed.
const LATE_KEY: &str = "late";

/// One run over the samples.
pub(crate) struct Session<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) state: &'a StateDir,
    pub(crate) judge: Judge,
    pub(crate) observed: Observed,
    pub(crate) lines: &'a mut Lines,
    pub(crate) happenings: Receiver<Happening>,
    pub(crate) messages: usize,
    vendors: Vendors,
    outside_told: usize,
    late_key_is_hidden: bool,
}

impl<'a> Session<'a> {
    /// Ready to send. The late key is taken away first.
    pub(crate) async fn new(
        machine: &'a Machine,
        state: &'a StateDir,
        samples: Vec<Sample>,
        lines: &'a mut Lines,
        happenings: Receiver<Happening>,
    ) -> anyhow::Result<Self> {
        lines.name(&samples.iter().collect::<Vec<_>>());
        let judge = Judge::new(samples, &*machine.store).await?;
        state.hide_key(LATE_KEY)?;
        Ok(Self {
            machine,
            state,
            judge,
            observed: Observed::default(),
            lines,
            happenings,
            messages: 0,
            vendors: Vendors::new(machine.places.intake)?,
            outside_told: 0,
            late_key_is_hidden: true,
        })
    }

    /// Until every sample has ended and nothing is left to do, `deadline`, or told to stop.
    pub(crate) async fn run(&mut self, deadline: Instant, stop: &CancellationToken) -> anyhow::Result<()> {
        let ended = self.until_over(deadline, stop).await;
        if self.late_key_is_hidden {
            self.state.show_key(LATE_KEY)?;
        }
        ended
    }

    async fn until_over(&mut self, deadline: Instant, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.send_what_may_go().await?;
            tokio::select! {
                happening = self.happenings.recv() => self.take(happening)?,
                _ = looks.tick() => {
                    self.judge.look(&self.observed, &*self.machine.store).await?;
                    self.look_outside();
                    if self.judge.is_over() && self.is_quiet().await? {
                        self.judge.queue_is_empty();
                        return Ok(());
                    }
                }
                () = sleep_until(deadline) => return Ok(()),
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Goes on telling what happens until told to stop.
    pub(crate) async fn keep_telling(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                happening = self.happenings.recv() => self.take(happening)?,
                _ = looks.tick() => self.look_outside(),
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    fn take(&mut self, happening: Result<Happening, RecvError>) -> anyhow::Result<()> {
        match happening {
            Ok(happening) => {
                self.observed.add(&happening);
                self.lines.happening(&happening);
                if self.late_key_is_hidden && self.observed.put_back(Reason::SecretUnavailable) > 0 {
                    self.state.show_key(LATE_KEY)?;
                    self.late_key_is_hidden = false;
                    self.lines.say("          (the missing key is delivered now)");
                }
            }
            Err(RecvError::Lagged(missed)) => self.observed.missed += missed,
            Err(RecvError::Closed) => bail!("the worker is gone"),
        }
        Ok(())
    }

    async fn send_what_may_go(&mut self) -> anyhow::Result<()> {
        let ready = self.judge.take_ready();
        if ready.is_empty() {
            return Ok(());
        }
        let (mut messages, mut calls) = (Vec::new(), Vec::new());
        for sample in ready.iter().map(|at| &self.judge.samples()[*at].sample) {
            for parcel in &sample.parcels {
                match parcel {
                    Parcel::Queued(message) => messages.push(outgoing(message)),
                    Parcel::Posted(call) => calls.push((sample.name, call)),
                }
            }
        }
        for batch in messages.chunks(BATCH) {
            let results = self.machine.queue.send(batch).await?;
            if let Some(result) = results.iter().find(|result| **result != EntryResult::Done) {
                bail!("the embedded queue does not take a sample: {result:?}");
            }
        }
        let requests = calls.len();
        for (sample, answer) in self.vendors.post(calls).await? {
            self.observed.answered(sample, answer);
        }
        self.messages += messages.len();
        self.lines.sent(ready.len(), messages.len(), requests);
        Ok(())
    }

    fn look_outside(&mut self) {
        let log = self.machine.outside.log();
        for seen in &log[self.outside_told.min(log.len())..] {
            self.lines.outside(seen);
        }
        self.outside_told = log.len();
    }

    /// Nothing on the queue, nothing left to send.
    async fn is_quiet(&self) -> anyhow::Result<bool> {
        let depth = self.machine.queue.depth().await?;
        let gauges = self.machine.store.gauges().await?;
        Ok(depth.visible + depth.in_flight + depth.delayed == 0 && gauges.planned == 0 && gauges.parked == 0)
    }
}

fn outgoing(message: &SignedMessage) -> OutgoingMessage {
    let attributes: BTreeMap<String, Attribute> = message
        .attributes
        .iter()
        .map(|(name, value)| (name.clone(), Attribute::Text(value.clone())))
        .collect();
    OutgoingMessage { body: message.body.clone(), attributes, ..OutgoingMessage::default() }
}
