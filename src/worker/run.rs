//! Starting and stopping a worker.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    crash_point,
    queue::contract::QueueError,
    store::contract::StoreError,
    worker::{
        abuse::Guard,
        janitor::keep_house_until_stopped,
        lanes::Lanes,
        lease::Leases,
        outbox::carry_out_until_stopped,
        parts::{Context, Parts, StoreClock},
        pressure::Pressure,
        rates::Rates,
        receiver::receive_until_stopped,
        scheduler::wake_until_stopped,
        settlement::Settler,
        slots::Slots,
    },
};

/// Time for handing back what was cut off at the deadline.
const HAND_BACK: Duration = Duration::from_millis(800);

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queue refuses us or is not there.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A worker at work.
pub struct Running {
    context: Arc<Context>,
    receiver: JoinHandle<()>,
    loops: TaskTracker,
    settling: TaskTracker,
    leases: CancellationToken,
}

/// Starts all loops.
///
/// # Errors
/// When the queue or the store does not answer at all: a worker that cannot work should say so at once.
pub async fn start(parts: Parts) -> Result<Running, StartError> {
    let settling = TaskTracker::new();
    let context = Arc::new(Context {
        clock: StoreClock::measure(Arc::clone(&parts.clock), &*parts.store).await?,
        slots: Slots::new(parts.settings.concurrency, parts.settings.bytes_in_flight),
        lanes: Lanes::default(),
        leases: Leases::default(),
        pressure: Pressure::default(),
        guard: Guard::new(&parts.senders),
        rates: Rates::new(&parts.senders),
        settler: Settler::start(&parts.queue, &settling),
        max_receive_count: parts.queue.max_receive_count().await?,
        stopping: CancellationToken::new(),
        stopped: CancellationToken::new(),
        deliveries: TaskTracker::new(),
        commands: tokio::sync::Notify::new(),
        parked: tokio::sync::Notify::new(),
        closed: AtomicBool::new(false),
        parts,
    });
    let (loops, leases) = (TaskTracker::new(), CancellationToken::new());
    loops.spawn(carry_out_until_stopped(Arc::clone(&context)));
    loops.spawn(wake_until_stopped(Arc::clone(&context)));
    loops.spawn(keep_house_until_stopped(Arc::clone(&context)));
    loops.spawn(extend_leases(Arc::clone(&context), leases.clone()));
    let receiver = tokio::spawn(receive_until_stopped(Arc::clone(&context)));
    Ok(Running { context, receiver, loops, settling, leases })
}

async fn extend_leases(context: Arc<Context>, done: CancellationToken) {
    // From start to start: a tick that takes long must not make the next one late.
    let mut ticks = tokio::time::interval(context.parts.queue_settings.lease_tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, when there is nothing to extend yet.
    ticks.tick().await;
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let parts = &context.parts;
        context.leases.tick(&*parts.queue, &*parts.store, context.visibility()).await;
        crash_point::reach("lease_extended");
    }
}

impl Running {
    /// Stops in order: nothing new is received or started; open receives return and what they bring is
    /// released; what runs may finish until the deadline, or until `hurry`, and is handed back then;
    /// settlements are flushed. Answers whether everything finished by itself.
    pub async fn stop(self, drain: Duration, hurry: CancellationToken) -> bool {
        let context = self.context;
        let deadline = Instant::now() + drain;
        context.parts.vitals.drain();
        context.stopping.cancel();
        let finished = async {
            let _ = self.receiver.await;
            context.deliveries.close();
            context.deliveries.wait().await;
        };
        tokio::pin!(finished);
        let in_time = tokio::select! {
            () = &mut finished => true,
            () = tokio::time::sleep_until(deadline) => false,
            () = hurry.cancelled() => false,
        };
        context.stopped.cancel();
        if !in_time {
            let _ = tokio::time::timeout(HAND_BACK, finished).await;
        }
        self.leases.cancel();
        context.settler.close();
        self.settling.close();
        self.loops.close();
        let rest = async {
            self.settling.wait().await;
            self.loops.wait().await;
        };
        let flushed = tokio::time::timeout_at(deadline.max(Instant::now()) + HAND_BACK, rest).await;
        in_time && flushed.is_ok()
    }
}
