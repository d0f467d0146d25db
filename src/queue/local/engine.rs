//! The one writer. What arrives together is worked in one transaction, because a commit costs a disk
//! flush and a hundred of them cost one; nobody is answered before the flush.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use sqlx::{Connection, SqliteConnection};
use tokio::{sync::mpsc, time::Instant};

use crate::clock::Clock;

use crate::queue::local::{
    delivery,
    error::{ApiError, Code},
    messages_table as table,
    model::{Job, Reply},
    queue_jobs, queues_table,
    registry::Registry,
    visibility,
    waiters::{Waiter, Waiters},
};

/// Most jobs of one transaction.
const GROUP: usize = 64;

/// Longest wait for others to join, and only while others are about.
const LINGER: Duration = Duration::from_millis(2);

/// Sleep when nobody waits for anything.
const FOREVER: Duration = Duration::from_secs(3_600);

type Release = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

/// Answers that wait for the flush.
#[derive(Default)]
struct Held(Vec<Release>);

impl Held {
    fn hold<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, ApiError>) {
        self.0.push(Box::new(move |flushed| {
            // Nobody there any more is as good as answered: what was done stays done.
            let _ = reply.send(flushed.and(answer));
        }));
    }

    fn release(self, flushed: &Result<(), ApiError>) {
        for answer in self.0 {
            answer(flushed.clone());
        }
    }
}

/// The writer with everything that only it touches.
pub(super) struct Engine {
    db: SqliteConnection,
    jobs: mpsc::Receiver<Job>,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    waiters: Waiters,
    next_seq: i64,
    last_group: usize,
    may_wait: bool,
    queues_changed: bool,
}

impl Engine {
    /// Takes over an opened file.
    pub(super) async fn new(
        mut db: SqliteConnection,
        jobs: mpsc::Receiver<Job>,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, sqlx::Error> {
        let next_seq = table::last_seq(&mut db).await? + 1;
        Ok(Self {
            db,
            jobs,
            registry,
            clock,
            waiters: Waiters::default(),
            next_seq,
            last_group: 1,
            may_wait: true,
            queues_changed: false,
        })
    }

    /// Works until nobody can ask any more, then closes the file.
    pub(super) async fn run(mut self) {
        loop {
            let idle = self.idle();
            let first = tokio::select! {
                job = self.jobs.recv() => match job {
                    Some(job) => Some(job),
                    None => break,
                },
                () = tokio::time::sleep(idle) => None,
            };
            let group = match first {
                Some(first) => self.gather(first).await,
                None => Vec::new(),
            };
            self.waiters.end_before(Instant::now());
            self.work(group).await;
        }
        self.waiters.end_all();
        if let Err(error) = self.db.close().await {
            tracing::warn!(%error, "the queue's file did not close cleanly; the next start recovers it");
        }
    }

    /// How long nothing happens by itself.
    fn idle(&self) -> Duration {
        let due = self.waiters.next_due().map(|due| {
            let micros = u64::try_from(due.saturating_sub(self.clock.now().0)).unwrap_or(0);
            Duration::from_micros(micros).max(Duration::from_millis(1))
        });
        let deadline =
            self.waiters.next_deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        due.into_iter().chain(deadline).min().unwrap_or(FOREVER)
    }

    /// The first job and those that came meanwhile. Lingers only when the last group shows that others
    /// are about: a single client never waits.
    async fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut group = vec![first];
        let until = Instant::now() + LINGER;
        loop {
            while group.len() < GROUP {
                match self.jobs.try_recv() {
                    Ok(job) => group.push(job),
                    Err(_) => break,
                }
            }
            if group.len() >= self.last_group.min(GROUP) {
                break;
            }
            match tokio::time::timeout_at(until, self.jobs.recv()).await {
                Ok(Some(job)) => group.push(job),
                Ok(None) | Err(_) => break,
            }
        }
        self.last_group = group.len();
        group
    }

    /// One transaction. When it fails nothing of it happened, and everybody hears so.
    async fn work(&mut self, group: Vec<Job>) {
        let mut held = Held::default();
        let worked = self.transact(group, &mut held).await;
        if worked.is_err() {
            let _ = sqlx::query("ROLLBACK").execute(&mut self.db).await;
        }
        let flushed = worked.map_err(|error| {
            tracing::error!(%error, "the queue's file refuses; the requests of this transaction fail");
            ApiError::new(Code::InternalError, "The queue's storage failed.")
        });
        held.release(&flushed);
    }

    async fn transact(&mut self, group: Vec<Job>, held: &mut Held) -> Result<(), sqlx::Error> {
        let now = self.clock.now().0;
        let mut touched = self.waiters.due(now);
        if group.is_empty() && touched.is_empty() {
            return Ok(());
        }
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.db).await?;
        for job in group {
            self.perform(job, now, held, &mut touched).await?;
        }
        self.serve(touched, now, held).await?;
        sqlx::query("COMMIT").execute(&mut self.db).await?;
        if self.queues_changed {
            self.registry.replace(queues_table::all(&mut self.db).await?);
            self.queues_changed = false;
        }
        Ok(())
    }

    async fn perform(
        &mut self,
        job: Job,
        now: i64,
        held: &mut Held,
        touched: &mut BTreeSet<i64>,
    ) -> Result<(), sqlx::Error> {
        match job {
            Job::Send { queue, messages, reply } => {
                let stored = table::insert(&mut self.db, queue, self.next_seq, now, &messages).await?;
                self.next_seq += i64::try_from(messages.len()).unwrap_or(0);
                held.hold(reply, if stored { Ok(()) } else { Err(ApiError::no_queue()) });
                touched.insert(queue);
            }
            Job::Receive { receive, reply } => {
                self.receive_or_wait(Waiter { receive, reply }, now, held, touched).await?;
            }
            Job::Delete { queue, handles, reply } => {
                table::delete(&mut self.db, queue, &handles).await?;
                held.hold(reply, Ok(()));
            }
            Job::ChangeVisibility { queue, changes, reply } => {
                let results = visibility::change(&mut self.db, queue, &changes, now).await?;
                held.hold(reply, Ok(results));
                touched.insert(queue);
            }
            Job::Expire { seqs } => table::drop_all(&mut self.db, &seqs).await?,
            Job::LookAgain => touched.extend(self.waiters.queues()),
            Job::StopWaiting => {
                self.may_wait = false;
                self.waiters.end_all();
            }
            job => self.perform_on_queue(job, now, held).await?,
        }
        Ok(())
    }

    async fn perform_on_queue(&mut self, job: Job, now: i64, held: &mut Held) -> Result<(), sqlx::Error> {
        self.queues_changed = true;
        let (reply, answer) = match job {
            Job::CreateQueue { name, attributes, tags, reply } => {
                (reply, queue_jobs::create(&mut self.db, &name, &attributes, &tags, now).await?)
            }
            Job::SetAttributes { queue, attributes, reply } => {
                (reply, queue_jobs::set_attributes(&mut self.db, queue, &attributes, now).await?)
            }
            Job::SetTags { queue, set, remove, reply } => {
                (reply, queue_jobs::set_tags(&mut self.db, queue, set, &remove).await?)
            }
            Job::DeleteQueue { queue, reply } => (reply, queue_jobs::delete(&mut self.db, queue).await?),
            Job::Purge { queue, reply } => (reply, queue_jobs::purge(&mut self.db, queue, now).await?),
            // The others were performed before; naming them here keeps the match complete.
            Job::Send { .. }
            | Job::Receive { .. }
            | Job::Delete { .. }
            | Job::ChangeVisibility { .. }
            | Job::Expire { .. }
            | Job::LookAgain
            | Job::StopWaiting => return Ok(()),
        };
        held.hold(reply, answer);
        Ok(())
    }

    /// Answers with what is there; with nothing there, lines up until the deadline.
    async fn receive_or_wait(
        &mut self,
        waiter: Waiter,
        now: i64,
        held: &mut Held,
        touched: &mut BTreeSet<i64>,
    ) -> Result<(), sqlx::Error> {
        if waiter.reply.is_closed() {
            return Ok(());
        }
        let got = delivery::receive(&mut self.db, &self.registry, &waiter.receive, now, touched).await?;
        if got.is_empty() && self.may_wait && waiter.receive.deadline > Instant::now() {
            touched.insert(waiter.receive.queue);
            self.waiters.add(waiter);
        } else {
            // Later waiters learn when what was hidden now comes back.
            touched.insert(waiter.receive.queue);
            held.hold(waiter.reply, Ok(got));
        }
        Ok(())
    }

    /// Gives what there is on touched queues to those who wait, and notes when to look again.
    async fn serve(
        &mut self,
        mut touched: BTreeSet<i64>,
        now: i64,
        held: &mut Held,
    ) -> Result<(), sqlx::Error> {
        while let Some(queue) = touched.pop_first() {
            while let Some(waiter) = self.waiters.take(queue) {
                let mut moved = BTreeSet::new();
                let got =
                    delivery::receive(&mut self.db, &self.registry, &waiter.receive, now, &mut moved).await?;
                moved.remove(&queue);
                touched.append(&mut moved);
                if got.is_empty() {
                    self.waiters.put_back(waiter);
                    break;
                }
                held.hold(waiter.reply, Ok(got));
            }
            if self.waiters.has(queue) {
                let due = table::next_visible(&mut self.db, queue).await?;
                self.waiters.set_due(queue, due);
            }
        }
        Ok(())
    }
}
