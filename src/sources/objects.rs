//! Bodies that lie in an object store: fetched only from listed buckets, never beyond a limit.

use std::sync::Arc;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq as _;

use crate::{
    domain::{envelope::BodyRef, reason::Reason},
    queue::objects::{ObjectError, ObjectStore},
    sources::rejection::Fault,
};

/// Where the intake's bodies begin.
const PREFIX: &str = "longshore/bodies/";
/// Longest key that Amazon S3 knows, in bytes.
const LONGEST_KEY: usize = 1024;

/// The object store, and what may be asked of it.
#[derive(Clone, Default)]
pub struct Objects {
    store: Option<Arc<dyn ObjectStore>>,
    buckets: Vec<String>,
    own: Option<String>,
    largest: usize,
}

impl Objects {
    /// No store: every pointer is refused.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Bodies may be fetched from these buckets and from the intake's `own`. `largest`: bytes of a message body
    /// behind a pointer.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        buckets: Vec<String>,
        own: Option<String>,
        largest: usize,
    ) -> Self {
        Self { store: Some(store), buckets, own, largest }
    }

    /// Is there a bucket for bodies of our own?
    #[must_use]
    pub fn keeps_bodies(&self) -> bool {
        self.store.is_some() && self.own.is_some()
    }

    /// Puts a large body where its envelope can refer to it. The same `id` means the same object.
    ///
    /// # Errors
    /// When there is no bucket for it, or the store does not take it.
    pub async fn put(&self, id: &str, body: Vec<u8>) -> Result<BodyRef, ObjectError> {
        let (Some(store), Some(bucket)) = (&self.store, &self.own) else {
            return Err(ObjectError::Unavailable("objects.bucket is not set".to_owned()));
        };
        let key = format!("{PREFIX}{id}");
        let (length, sha256) = (body.len() as u64, hex::encode(sha256(&body)));
        store.put(bucket, &key, body).await?;
        Ok(BodyRef { bucket: Some(bucket.clone()), key, length, sha256 })
    }

    /// The object behind a pointer that nobody has proved yet.
    pub(super) async fn pointed_at(&self, bucket: &str, key: &str) -> Result<Vec<u8>, Fault> {
        self.get(bucket, key, self.largest).await
    }

    /// The very bytes that a sealed envelope refers to.
    pub(super) async fn referred_to(&self, place: &BodyRef, cap: usize) -> Result<Vec<u8>, Fault> {
        if place.length > cap as u64 {
            return Err((Reason::Oversize, format!("{} bytes, {cap} are allowed", place.length)));
        }
        let bucket = place.bucket.as_ref().or(self.own.as_ref()).ok_or_else(refused)?;
        let body = self.get(bucket, &place.key, cap).await?;
        let sealed = hex::decode(&place.sha256).unwrap_or_default();
        let same = body.len() as u64 == place.length && bool::from(sha256(&body).ct_eq(&sealed));
        if same {
            Ok(body)
        } else {
            Err((Reason::SigInvalid, "the object is not the one that was sealed".to_owned()))
        }
    }

    async fn get(&self, bucket: &str, key: &str, cap: usize) -> Result<Vec<u8>, Fault> {
        let listed = self.buckets.iter().chain(&self.own).any(|own| own == bucket);
        let store = self.store.as_ref().filter(|_| listed).ok_or_else(refused)?;
        if !(1..=LONGEST_KEY).contains(&key.len()) {
            return Err((Reason::EnvelopeMalformed, "an object's key has 1 to 1024 bytes".to_owned()));
        }
        store.get(bucket, key, cap).await.map_err(|error| match error {
            ObjectError::Missing => (Reason::ObjectMissing, "there is no such object".to_owned()),
            ObjectError::TooLarge => (Reason::Oversize, format!("the object has more than {cap} bytes")),
            ObjectError::Unavailable(why) => (Reason::ObjectUnavailable, why),
        })
    }
}

fn refused() -> Fault {
    (Reason::ObjectRefused, "its bucket is not listed in objects.buckets".to_owned())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut found = [0; 32];
    found.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    found
}
