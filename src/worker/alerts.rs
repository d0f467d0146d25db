//! Alerts of this process: signed, repeated a few times from memory, and not kept beyond that. What they tell of goes on
//! being said by metrics, `/readyz` and the tables.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    domain::{
        command::{Sent, WebhookTarget},
        ids::CommandId,
    },
    retry::RetryPolicy,
    worker::parts::Context,
};

/// Tries of one alert.
const TRIES: u32 = 5;
/// Between them, where the receiver does not say how long.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Tells it in a task of its own; tells nobody where no `alert_url` is set.
pub(super) fn tell(context: &Arc<Context>, id: CommandId, event_type: &'static str, data: Value) {
    if context.parts.webhooks.has_alert_url() {
        let context = Arc::clone(context);
        tokio::spawn(async move { send(&context, &id, event_type, &data).await });
    }
}

async fn send(context: &Context, id: &CommandId, event_type: &str, data: &Value) {
    let backoff = RetryPolicy::new(BACKOFF.0, BACKOFF.1);
    for attempt in 1..=TRIES {
        let wait = match context.parts.webhooks.send(id, &WebhookTarget::Alerts, event_type, data).await {
            Sent::NotSent { wait, .. } => wait,
            Sent::Unknown { .. } => None,
            Sent::Sent { .. } | Sent::Refused { .. } | Sent::Dropped { .. } => return,
        };
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(backoff.delay(attempt, wait)) => {}
        }
    }
    tracing::warn!(%id, event_type, "an alert was not taken");
}
