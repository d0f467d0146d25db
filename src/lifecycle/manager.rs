//! What the service manager is told. Without one (`$NOTIFY_SOCKET` is not set) nothing happens.

use std::{sync::Arc, thread, time::Duration};

use sd_notify::NotifyState;

use crate::lifecycle::vitals::Vitals;

/// Configuration, database and queue were reached, and the health port is bound.
pub fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(text)]);
}

/// Stopping began; it may take this long.
pub fn stopping(drain: Duration) {
    let grace = u32::try_from((drain + Duration::from_secs(10)).as_micros()).unwrap_or(u32::MAX);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: finishing what was begun"),
        NotifyState::ExtendTimeoutUsec(grace),
    ]);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Where the manager asks for it, pings its watchdog for as long as nothing is stuck. The pings come from a
/// thread of their own, so that a stuck executor cannot also stop the judge. `wait`: the long poll's wait.
/// The thread ends with the last other owner of `vitals`.
pub fn keep_watchdog(vitals: &Arc<Vitals>, wait: Duration) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let judged = Arc::downgrade(vitals);
    let judge = move || {
        while let Some(vitals) = judged.upgrade() {
            match vitals.stuck(wait) {
                None => tell(&[NotifyState::Watchdog]),
                Some(what) => tracing::error!(what, "stuck: the watchdog is not fed"),
            }
            drop(vitals);
            thread::sleep(limit / 3);
        }
    };
    if let Err(error) = thread::Builder::new().name("watchdog".to_owned()).spawn(judge) {
        tracing::error!(%error, "no watchdog thread: the service manager will restart us");
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
