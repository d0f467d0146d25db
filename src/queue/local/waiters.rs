//! Receives that wait for a message: they hold memory only, no connection and no transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

use crate::queue::local::model::{Receive, Received, Reply};

/// One waiting receive.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) receive: Receive,
    pub(super) reply: Reply<Vec<Received>>,
}

#[derive(Debug, Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    /// When the queue's next message becomes visible by itself, in microseconds since the epoch.
    due: Option<i64>,
}

/// All waiting receives, by queue, first come first served.
#[derive(Debug, Default)]
pub(super) struct Waiters(BTreeMap<i64, Line>);

impl Waiters {
    pub(super) fn add(&mut self, waiter: Waiter) {
        self.0.entry(waiter.receive.queue).or_default().waiters.push_back(waiter);
    }

    /// Puts back the one that was taken first.
    pub(super) fn put_back(&mut self, waiter: Waiter) {
        self.0.entry(waiter.receive.queue).or_default().waiters.push_front(waiter);
    }

    /// The first waiter of a queue whose client is still there. A message given to one that hung up
    /// would stay hidden until its visibility timeout.
    pub(super) fn take(&mut self, queue: i64) -> Option<Waiter> {
        let line = self.0.get_mut(&queue)?;
        while let Some(waiter) = line.waiters.pop_front() {
            if !waiter.reply.is_closed() {
                return Some(waiter);
            }
        }
        self.0.remove(&queue);
        None
    }

    pub(super) fn has(&self, queue: i64) -> bool {
        self.0.get(&queue).is_some_and(|line| !line.waiters.is_empty())
    }

    pub(super) fn queues(&self) -> BTreeSet<i64> {
        self.0.keys().copied().collect()
    }

    pub(super) fn set_due(&mut self, queue: i64, due: Option<i64>) {
        if let Some(line) = self.0.get_mut(&queue) {
            line.due = due;
        }
    }

    /// Queues on which a message has become visible by now.
    pub(super) fn due(&self, now: i64) -> BTreeSet<i64> {
        let due = |line: &Line| line.due.is_some_and(|due| due <= now);
        self.0.iter().filter(|(_, line)| due(line)).map(|(queue, _)| *queue).collect()
    }

    /// The earliest time at which a message becomes visible on a queue somebody waits on.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.0.values().filter_map(|line| line.due).min()
    }

    /// The earliest end of a wait.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.values().flat_map(|line| &line.waiters).map(|waiter| waiter.receive.deadline).min()
    }

    /// Answers those whose wait is over, with nothing.
    pub(super) fn end_before(&mut self, now: Instant) {
        self.end(|waiter| waiter.receive.deadline <= now);
    }

    /// Answers all, with nothing.
    pub(super) fn end_all(&mut self) {
        self.end(|_| true);
    }

    fn end(&mut self, is_over: impl Fn(&Waiter) -> bool) {
        for line in self.0.values_mut() {
            for waiter in std::mem::take(&mut line.waiters) {
                if is_over(&waiter) {
                    // Nobody there any more is as good as answered.
                    let _ = waiter.reply.send(Ok(Vec::new()));
                } else {
                    line.waiters.push_back(waiter);
                }
            }
        }
        self.0.retain(|_, line| !line.waiters.is_empty());
    }
}
