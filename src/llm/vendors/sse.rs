//! Server-sent events of a streamed answer, one after the other.

use std::{io, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use sse_stream::{Sse, SseByteStream};

use crate::http::Opened;

/// The events of one answer. A last event that was cut is not among them.
pub(crate) struct Events {
    stream: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
}

impl Events {
    /// Reads this answer's body.
    pub(crate) fn of(opened: Opened) -> Self {
        let pieces = stream::try_unfold(opened, |mut opened| async move {
            let piece = opened.next().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(piece.map(|piece: Bytes| (piece, opened)))
        });
        Self { stream: Box::pin(SseByteStream::new(Box::pin(pieces))) }
    }

    /// The next event with data; `None` at the end of the body, which proves nothing.
    ///
    /// # Errors
    /// How the body broke off, in words.
    pub(crate) async fn next(&mut self) -> Result<Option<Sse>, String> {
        while let Some(event) = self.stream.next().await {
            let event = event.map_err(|error| error.to_string())?;
            if event.data.is_some() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
