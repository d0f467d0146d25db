//! Was a request handed over to the connection? As long as nobody took its body, the other side cannot have acted on it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::crash_point;

/// Nobody took it yet.
const WAITING: u8 = 0;
/// The connection took it.
const TAKEN: u8 = 1;
/// Somebody has said that it was not sent: from then on nobody can take it.
const WITHDRAWN: u8 = 2;

/// Watches one request.
#[derive(Clone, Debug, Default)]
pub struct Handover(Arc<AtomicU8>);

impl Handover {
    /// Did the connection take the body? Then it may have been acted upon. If not, it never will: a connection that
    /// comes to it a moment later finds it withdrawn and breaks off, or "not sent" would be said of what is sent.
    #[must_use]
    pub fn happened(&self) -> bool {
        let withdrawn = self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::SeqCst, Ordering::SeqCst);
        withdrawn == Err(TAKEN)
    }

    fn take(&self) -> bool {
        self.0.compare_exchange(WAITING, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// A body of one piece. The connection's task takes it, and in the same turn writes it to the socket.
///
/// The crash point is reached from a task spawned while the piece is taken, which runs after that turn. So it lies
/// after the write and, by microseconds on loopback, before or beside the answer: as near as a client that does not own
/// the socket can come.
#[derive(Debug)]
pub struct Watched {
    data: Option<Bytes>,
    handover: Handover,
    written: &'static str,
}

impl Watched {
    /// Of these bytes; `written` is the crash point reached when they were handed to the socket.
    #[must_use]
    pub fn new(data: Bytes, handover: Handover, written: &'static str) -> Self {
        Self { data: Some(data), handover, written }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(data) = self.data.take() else { return Poll::Ready(None) };
        if !self.handover.take() {
            return Poll::Ready(Some(Err(io::Error::other("withdrawn: nobody waits for it any more"))));
        }
        if cfg!(feature = "crash-points") {
            let written = self.written;
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                crash_point::reach(written);
            });
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_taken_cannot_be_withdrawn() {
        let handover = Handover::default();
        let body = Watched::new(Bytes::from_static(b"x"), handover.clone(), "nowhere");
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
        assert!(handover.happened() && handover.happened());
    }

    #[tokio::test]
    async fn what_is_said_not_to_be_sent_is_never_sent() {
        let handover = Handover::default();
        let body = Watched::new(Bytes::from_static(b"x"), handover.clone(), "nowhere");
        assert!(!handover.happened());
        assert!(body.collect().await.is_err(), "the connection comes too late");
        assert!(!handover.happened(), "and it stays so");
    }
}
