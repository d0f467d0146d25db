//! Bounds: requests at once, bytes at once, requests a second, time for a body.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    config::IntakeSettings,
    edge::answer::{Refusal, Why},
};

/// How much of an unwanted body is read, so that the caller is ready to read the answer.
const UNWANTED: usize = 256 * 1024;
/// How long that may take.
const UNWANTED_TIME: Duration = Duration::from_secs(2);

/// Bounds of the whole edge.
#[derive(Debug)]
pub(super) struct Limits {
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    body_timeout: Duration,
}

/// A body and its share of the memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) body: Vec<u8>,
    pub(super) share: Option<OwnedSemaphorePermit>,
}

impl Limits {
    pub(super) fn new(settings: &IntakeSettings) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let (places, bytes) = (semaphore(settings.max_waiting), semaphore(settings.max_bytes));
        Self { places, bytes, body_timeout: settings.body_timeout }
    }

    /// A place among the requests that are worked.
    ///
    /// # Errors
    /// [`Why::Busy`] when all are taken.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = |_| Refusal::new(Why::Busy, "too many requests at once");
        Arc::clone(&self.places).try_acquire_owned().map_err(busy)
    }

    /// The whole body, no larger than `most` bytes.
    ///
    /// # Errors
    /// Too large, too slow, broken off, or no memory left for it.
    pub(super) async fn read(&self, body: &mut Incoming, most: usize) -> Result<Held, Refusal> {
        if body.size_hint().lower() > most as u64 {
            return Err(too_large(most));
        }
        let slow = |_| Refusal::new(Why::SlowBody, "the body did not arrive in time");
        timeout(self.body_timeout, self.collect(body, most)).await.map_err(slow)?
    }

    async fn collect(&self, body: &mut Incoming, most: usize) -> Result<Held, Refusal> {
        let mut held = Held { body: Vec::new(), share: None };
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::new(Why::BrokenBody, "the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if held.body.len() + data.len() > most {
                return Err(too_large(most));
            }
            self.account(&mut held, data.len())?;
            held.body.extend_from_slice(&data);
        }
        Ok(held)
    }

    fn account(&self, held: &mut Held, bytes: usize) -> Result<(), Refusal> {
        let busy = || Refusal::new(Why::Busy, "too many bytes at once");
        let bytes = u32::try_from(bytes).map_err(|_| busy())?;
        let more = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).map_err(|_| busy())?;
        match &mut held.share {
            Some(share) => share.merge(more),
            None => held.share = Some(more),
        }
        Ok(())
    }
}

fn too_large(most: usize) -> Refusal {
    Refusal::new(Why::TooLarge, format!("the body is larger than the {most} bytes that the source may send"))
}

/// Reads what is left of a refused body, within bounds: a caller that is still sending would see a broken
/// connection instead of the answer.
pub(super) async fn discard(body: &mut Incoming) {
    let all = async {
        let mut read = 0;
        while read < UNWANTED {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len()),
                Some(Err(_)) | None => return,
            }
        }
    };
    // What did not come in time is not waited for.
    let _ = timeout(UNWANTED_TIME, all).await;
}

/// Requests a second of one source, with a second's worth at once.
#[derive(Debug)]
pub(super) struct Rate(DefaultDirectRateLimiter);

impl Rate {
    /// None for no limit. A limit of 0 is none.
    pub(super) fn new(requests_per_second: Option<u32>) -> Option<Self> {
        let limit = requests_per_second.and_then(NonZeroU32::new)?;
        Some(Self(DefaultDirectRateLimiter::direct(Quota::per_second(limit))))
    }

    /// # Errors
    /// [`Why::RateLimited`], with the time to wait.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        self.0.check().map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            Refusal::new(Why::RateLimited, "the source's requests_per_second").after(wait)
        })
    }
}
