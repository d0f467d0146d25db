//! Stopping in two stages.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// First stage: nothing new is taken. Second stage, at the deadline or at the second signal: what is not
/// finished is handed back. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Cancelled when stopping begins.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Cancelled when what still runs must be handed back now.
    #[must_use]
    pub fn hurry(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Begins the first stage.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Begins the second stage, and with it the first.
    pub fn abort(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Starts listening for SIGTERM and SIGINT: the first one stops, and after `drain` or a second one
    /// everything is handed back. A further one changes nothing: handing back is bounded by itself.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn on_signals(&self, drain: Duration) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (tell, mut signals) = mpsc::channel(2);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "asked to stop"),
                    _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "asked to stop"),
                }
                if tell.send(()).await.is_err() {
                    return;
                }
            }
        });
        let shutdown = self.clone();
        tokio::spawn(async move { shutdown.two_stages(&mut signals, drain).await });
        Ok(())
    }

    /// The two stages. Also follows a [`stop`](Self::stop) from inside.
    async fn two_stages(&self, signals: &mut mpsc::Receiver<()>, drain: Duration) {
        tokio::select! {
            Some(()) = signals.recv() => self.stop(),
            () = self.soft.cancelled() => {}
        }
        tokio::select! {
            Some(()) = signals.recv() => tracing::warn!("asked again: handing back what is not finished"),
            () = tokio::time::sleep(drain) => tracing::warn!("drain deadline passed"),
            () = self.hard.cancelled() => {}
        }
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn start(drain: Duration) -> (Shutdown, mpsc::Sender<()>) {
        let (shutdown, (tell, mut signals)) = (Shutdown::default(), mpsc::channel(2));
        let ours = shutdown.clone();
        tokio::spawn(async move { ours.two_stages(&mut signals, drain).await });
        (shutdown, tell)
    }

    #[tokio::test]
    async fn the_first_signal_stops_and_the_second_hurries() {
        let (shutdown, signals) = start(LONG);
        assert!(!shutdown.stopping().is_cancelled());
        signals.send(()).await.unwrap();
        timeout(PATIENCE, shutdown.stopping().cancelled()).await.unwrap();
        assert!(!shutdown.hurry().is_cancelled());
        signals.send(()).await.unwrap();
        timeout(PATIENCE, shutdown.hurry().cancelled()).await.unwrap();
    }

    #[tokio::test]
    async fn the_deadline_hurries_without_a_second_signal() {
        let (shutdown, signals) = start(Duration::from_millis(20));
        signals.send(()).await.unwrap();
        timeout(PATIENCE, shutdown.hurry().cancelled()).await.unwrap();
    }

    #[tokio::test]
    async fn a_stop_from_inside_has_the_same_deadline() {
        let (shutdown, _signals) = start(Duration::from_millis(20));
        shutdown.stop();
        timeout(PATIENCE, shutdown.hurry().cancelled()).await.unwrap();
    }
}
