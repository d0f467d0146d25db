//! The object store for large bodies.

use std::sync::Arc;

use crate::{
    config::{ObjectSettings, Settings},
    queue::s3::S3Objects,
    sources::objects::Objects,
};

/// The store of large bodies, where buckets are configured; nothing is sent yet.
pub(super) async fn open(settings: &Settings) -> Objects {
    let ObjectSettings { buckets, bucket, max_bytes, .. } = &settings.objects;
    if buckets.is_empty() && bucket.is_none() {
        return Objects::none();
    }
    let store = S3Objects::connect(&settings.objects, &settings.queue).await;
    Objects::new(Arc::new(store), buckets.clone(), bucket.clone(), *max_bytes)
}
