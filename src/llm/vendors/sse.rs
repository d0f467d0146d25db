//! Server-sent events of a streamed answer, one after the other.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use sse_stream::{Sse, SseByteStream};

use crate::http::Opened;

/// Longest event that is read, in bytes: the parser would keep any.
const LONGEST_EVENT: usize = 8 * 1024 * 1024;
/// The longest that the end of a body is waited for, so that its connection can be used again.
const LINGER: Duration = Duration::from_millis(20);

/// The events of one answer. A last event that was cut is not among them.
pub(crate) struct Events {
    stream: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
    /// Bytes since the last event.
    unread: Arc<AtomicUsize>,
}

impl Events {
    /// Reads this answer's body.
    pub(crate) fn of(opened: Opened) -> Self {
        let unread = Arc::new(AtomicUsize::new(0));
        let begin = (opened, Arc::clone(&unread));
        let pieces = stream::try_unfold(begin, |(mut opened, unread)| async move {
            let Some(piece) = opened.next().await.map_err(io::Error::other)? else { return Ok(None) };
            if unread.fetch_add(piece.len(), Ordering::Relaxed) > LONGEST_EVENT {
                return Err(io::Error::other(format!("an event is longer than {LONGEST_EVENT} bytes")));
            }
            Ok::<_, io::Error>(Some((piece, (opened, unread))))
        });
        Self { stream: Box::pin(SseByteStream::new(Box::pin(pieces))), unread }
    }

    /// The next event with data; `None` at the end of the body, which proves nothing.
    ///
    /// # Errors
    /// How the body broke off, in words.
    pub(crate) async fn next(&mut self) -> Result<Option<Sse>, String> {
        while let Some(event) = self.stream.next().await {
            let event = event.map_err(|error| error.to_string())?;
            self.unread.store(0, Ordering::Relaxed);
            if event.data.is_some() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// After the last event that matters: reads the little that is left, so that the connection can be used again.
    pub(crate) async fn end(mut self) {
        let rest = async { while let Some(Ok(_)) = self.stream.next().await {} };
        // Whoever keeps it open any longer loses the connection.
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
}
