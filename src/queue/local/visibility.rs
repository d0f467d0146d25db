//! Changes of visibility: judged one by one, written together.

use sqlx::SqliteConnection;

use crate::queue::local::{
    error::{ApiError, Code},
    messages_table::{self as table, InFlight, after},
    model::Change,
};

/// Twelve hours, counted from the receive (SQS API reference, `ChangeMessageVisibility`).
const LONGEST: i64 = 43_200 * 1_000_000;

/// Each change's result, in the order asked.
pub(super) async fn change(
    db: &mut SqliteConnection,
    queue: i64,
    changes: &[Change],
    now: i64,
) -> Result<Vec<Result<(), ApiError>>, sqlx::Error> {
    let handles: Vec<_> = changes.iter().map(|change| change.handle).collect();
    let found = table::find(db, &handles).await?;
    let mut times = Vec::with_capacity(changes.len());
    let results = changes
        .iter()
        .map(|change| {
            let message = found.iter().find(|message| message.seq == change.handle.seq);
            judge(queue, change, message, now).map(|visible_at| times.push((change.handle.seq, visible_at)))
        })
        .collect();
    if !times.is_empty() {
        table::set_visible(db, &times).await?;
    }
    Ok(results)
}

/// When the message becomes visible, or why its visibility cannot change.
fn judge(queue: i64, change: &Change, message: Option<&InFlight>, now: i64) -> Result<i64, ApiError> {
    let message = message.filter(|message| message.queue == queue).ok_or_else(|| {
        ApiError::invalid(
            "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not \
             available for visibility timeout change.",
        )
    })?;
    // A superseded handle must not touch the lease of whoever has the message now.
    if message.token != change.handle.token || message.visible_at <= now {
        return Err(ApiError::new(Code::MessageNotInflight, "The message is not in flight."));
    }
    let visible_at = after(now, change.visibility);
    if visible_at > message.received_at.saturating_add(LONGEST) {
        return Err(ApiError::invalid(
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
        ));
    }
    Ok(visible_at)
}
