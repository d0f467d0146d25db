//! Named points of a delivery's way at which the crash tests kill the process. Only with the feature
//! `crash-points`; a release holds nothing of it.

/// Kills the process with SIGKILL when the environment variable `LONGSHORE_CRASH_AT` names this point
/// (`name`, or `name:n` for the n-th time it is reached). Does nothing without the feature.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn reach(_name: &'static str) {}

#[cfg(feature = "crash-points")]
pub use armed::reach;

#[cfg(feature = "crash-points")]
mod armed {
    use std::{
        process::Command,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    static ARMED: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "test hook, not a setting")]
        let at = std::env::var("LONGSHORE_CRASH_AT").ok()?;
        let (name, count) = at.split_once(':').unwrap_or((&at, "1"));
        Some((name.to_owned(), AtomicU64::new(count.parse().ok()?)))
    });

    /// Kills the process with SIGKILL when this point is the armed one and has been reached often enough.
    pub fn reach(name: &'static str) {
        let Some((armed, left)) = &*ARMED else { return };
        if armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // The shell's kill, because `unsafe` is forbidden and std has no signals: no destructor runs.
            let pid = std::process::id().to_string();
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
            std::process::abort();
        }
    }
}
