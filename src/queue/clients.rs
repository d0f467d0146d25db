//! Connections to SQS: one client that polls, one that settles, each call counted and timed.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::{credentials::CredentialsProviderChain, region::RegionProviderChain},
};
use aws_sdk_sqs::{
    Client,
    config::{
        Builder, ConfigBag, Credentials, Intercept, RuntimeComponents, StalledStreamProtectionConfig,
        interceptors::BeforeTransmitInterceptorContextRef,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
    error::BoxError,
};

use crate::config::QueueSettings;

/// One attempt at anything but a receive, and all attempts together.
const SETTLE_ATTEMPT: Duration = Duration::from_secs(3);
const SETTLE_TOTAL: Duration = Duration::from_secs(10);

/// What a receive may take beyond its wait.
const RECEIVE_MARGIN: Duration = Duration::from_secs(5);

/// The region of local servers, where nothing says another one.
const LOCAL_REGION: &str = "us-east-1";

/// The two clients of a process; cheap to clone, for any number of queues.
#[derive(Debug, Clone)]
pub struct SqsClients {
    /// Receives. Never retries by itself: the poll loop has its own backoff, and an outage seen by polls
    /// must not use up the retries of settling calls.
    pub(crate) polling: Client,
    /// Everything else, three attempts.
    pub(crate) settling: Client,
}

impl SqsClients {
    /// Reads the surroundings (credentials, region) once; nothing is sent yet.
    pub async fn connect(settings: &QueueSettings) -> Self {
        let endpoint = settings.endpoint.as_deref();
        let shared = surroundings(endpoint, region(settings)).await;
        let polling = Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            .retry_partition(RetryPartition::new("longshore-polling"))
            // A proxy that sends the headers early would look stalled for all of a long poll; the
            // attempt's own time-out bounds it already.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let settling = Builder::from(&shared)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .retry_partition(RetryPartition::new("longshore-settling"))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(SETTLE_ATTEMPT)
                    .operation_timeout(SETTLE_TOTAL)
                    .build(),
            );
        Self { polling: Client::from_conf(polling.build()), settling: Client::from_conf(settling.build()) }
    }
}

/// The queue's region, as far as its settings tell it.
pub(super) fn region(settings: &QueueSettings) -> Option<&str> {
    let by_url = || region_of(&settings.url).or_else(|| settings.endpoint.as_deref().and_then(region_of));
    settings.region.as_deref().or_else(by_url)
}

/// Credentials and region as the AWS SDK finds them.
pub(crate) async fn surroundings(endpoint: Option<&str>, region: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let region = region.map(|name| Region::new(name.to_owned()));
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    match (endpoint, region) {
        (Some(endpoint), region) if !is_amazon(endpoint) => {
            // Local servers check no signature, but the SDK wants one. Only the environment may know better:
            // asking a cloud's metadata service for a loopback server would cost seconds at every start.
            let credentials = CredentialsProviderChain::first_try(
                "Environment",
                EnvironmentVariableCredentialsProvider::new(),
            )
            .or_else("Local", Credentials::new("local", "local", None, None, "Local"));
            let region = RegionProviderChain::first_try(region)
                .or_else(EnvironmentVariableRegionProvider::new())
                .or_else(Region::new(LOCAL_REGION));
            loader.credentials_provider(credentials).region(region).load().await
        }
        (_, Some(region)) => loader.region(region).load().await,
        (_, None) => loader.load().await,
    }
}

/// Whether a URL's host is Amazon's, a VPC endpoint included: there real credentials are needed.
pub(crate) fn is_amazon(url: &str) -> bool {
    host_of(url).is_some_and(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

fn host_of(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split(['/', ':']).next()
}

/// The region in the host of an Amazon queue URL: `sqs.REGION.amazonaws.com` and its relatives. The URL
/// does not choose the host by itself, so a client of another region would ask the wrong one.
fn region_of(url: &str) -> Option<&str> {
    let labels: Vec<&str> = host_of(url).filter(|_| is_amazon(url))?.split('.').collect();
    let sqs = labels.iter().position(|label| matches!(*label, "sqs" | "sqs-fips"));
    match sqs {
        Some(at) => labels.get(at + 1).copied().filter(|label| *label != "amazonaws"),
        // The old form: `REGION.queue.amazonaws.com`.
        None => (labels.get(1) == Some(&"queue")).then(|| labels.first().copied()).flatten(),
    }
}

/// The time-out of a receive that waits this long.
pub(crate) fn receive_timeout(wait: Duration) -> Builder {
    let attempt = wait.saturating_add(RECEIVE_MARGIN);
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(attempt).build();
    aws_sdk_sqs::Config::builder().timeout_config(timeouts)
}

/// Counts every attempt of one operation: each is billed.
#[derive(Debug)]
pub(crate) struct Counted(pub(crate) &'static str);

impl Intercept for Counted {
    fn name(&self) -> &'static str {
        "CountSqsCalls"
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        metrics::counter!("longshore_sqs_calls_total", "operation" => self.0).increment(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_amazon_urls() {
        for (url, region) in [
            ("https://sqs.eu-central-1.amazonaws.com/111122223333/orders", Some("eu-central-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", Some("cn-north-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", Some("us-gov-west-1")),
            ("https://vpce-0a-1b.sqs.eu-west-1.vpce.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://eu-west-3.queue.amazonaws.com/1/q", Some("eu-west-3")),
            ("https://queue.amazonaws.com/1/q", None),
            ("http://127.0.0.1:9324/000000000000/q", None),
            ("not a url", None),
        ] {
            assert_eq!(region_of(url), region, "{url}");
        }
    }
}
