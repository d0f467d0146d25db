//! What one process holds of a common rate limit: what it was granted and has not used, who waits for more, and how
//! much to ask for next. Arithmetic only.

use std::{collections::VecDeque, time::Duration};

use tokio::sync::oneshot;

use crate::{
    domain::rate::{RateAsk, RateGrant},
    llm::gate::need::Need,
};

/// Share of the provider's limit that is used, so that no minute holds more than the limit.
const USED_SHARE: (u64, u64) = (49, 50);
/// A call of more than this share of a minute's tokens need not wait until all of them are there: the rest is owed.
const LARGEST_WAIT_SHARE: i64 = 8;
/// At most this share of a minute's limit is asked for ahead of need.
const AHEAD_SHARE: i64 = 40;
/// The common bucket holds more than this after a pause; whoever drew all of it and went on at the full rate would be
/// above the limit in that minute.
const LARGEST_BURST: Duration = Duration::from_secs(1);

/// The account of one bucket.
#[derive(Debug)]
pub(crate) struct Account {
    bucket: String,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    requests: i64,
    /// Below zero: more was used than granted; it is paid back before anyone goes on.
    tokens: i64,
    need: Need,
    /// What may be asked for at the full rate, and was not yet: requests and tokens.
    earned: (f64, f64),
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    tokens: i64,
    go: oneshot::Sender<()>,
}

impl Account {
    pub(crate) fn new(bucket: String, requests: Option<u32>, tokens: Option<u32>) -> Self {
        Self {
            bucket,
            requests_per_minute: requests.map(share),
            tokens_per_minute: tokens.map(share),
            requests: 0,
            tokens: 0,
            need: Need::default(),
            earned: (0.0, 0.0),
            waiting: VecDeque::new(),
        }
    }

    /// One request and its tokens, if they are there and nobody waits.
    pub(crate) fn try_take(&mut self, tokens: i64) -> bool {
        self.waiting.is_empty() && self.take(tokens)
    }

    /// Stands in line, and goes at once if there is enough; told when the request and its tokens have been taken.
    pub(crate) fn wait(&mut self, tokens: i64) -> oneshot::Receiver<()> {
        let (go, gone) = oneshot::channel();
        self.waiting.push_back(Waiting { tokens, go });
        self.serve();
        gone
    }

    /// The call was not made.
    pub(crate) fn put_back(&mut self, tokens: i64) {
        self.requests += 1;
        self.tokens += tokens;
        self.need.used(-1, -tokens);
    }

    /// It used more or less than was taken for it.
    pub(crate) fn settle(&mut self, taken: i64, used: i64) {
        self.tokens = self.tokens.saturating_add(taken).saturating_sub(used);
        self.need.used(0, used.saturating_sub(taken));
    }

    /// What to ask the common bucket for, this long after the last time; `None` when nothing is needed.
    pub(crate) fn wanted(&mut self, passed: Duration) -> Option<RateAsk> {
        self.waiting.retain(|waiting| !waiting.go.is_closed());
        let (likely_requests, likely_tokens) = self.need.next_round();
        let ahead = |likely: i64, limit: Option<u32>| likely.clamp(0, per_minute(limit) / AHEAD_SHARE);
        let line: i64 = self.waiting.iter().map(|waiting| waiting.tokens).sum();
        let in_line = i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        let requests = in_line + ahead(likely_requests, self.requests_per_minute) - self.requests;
        let tokens = line + ahead(likely_tokens, self.tokens_per_minute) - self.tokens;
        self.earned = (
            earned(self.earned.0, self.requests_per_minute, passed),
            earned(self.earned.1, self.tokens_per_minute, passed),
        );
        self.ask(requests.clamp(0, whole(self.earned.0)), tokens.clamp(0, whole(self.earned.1)))
    }

    /// Gives back what nobody needs.
    pub(crate) fn unused(&mut self) -> Option<RateAsk> {
        if !self.waiting.is_empty() {
            return None;
        }
        let ask = self.ask(-self.requests.max(0), -self.tokens.max(0));
        self.requests = self.requests.min(0);
        self.tokens = self.tokens.min(0);
        ask
    }

    /// Takes what was granted and lets go who can.
    pub(crate) fn granted(&mut self, grant: &RateGrant) {
        self.requests += grant.requests;
        self.tokens += grant.tokens;
        self.earned = (less(self.earned.0, grant.requests), less(self.earned.1, grant.tokens));
        self.serve();
    }

    /// Lets go who can, in order.
    pub(crate) fn serve(&mut self) {
        while let Some(first) = self.waiting.pop_front() {
            if !self.take(first.tokens) {
                self.waiting.push_front(first);
                return;
            }
            if first.go.send(()).is_err() {
                // Nobody waits there any more.
                self.put_back(first.tokens);
            }
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Until somebody who comes now would have its turn, were all of the limit ours.
    pub(crate) fn expected_wait(&self, tokens: i64) -> Duration {
        let line: i64 = self.waiting.iter().map(|waiting| waiting.tokens).sum();
        let in_line = i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        let requests = in_line.saturating_add(1).saturating_sub(self.requests);
        let tokens = line.saturating_add(self.upfront(tokens)).saturating_sub(self.tokens);
        time_for(requests, self.requests_per_minute).max(time_for(tokens, self.tokens_per_minute))
    }

    fn take(&mut self, tokens: i64) -> bool {
        let fits = (self.requests_per_minute.is_none() || self.requests >= 1)
            && (self.tokens_per_minute.is_none() || self.tokens >= self.upfront(tokens));
        if fits {
            self.requests -= i64::from(self.requests_per_minute.is_some());
            self.tokens -= if self.tokens_per_minute.is_some() { tokens } else { 0 };
            self.need.used(1, tokens);
        }
        fits
    }

    fn upfront(&self, tokens: i64) -> i64 {
        tokens.min((per_minute(self.tokens_per_minute) / LARGEST_WAIT_SHARE).max(1))
    }

    fn ask(&self, requests: i64, tokens: i64) -> Option<RateAsk> {
        let requests = if self.requests_per_minute.is_some() { requests } else { 0 };
        let tokens = if self.tokens_per_minute.is_some() { tokens } else { 0 };
        (requests != 0 || tokens != 0).then(|| RateAsk {
            bucket: self.bucket.clone(),
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            requests,
            tokens,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a share of a u32")]
fn share(limit: u32) -> u32 {
    ((u64::from(limit) * USED_SHARE.0 / USED_SHARE.1) as u32).max(1)
}

fn per_minute(limit: Option<u32>) -> i64 {
    limit.map_or(0, i64::from)
}

/// More by the time that has passed, up to the largest burst, and to a whole one at least.
fn earned(before: f64, limit: Option<u32>, passed: Duration) -> f64 {
    let second = f64::from(limit.unwrap_or(0)) / 60.0;
    let most = (second * LARGEST_BURST.as_secs_f64()).max(1.0);
    (before + second * passed.as_secs_f64()).min(most)
}

#[expect(clippy::cast_possible_truncation, reason = "at most a u32")]
fn whole(earned: f64) -> i64 {
    earned.max(0.0) as i64
}

#[expect(clippy::cast_precision_loss, reason = "at most a u32")]
fn less(earned: f64, granted: i64) -> f64 {
    (earned - granted as f64).max(0.0)
}

fn time_for(amount: i64, limit: Option<u32>) -> Duration {
    let Some(limit) = limit else { return Duration::ZERO };
    let millis = u64::try_from(amount).unwrap_or(0).saturating_mul(60_000) / u64::from(limit.max(1));
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Account;
    use crate::domain::rate::{RateAsk, RateGrant};

    /// The common bucket as the store promises it: filled evenly, up to a small burst.
    struct Bucket {
        rates: (f64, f64),
        bursts: (f64, f64),
        holds: (f64, f64),
    }

    impl Bucket {
        fn new(requests: u32, tokens: u32) -> Self {
            let (requests, tokens) = (f64::from(requests), f64::from(tokens));
            Self {
                rates: (requests / 60.0, tokens / 60.0),
                bursts: ((requests / 50.0).max(1.0), tokens / 10.0),
                holds: ((requests / 50.0).max(1.0), tokens / 10.0),
            }
        }

        fn fill(&mut self, seconds: f64) {
            self.holds.0 = (self.holds.0 + self.rates.0 * seconds).min(self.bursts.0);
            self.holds.1 = (self.holds.1 + self.rates.1 * seconds).min(self.bursts.1);
        }

        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
        fn take(&mut self, ask: &RateAsk) -> RateGrant {
            let requests = (self.holds.0.max(0.0) as i64).min(ask.requests);
            let tokens = (self.holds.1.max(0.0) as i64).min(ask.tokens);
            self.holds.0 -= requests as f64;
            self.holds.1 -= tokens as f64;
            RateGrant { requests, tokens, wait: Duration::ZERO }
        }
    }

    /// Several processes with demand without end, for some minutes; answers what was let go in each second.
    fn run(processes: usize, limit: (u32, u32), tokens: i64, seconds: usize) -> Vec<(i64, i64)> {
        let mut accounts: Vec<Account> =
            (0..processes).map(|_| Account::new("b".into(), Some(limit.0), Some(limit.1))).collect();
        let used = |limit: u32| super::share(limit);
        let mut bucket = Bucket::new(used(limit.0), used(limit.1));
        let mut lines: Vec<Vec<_>> = (0..processes).map(|_| Vec::new()).collect();
        let mut let_go = Vec::new();
        for _ in 0..seconds {
            let mut this_second = 0;
            for _ in 0..4 {
                bucket.fill(0.25);
                for (account, line) in accounts.iter_mut().zip(&mut lines) {
                    while line.len() < 20 {
                        line.push(account.wait(tokens));
                    }
                    if let Some(ask) = account.wanted(Duration::from_millis(250)) {
                        account.granted(&bucket.take(&ask));
                    }
                    let before = line.len();
                    line.retain_mut(|gone| gone.try_recv().is_err());
                    this_second += i64::try_from(before - line.len()).unwrap();
                }
            }
            let_go.push((this_second, this_second * tokens));
        }
        let_go
    }

    fn minutes(let_go: &[(i64, i64)]) -> impl Iterator<Item = (i64, i64)> {
        let_go
            .windows(60)
            .map(|minute| minute.iter().fold((0, 0), |sum, second| (sum.0 + second.0, sum.1 + second.1)))
    }

    #[test]
    fn no_minute_is_above_the_limit_and_each_is_close_to_it() {
        for (processes, limit, tokens) in
            [(1, (600, 1_000_000), 100), (4, (600, 1_000_000), 100), (3, (6_000, 100_000), 500)]
        {
            let let_go = run(processes, limit, tokens, 240);
            // Several together may draw what the bucket held in the beginning.
            let settled = if processes == 1 { 5 } else { 10 };
            let above = minutes(&let_go).any(|(requests, used)| {
                processes == 1 && (requests > i64::from(limit.0) || used > i64::from(limit.1))
            });
            assert!(!above, "one alone is never above, not even in the beginning");
            for (requests, used) in minutes(&let_go[settled..]) {
                assert!(requests <= i64::from(limit.0) && used <= i64::from(limit.1), "{requests} {used}");
                let full = requests * 100 >= i64::from(limit.0) * 95 || used * 100 >= i64::from(limit.1) * 95;
                assert!(full, "{processes}: {requests} of {}, {used} of {}", limit.0, limit.1);
            }
        }
    }

    #[test]
    fn a_call_larger_than_the_bucket_goes_and_is_paid_back() {
        let let_go = run(1, (600, 10_000), 30_000, 600);
        let used: i64 = let_go.iter().map(|second| second.1).sum();
        assert!(used > 0 && used <= 10_000 * 10 + 30_000, "{used}");
    }

    #[test]
    fn what_a_call_did_not_use_serves_the_next() {
        let mut account = Account::new("b".into(), None, Some(60_000));
        let grant = |tokens| RateGrant { tokens, ..RateGrant::default() };
        account.granted(&grant(1_000));
        assert!(account.try_take(1_000));
        assert!(!account.try_take(1));
        account.settle(1_000, 400);
        assert!(account.try_take(600));
        account.settle(600, 2_000);
        assert_eq!(account.unused(), None, "nothing to give back: 1400 are owed");
        account.granted(&grant(1_400));
        assert!(!account.try_take(1));
        account.granted(&grant(50));
        let back = account.unused().unwrap();
        assert_eq!((back.requests, back.tokens), (0, -50));
    }

    #[test]
    fn nobody_waits_for_what_is_there() {
        let mut account = Account::new("b".into(), Some(600), Some(60_000));
        account.granted(&RateGrant { requests: 2, tokens: 2_000, ..RateGrant::default() });
        let mut line: Vec<_> = (0..3).map(|_| account.wait(1_000)).collect();
        let gone: Vec<_> = line.iter_mut().map(|gone| gone.try_recv().is_ok()).collect();
        assert_eq!(gone, [true, true, false]);
    }

    #[test]
    fn an_estimate_of_the_wait_counts_who_stands_in_line() {
        let mut account = Account::new("b".into(), Some(60), None);
        assert_eq!(account.expected_wait(10).as_secs(), 1);
        let _line: Vec<_> = (0..9).map(|_| account.wait(10)).collect();
        assert_eq!(account.expected_wait(10).as_secs(), 10);
    }

    proptest! {
        /// Whatever is taken, put back, settled or given up: it equals what was granted.
        #[test]
        fn nothing_is_lost_and_nothing_is_made(
            steps in proptest::collection::vec((0u8..6, 1i64..500), 1..200)
        ) {
            let mut account = Account::new("b".into(), Some(1_000), Some(100_000));
            let (mut granted, mut used, mut open, mut line) = (0, 0, Vec::new(), Vec::new());
            for (step, amount) in steps {
                match step {
                    0 => { granted += amount; account.granted(&RateGrant { requests: 5, tokens: amount, wait: Duration::ZERO }); }
                    1 => if account.try_take(amount) { open.push(amount); },
                    2 => line.push((amount, account.wait(amount))),
                    3 => if let Some(taken) = open.pop() { account.settle(taken, amount); used += amount; },
                    4 => if let Some(taken) = open.pop() { account.put_back(taken); },
                    _ => drop(line.pop()),
                }
                account.serve();
                line.retain_mut(|(amount, gone)| {
                    let served = gone.try_recv().is_ok();
                    if served { open.push(*amount); }
                    !served
                });
                let taken: i64 = open.iter().sum();
                prop_assert_eq!(account.tokens, granted - used - taken);
            }
        }
    }
}
