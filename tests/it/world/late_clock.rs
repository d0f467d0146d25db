//! A clock that runs as the machine's does, but behind it, until it is put right: for what lay somewhere for days.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use longshore::{
    clock::{Clock, SystemClock},
    domain::timestamp::Timestamp,
};

#[derive(Clone, Debug)]
pub(crate) struct LateClock(Arc<AtomicI64>);

impl LateClock {
    pub(crate) fn behind(by: Duration) -> Self {
        Self(Arc::new(AtomicI64::new(by.as_micros().try_into().unwrap())))
    }

    /// That time has passed.
    pub(crate) fn catch_up(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

impl Clock for LateClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 - self.0.load(Ordering::SeqCst))
    }
}
