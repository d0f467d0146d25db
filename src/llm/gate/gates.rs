//! The gates of one model, passed one after the other: a place among the calls at once, the rate per minute, the
//! circuit breaker. What was passed is held by a permit, and given back by it however the call ends.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    llm::{
        contract::{ModelHealth, ModelState},
        gate::{
            breaker::{Breaker, Pass, Shut, Standing, Verdict},
            concurrency::Sent,
            limiter::Limiter,
            slots::{Load, Slots},
        },
        models::Model,
    },
    store::contract::Store,
};

/// What opens within this is waited for, the money set aside; what takes longer defers the event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// All gates of one model.
pub(crate) struct Gates {
    name: String,
    provider: &'static str,
    model: String,
    slots: Slots,
    limiter: Option<Arc<Limiter>>,
    breaker: Mutex<Breaker>,
}

/// What a call used of the tokens per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// Input and output.
    Counted(i64, i64),
    /// Nothing was generated.
    Nothing,
    /// Nobody knows: the estimate stands.
    Unknown,
}

/// Why a call cannot go at once.
pub(crate) enum Obstacle {
    /// It opens soon, most likely.
    Soon,
    /// Not within our patience.
    Later(Shut),
}

impl Gates {
    pub(crate) fn new(model: &Model, store: &Arc<dyn Store>) -> Arc<Self> {
        let settings = &model.settings;
        // What has no limit is never worth a wait.
        let most = if model.free { u32::MAX } else { settings.concurrency };
        Arc::new(Self {
            name: model.name.clone(),
            provider: model.kind,
            model: model.model.clone(),
            slots: Slots::new(most, model.free),
            limiter: Limiter::new(model, store),
            breaker: Mutex::new(Breaker::new(settings.breaker_failures, settings.breaker_rest)),
        })
    }

    /// What a call will take of the tokens per minute.
    pub(crate) fn estimate(&self, prompt: &str, input: i64, max_output: u32) -> i64 {
        self.limiter.as_ref().map_or(0, |limiter| limiter.estimate(prompt, input, max_output))
    }

    /// Is the model asked at all?
    pub(crate) fn check(&self) -> Result<(), Shut> {
        self.breaker().check(Instant::now())
    }

    /// Through all gates, if they are open.
    pub(crate) fn try_enter(self: &Arc<Self>, tokens: i64) -> Result<Permit, Obstacle> {
        self.check().map_err(obstacle)?;
        if !self.slots.try_take() {
            return Err(self.or_soon(self.slots.expected_wait()));
        }
        let mut permit = Permit::new(self);
        if let Some(limiter) = &self.limiter {
            if !limiter.try_take(tokens) {
                return Err(self.or_soon(limiter.expected_wait(tokens)));
            }
            permit.tokens = Some(tokens);
        }
        permit.pass = Some(self.breaker().enter(Instant::now()).map_err(obstacle)?);
        Ok(permit)
    }

    /// Through all gates, waiting as long as patience lasts.
    pub(crate) async fn enter(self: &Arc<Self>, tokens: i64) -> Result<Permit, Shut> {
        let began = Instant::now();
        let entered = tokio::time::timeout(PATIENCE, self.wait_at_each(tokens)).await;
        metrics::histogram!("longshore_llm_gate_wait_seconds", "provider" => self.provider, "model" => self.model.clone())
            .record(began.elapsed().as_secs_f64());
        entered.unwrap_or_else(|_| Err(self.busy(self.expected_wait(tokens))))
    }

    async fn wait_at_each(self: &Arc<Self>, tokens: i64) -> Result<Permit, Shut> {
        loop {
            if let Err(shut) = self.check() {
                if !shut.asked {
                    return Err(shut);
                }
                tokio::time::sleep(shut.wait).await;
            }
            self.slots.take().await;
            let mut permit = Permit::new(self);
            if let Some(limiter) = &self.limiter {
                limiter.take(tokens).await;
                permit.tokens = Some(tokens);
            }
            let entered = self.breaker().enter(Instant::now());
            match entered {
                Ok(pass) => {
                    permit.pass = Some(pass);
                    return Ok(permit);
                }
                // It closed while we waited; what we hold goes to others.
                Err(shut) if shut.asked => {}
                Err(shut) => return Err(shut),
            }
        }
    }

    /// How it is doing.
    pub(crate) fn health(&self, name: &str) -> ModelHealth {
        let (state, opens_in, why) = match self.breaker().standing(Instant::now()) {
            Standing::Closed => (ModelState::Up, None, None),
            Standing::Open(wait, why) => (ModelState::Down, Some(wait.as_secs()), Some(why)),
            Standing::Probing(why) => (ModelState::Probing, None, Some(why)),
        };
        ModelHealth {
            name: name.to_owned(),
            provider: self.provider.to_owned(),
            model: self.model.clone(),
            state,
            opens_in_seconds: opens_in,
            why,
            concurrency: self.slots.limit(),
        }
    }

    fn expected_wait(&self, tokens: i64) -> Duration {
        let rate = self.limiter.as_ref().map_or(Duration::ZERO, |limiter| limiter.expected_wait(tokens));
        self.slots.expected_wait().max(rate)
    }

    fn or_soon(&self, wait: Duration) -> Obstacle {
        if wait > PATIENCE { Obstacle::Later(self.busy(wait)) } else { Obstacle::Soon }
    }

    /// Too many before us, at the rate that is allowed.
    fn busy(&self, wait: Duration) -> Shut {
        let why = format!("`{}` is asked as fast as it may be, and others wait already", self.name);
        Shut { wait: wait.clamp(Duration::from_secs(1), Duration::from_secs(60)), why, asked: true }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, pass: &Pass, verdict: Verdict) {
        let (away, failed) = match &verdict {
            Verdict::Away(_, why) => (true, Some(why.clone())),
            Verdict::Failed(why) => (false, Some(why.clone())),
            Verdict::Well | Verdict::TooFast(_) => (false, None),
        };
        let (changed, standing) = {
            let now = Instant::now();
            let mut breaker = self.breaker();
            (breaker.ended(pass, verdict, now), breaker.standing(now))
        };
        if !changed {
            return;
        }
        let open = matches!(standing, Standing::Open(..));
        metrics::counter!("longshore_llm_breaker_changes_total", "provider" => self.provider, "model" => self.model.clone(), "to" => if open { "open" } else { "closed" })
            .increment(1);
        match (standing, failed) {
            (Standing::Open(wait, _), Some(why)) if away => {
                tracing::error!(alert = true, provider = %self.name, model = %self.model, seconds = wait.as_secs(), %why, "nothing can be had of this model until somebody helps");
            }
            (Standing::Open(wait, _), why) => {
                tracing::warn!(provider = %self.name, model = %self.model, seconds = wait.as_secs(), why, "this model fails: it is left alone for a while");
            }
            _ => {
                self.slots.start_again();
                tracing::info!(provider = %self.name, model = %self.model, "this model answers again");
            }
        }
    }

    /// State, level, and who waits.
    fn measure(&self) {
        let labels = [("provider", self.name.clone()), ("model", self.model.clone())];
        let state = match self.breaker().standing(Instant::now()) {
            Standing::Closed => 0.0,
            Standing::Probing(_) => 1.0,
            Standing::Open(..) => 2.0,
        };
        metrics::gauge!("longshore_llm_breaker_state", &labels).set(state);
        metrics::gauge!("longshore_llm_concurrency", &labels).set(f64::from(self.slots.limit()));
        let at_limiter = self.limiter.as_ref().map_or(0, |limiter| limiter.waiting());
        let at_limiter = u32::try_from(at_limiter).unwrap_or(u32::MAX);
        metrics::gauge!("longshore_llm_waiting", &labels)
            .set(f64::from(self.slots.waiting().saturating_add(at_limiter)));
    }
}

/// Only a wait that the model asks for is worth having in line.
fn obstacle(shut: Shut) -> Obstacle {
    if shut.asked && shut.wait <= PATIENCE { Obstacle::Soon } else { Obstacle::Later(shut) }
}

/// What one call holds.
pub(crate) struct Permit {
    gates: Arc<Gates>,
    pass: Option<Pass>,
    tokens: Option<i64>,
    on_wire: Option<Sent>,
}

impl Permit {
    fn new(gates: &Arc<Gates>) -> Self {
        Self { gates: Arc::clone(gates), pass: None, tokens: None, on_wire: None }
    }

    /// The call goes on the wire.
    pub(crate) fn sent(&mut self) {
        self.on_wire = Some(self.gates.slots.sent(Instant::now()));
    }

    /// The call has come back, with what it says of the model and the tokens that it used, where it was billed.
    pub(crate) fn ended(mut self, verdict: Verdict, overloaded: bool, prompt: &str, used: Used) {
        let load = match (&verdict, overloaded) {
            (_, true) => Load::Overloaded,
            (Verdict::Well, false) => Load::Answered,
            _ => Load::Silent,
        };
        if let Some(call) = self.on_wire.take() {
            self.gates.slots.returned(call, load, Instant::now());
        }
        if let (Some(limiter), Some(taken)) = (&self.gates.limiter, self.tokens.take()) {
            match used {
                Used::Counted(input, output) => {
                    limiter.settle(taken, input.saturating_add(output));
                    limiter.learn(prompt, output);
                }
                Used::Nothing => limiter.settle(taken, 0),
                Used::Unknown => {}
            }
        }
        if let Some(pass) = self.pass.take() {
            self.gates.told(&pass, verdict);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(call) = self.on_wire.take() {
            self.gates.slots.returned(call, Load::Silent, Instant::now());
        }
        if let (Some(limiter), Some(tokens)) = (&self.gates.limiter, self.tokens.take()) {
            limiter.put_back(tokens);
        }
        if let Some(pass) = self.pass.take() {
            self.gates.breaker().abandoned(&pass, Instant::now());
        }
        self.gates.slots.give_back();
        self.gates.measure();
    }
}
