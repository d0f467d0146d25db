//! Requests and tokens per minute of one credential and model, shared by all processes through the store: taken in
//! portions, so that the store is asked a few times a second and not for every call.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    llm::{gate::rate_account::Account, models::Model},
    store::contract::Store,
};

/// The store is asked at most this often.
const PORTION: Duration = Duration::from_millis(250);
/// Where the store had nothing it tells when to come back; at least this often.
const LONGEST_ROUND: Duration = Duration::from_secs(2);
/// Nobody asked for a while.
const LONG_AGO: Duration = Duration::from_secs(60);
/// What was not used is given back after so many rounds without a need.
const IDLE_ROUNDS: u32 = 8;
/// The database is away: asked again after this.
const STORE_AWAY: Duration = Duration::from_secs(1);
/// Before a prompt's first answer, its output is taken to be this share of its cap.
const FIRST_GUESS: i64 = 2;

/// The limiter of one model; there is none where no limit is configured.
pub(crate) struct Limiter {
    store: Arc<dyn Store>,
    account: Mutex<Account>,
    keeper: Mutex<Keeper>,
    needed: Notify,
    /// Output tokens of a prompt's answers, on average.
    learned: Mutex<BTreeMap<String, i64>>,
}

/// Is the task that asks the store under way?
#[derive(Default)]
struct Keeper {
    running: bool,
}

impl Limiter {
    pub(crate) fn new(model: &Model, store: &Arc<dyn Store>) -> Option<Arc<Self>> {
        let (requests, tokens) = (model.settings.requests_per_minute, model.settings.tokens_per_minute);
        (requests.is_some() || tokens.is_some()).then(|| {
            Arc::new(Self {
                store: Arc::clone(store),
                account: Mutex::new(Account::new(model.bucket.clone(), requests, tokens)),
                keeper: Mutex::default(),
                needed: Notify::new(),
                learned: Mutex::default(),
            })
        })
    }

    /// What an answer to this prompt will use: the input, and what answers to it used before, not the cap.
    pub(crate) fn estimate(&self, prompt: &str, input: i64, max_output: u32) -> i64 {
        let cap = i64::from(max_output);
        let output = lock(&self.learned).get(prompt).copied().unwrap_or(cap / FIRST_GUESS);
        input.saturating_add(output.min(cap)).max(1)
    }

    pub(crate) fn learn(&self, prompt: &str, output: i64) {
        let mut learned = lock(&self.learned);
        if let Some(average) = learned.get_mut(prompt) {
            *average = (*average * 7 + output) / 8;
        } else {
            learned.insert(prompt.to_owned(), output);
        }
    }

    /// A request with its tokens, if they are at hand.
    pub(crate) fn try_take(self: &Arc<Self>, tokens: i64) -> bool {
        let taken = self.account().try_take(tokens);
        if taken {
            // So that the next portion is there before this one is used up.
            self.keep();
        }
        taken
    }

    /// A request with its tokens, in the order of asking.
    pub(crate) async fn take(self: &Arc<Self>, tokens: i64) {
        let mut waits =
            Waits { limiter: Arc::clone(self), tokens, go: self.account().wait(tokens), taken: false };
        self.keep();
        self.needed.notify_one();
        // The sender lives in the account, and the account in the limiter that is held here.
        waits.taken = (&mut waits.go).await.is_ok();
    }

    pub(crate) fn put_back(&self, tokens: i64) {
        let mut account = self.account();
        account.put_back(tokens);
        account.serve();
    }

    pub(crate) fn settle(self: &Arc<Self>, taken: i64, used: i64) {
        let mut account = self.account();
        account.settle(taken, used);
        account.serve();
        drop(account);
        // Also what is owed has to be taken from the common bucket, so that other processes feel it.
        self.keep();
    }

    pub(crate) fn expected_wait(&self, tokens: i64) -> Duration {
        self.account().expected_wait(tokens)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.account().waiting()
    }

    fn keep(self: &Arc<Self>) {
        let mut keeper = lock(&self.keeper);
        if !keeper.running {
            keeper.running = true;
            let limiter = Arc::clone(self);
            tokio::spawn(async move { limiter.ask_the_store().await });
        }
    }

    /// Asks as long as somebody needs something; gives back what is left, and ends.
    async fn ask_the_store(self: Arc<Self>) {
        let (mut idle, mut last) = (0, None);
        loop {
            let asked = Instant::now();
            let mut round = PORTION;
            let passed = last.replace(asked).map_or(LONG_AGO, |last: Instant| asked - last);
            let wanted = self.account().wanted(passed);
            idle = if wanted.is_some() { 0 } else { idle + 1 };
            if let Some(ask) = wanted {
                match self.store.rate_take(&[ask]).await {
                    Ok(grants) => {
                        for grant in &grants {
                            self.account().granted(grant);
                            if (grant.requests, grant.tokens) == (0, 0) {
                                round = grant.wait.clamp(PORTION, LONGEST_ROUND);
                            }
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the common rate limit cannot be read");
                        tokio::time::sleep(STORE_AWAY).await;
                    }
                }
            } else if idle >= IDLE_ROUNDS && self.rest().await {
                return;
            }
            tokio::time::sleep_until(asked + round).await;
            if idle > 0 {
                // Somebody who comes after a pause need not wait for the round.
                let _ = tokio::time::timeout(PORTION, self.needed.notified()).await;
            }
        }
    }

    /// Gives back; true when nobody came meanwhile and the task is to end.
    async fn rest(&self) -> bool {
        let back = self.account().unused();
        if let Some(ask) = back
            && let Err(error) = self.store.rate_take(&[ask]).await
        {
            tracing::warn!(%error, "unused parts of a common rate limit are lost");
        }
        let mut keeper = lock(&self.keeper);
        keeper.running = self.account().waiting() > 0;
        !keeper.running
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One who waits. If it is given up in the moment of its turn, what it got goes back.
struct Waits {
    limiter: Arc<Limiter>,
    tokens: i64,
    go: tokio::sync::oneshot::Receiver<()>,
    taken: bool,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.taken {
            self.go.close();
            if self.go.try_recv().is_ok() {
                self.limiter.put_back(self.tokens);
            }
        }
    }
}
