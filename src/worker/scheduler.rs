//! Wakes parked events when they are due: a sealed `wake.v1` message on the queue, so that any worker may
//! take it. A wake that nobody claimed is sent again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;

use crate::{
    crash_point,
    domain::delivery::Attribute,
    queue::contract::{BATCH, EntryResult, OutgoingMessage},
    retry::RetryPolicy,
    sources::sign::{SealKey, seal_wake},
    store::contract::Wake,
    worker::{parts::Context, trail::Happening},
};

/// A wake that nobody claimed is sent again after this long.
const RESEND: Duration = Duration::from_secs(15 * 60);
/// Longest sleep: events parked by other processes are found then.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Wakes what is due until told to stop.
pub(super) async fn wake_until_stopped(context: Arc<Context>) {
    while !context.stopping.is_cancelled() {
        match context.parts.store.wakes_due(100, RESEND).await {
            Ok(due) if due.is_empty() => sleep(&context).await,
            Ok(due) => {
                crash_point::reach("before_wake");
                for batch in due.chunks(BATCH) {
                    wake(&context, batch).await;
                }
                crash_point::reach("wake_sent");
            }
            Err(error) => {
                tracing::warn!(%error, "nobody woken");
                sleep(&context).await;
            }
        }
    }
}

async fn sleep(context: &Context) {
    let next = context.parts.store.wakes_next().await.ok().flatten();
    let next = next.map_or(LONGEST_SLEEP, |next| next.clamp(Duration::from_millis(20), LONGEST_SLEEP));
    tokio::select! {
        () = context.stopping.cancelled() => {}
        () = context.parked.notified() => {}
        () = tokio::time::sleep(next) => {}
    }
}

/// Sends until the queue has them all; what is cut off by the end of the process is sent again later.
async fn wake(context: &Context, wakes: &[Wake]) {
    let mut waiting: Vec<&Wake> = wakes.iter().collect();
    let backoff = RetryPolicy::new(Duration::from_millis(200), Duration::from_secs(10));
    for attempt in 1.. {
        let messages: Vec<OutgoingMessage> =
            waiting.iter().filter_map(|wake| sealed(context, wake)).collect();
        if messages.len() < waiting.len() {
            return;
        }
        match context.parts.queue.send(&messages).await {
            Ok(results) => {
                let (done, left): (Vec<_>, Vec<_>) =
                    waiting.into_iter().zip(results).partition(|(_, r)| *r == EntryResult::Done);
                for (wake, _) in done {
                    context.parts.trail.note(Happening::Woken(wake.key.clone()));
                }
                waiting = left.into_iter().map(|(wake, _)| wake).collect();
            }
            Err(error) => tracing::warn!(%error, "wakes not sent yet"),
        }
        if waiting.is_empty() {
            return;
        }
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(backoff.delay(attempt, None)) => {}
        }
    }
}

/// `None` when the seal key cannot be read: said in the log, and tried again with the next resend.
fn sealed(context: &Context, wake: &Wake) -> Option<OutgoingMessage> {
    let key = &context.parts.wake_key;
    let secret = key.read().map_err(|error| tracing::error!(%error, "wakes cannot be sealed")).ok()?;
    let key = SealKey { id: Some(&key.id), secret: secret.expose_secret() };
    let signed = seal_wake(key, &wake.key, wake.revision, context.parts.clock.now())
        .map_err(|error| tracing::error!(%error, "wakes cannot be sealed"))
        .ok()?;
    let attributes: BTreeMap<String, Attribute> =
        signed.attributes.into_iter().map(|(name, value)| (name, Attribute::Text(value))).collect();
    Some(OutgoingMessage { body: signed.body, attributes, ..OutgoingMessage::default() })
}
