//! The connection to Bedrock: one attempt per call, and no clock but ours on what is streamed.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::{
    Client,
    config::{Builder, IdentityCache, StalledStreamProtectionConfig, retry::RetryConfig},
};

use crate::{config::ProviderSettings, queue::clients};

/// The region of local servers, where nothing says another one.
const LOCAL_REGION: &str = "us-east-1";

/// Finds credentials and region; nothing is sent to Bedrock yet.
pub(crate) async fn connect(settings: &ProviderSettings) -> Client {
    let shared = match &settings.api_key {
        Some(_) => without_credentials(settings).await,
        None => clients::surroundings(settings.base_url.as_deref(), settings.region.as_deref()).await,
    };
    let mut config = Builder::from(&shared)
        // Every attempt may be billed: the gateway alone decides about another one.
        .retry_config(RetryConfig::disabled())
        // A model that thinks looks stalled; on by default, with 5 s of patience (aws-smithy-runtime 1.16).
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if settings.api_key.is_some() {
        // The key comes with each call, so that a new one counts at once: nothing to remember.
        config = config.identity_cache(IdentityCache::no_cache());
    }
    Client::from_conf(config.build())
}

/// With a bearer key the SDK must find no other credentials: it would prefer those.
async fn without_credentials(settings: &ProviderSettings) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).no_credentials();
    let local = settings.base_url.as_deref().filter(|base| !clients::is_amazon(base));
    if let Some(base) = settings.base_url.as_deref() {
        loader = loader.endpoint_url(base);
    }
    if let Some(region) = settings.region.as_deref().or(local.map(|_| LOCAL_REGION)) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}
