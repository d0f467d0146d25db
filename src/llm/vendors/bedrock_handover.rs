//! Was a request of the AWS SDK handed over to the connection? As `http.rs` knows it of its own requests.

use aws_sdk_bedrockruntime::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut},
    error::BoxError,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::http::handover::{self, Watched};

/// Watches one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover(handover::Handover);

impl Handover {
    /// Did the connection take the request? Then it may have been answered, and billed; if not, it never will.
    pub(crate) fn happened(&self) -> bool {
        self.0.happened()
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
        *body = SdkBody::from_body_1_x(Watched::new(data, self.0.clone(), "request_written"));
        Ok(())
    }
}
