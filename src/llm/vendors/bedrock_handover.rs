//! Was a request of the AWS SDK handed over to the connection? As `http.rs` knows it of its own requests: as long as
//! nobody took the body, the other side cannot have acted on it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use aws_sdk_bedrockruntime::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut},
    error::BoxError,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::crash_point;

/// Watches one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover(Arc<AtomicBool>);

impl Handover {
    /// Did the connection take the request? Then it may have been answered, and billed.
    pub(crate) fn happened(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Intercept for Handover {
    fn name(&self) -> &'static str {
        "WatchHandover"
    }

    /// After signing: the bytes stay the same.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        let data = Bytes::copy_from_slice(body.bytes().ok_or("a body that is not at hand")?);
        *body = SdkBody::from_body_1_x(Watched { data: Some(data), taken: Arc::clone(&self.0) });
        Ok(())
    }
}

/// A body of one piece that knows whether it was taken.
struct Watched {
    data: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(data) = self.data.take() else { return Poll::Ready(None) };
        self.taken.store(true, Ordering::SeqCst);
        if cfg!(feature = "crash-points") {
            // After the turn in which the connection writes it.
            tokio::spawn(async {
                tokio::task::yield_now().await;
                crash_point::reach("request_written");
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
