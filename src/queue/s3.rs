//! Amazon S3, or any store that speaks its protocol.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        Builder, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectOutput,
    primitives::ByteStream,
};
use std::time::Duration;

use crate::{
    config::{ObjectSettings, QueueSettings},
    queue::{
        clients::{region, surroundings},
        objects::{ObjectError, ObjectStore},
    },
};

/// Attempts at one object.
const ATTEMPTS: u32 = 3;

/// A client of one object store; cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
    timeout: Duration,
}

impl S3Objects {
    /// Reads the surroundings (credentials, region) once; nothing is sent yet.
    pub async fn connect(settings: &ObjectSettings, queue: &QueueSettings) -> Self {
        let region = settings.region.as_deref().or_else(|| region(queue));
        let shared = surroundings(settings.endpoint.as_deref(), region).await;
        let config = Builder::from(&shared)
            .force_path_style(settings.path_style)
            // Stores that are not Amazon's know no other checksums than the protocol's first ones.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().operation_timeout(settings.timeout).build());
        Self { client: Client::from_conf(config.build()), timeout: settings.timeout }
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn get(&self, bucket: &str, key: &str, cap: usize) -> Result<Vec<u8>, ObjectError> {
        let whole = async {
            let answer = self.client.get_object().bucket(bucket).key(key).send().await.map_err(|error| {
                let missing = error.as_service_error().is_some_and(|service| service.is_no_such_key());
                if missing { ObjectError::Missing } else { unavailable(&error) }
            })?;
            bytes(answer, cap).await
        };
        // The operation's own time-out ends with the headers.
        let late = |_| ObjectError::Unavailable("timed out".to_owned());
        tokio::time::timeout(self.timeout, whole).await.map_err(late)?
    }

    async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<(), ObjectError> {
        let body = ByteStream::from(body);
        let sent = self.client.put_object().bucket(bucket).key(key).body(body).send().await;
        sent.map(drop).map_err(|error| unavailable(&error))
    }
}

async fn bytes(mut answer: GetObjectOutput, cap: usize) -> Result<Vec<u8>, ObjectError> {
    let told = answer.content_length().and_then(|length| usize::try_from(length).ok());
    if told.is_some_and(|length| length > cap) {
        return Err(ObjectError::TooLarge);
    }
    let mut whole = Vec::with_capacity(told.unwrap_or_default());
    while let Some(chunk) = answer.body.next().await {
        let chunk = chunk.map_err(|error| ObjectError::Unavailable(error.to_string()))?;
        if whole.len() + chunk.len() > cap {
            return Err(ObjectError::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// The service's code, or what kept us from asking it. Its message can hold a key, and is left out.
fn unavailable<E, R>(error: &SdkError<E, R>) -> ObjectError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let why = match error.as_service_error() {
        Some(service) => format!("answers {}", service.code().unwrap_or("an error without a code")),
        None => DisplayErrorContext(error).to_string(),
    };
    ObjectError::Unavailable(why)
}
