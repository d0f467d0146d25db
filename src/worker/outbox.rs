//! Carrying out commands: each is durable as `sending` before its socket opens, and its end is recorded
//! whatever happens here.

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use crate::{
    crash_point,
    domain::command::{Action, CommandEnd, CommandEndState, Pause, Sent, TakenCommand},
    retry::RetryPolicy,
    worker::{dead_letter_copy, parts::Context, trail::Happening},
};

/// Commands carried out at once.
const MOST_COMMANDS: usize = 32;
/// Tries of a command that fails without a hint when to come back.
const TRIES: i32 = 5;
/// The same for a signed request, whose repetition is harmless: about a day, since the waits grow to five minutes.
const WEBHOOK_TRIES: i32 = 300;
/// Longest sleep while nothing is due: commands of other processes are found then.
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// Carries out what is due until told to stop, then waits for what is under way.
pub(super) async fn carry_out_until_stopped(context: Arc<Context>) {
    let under_way = TaskTracker::new();
    while !context.stopping.is_cancelled() {
        let room = MOST_COMMANDS.saturating_sub(under_way.len());
        let taken = take(&context, room).await;
        if taken.is_empty() {
            sleep(&context, room).await;
            continue;
        }
        crash_point::reach("outbox_sending");
        for command in taken {
            let context = Arc::clone(&context);
            under_way.spawn(async move {
                carry_out(&context, command).await;
                // Its lane may have a next one.
                context.commands.notify_one();
            });
        }
    }
    under_way.close();
    under_way.wait().await;
}

async fn take(context: &Context, room: usize) -> Vec<TakenCommand> {
    if room == 0 {
        return Vec::new();
    }
    // Longer than any send takes: one that lapses has lost its process.
    let lease = context.visibility() * 2;
    match context.parts.store.outbox_take(i64::try_from(room).unwrap_or(1), lease).await {
        Ok(taken) => taken,
        Err(error) => {
            tracing::warn!(%error, "no commands taken");
            Vec::new()
        }
    }
}

async fn sleep(context: &Context, room: usize) {
    let next = match context.parts.store.outbox_next().await {
        // Something is due and was not taken: its lane is busy, or there is no room. Its end wakes us.
        Ok(Some(next)) if room > 0 => next.max(Duration::from_millis(20)).min(LONGEST_SLEEP),
        _ => LONGEST_SLEEP,
    };
    tokio::select! {
        () = context.stopping.cancelled() => {}
        () = context.commands.notified() => {}
        () = tokio::time::sleep(next) => {}
    }
}

async fn carry_out(context: &Context, taken: TakenCommand) {
    let sent = match &taken.command.action {
        Action::Message { channel, .. } => match context.parts.channels.get(channel) {
            Some(sender) => sender.send(&taken.id, &taken.command).await,
            None => Sent::Refused {
                code: "no_channel".to_owned(),
                detail: format!("no {} credentials are configured", channel.name()),
            },
        },
        Action::CopyDeadLetter { dead_letter } => dead_letter_copy::copy(context, dead_letter).await,
        Action::Requeue { dead_letter } => dead_letter_copy::requeue(context, dead_letter).await,
        Action::Webhook { to, event_type, data } => {
            context.parts.webhooks.send(&taken.id, to, event_type, data).await
        }
    };
    crash_point::reach("vendor_answered");
    if let Sent::NotSent { wait: Some(wait), pause: Pause::Sender, .. } = &sent {
        pause_sender(context, &taken, *wait).await;
    }
    let end = end(context, &taken, sent);
    record(context, CommandEnd { id: taken.id.clone(), tries: taken.tries, end: end.clone() }).await;
    crash_point::reach("sent_stored");
    let (name, detail) = describe(&end);
    context.parts.trail.note(Happening::Command {
        id: taken.id,
        kind: taken.command.action.kind(),
        end: name,
        detail,
    });
}

/// The vendor asks the whole number to wait, not only this person.
async fn pause_sender(context: &Context, taken: &TakenCommand, wait: Duration) {
    let lane = &taken.command.lane;
    let prefix = lane.rfind(':').map_or(lane.as_str(), |at| &lane[..=at]);
    if let Err(error) = context.parts.store.outbox_pause(prefix, context.clock.now().plus(wait)).await {
        tracing::warn!(%error, "sender not paused");
    }
}

fn end(context: &Context, taken: &TakenCommand, sent: Sent) -> CommandEndState {
    match sent {
        Sent::Sent { vendor_id } => CommandEndState::Sent { vendor_id },
        Sent::Refused { code, detail } => CommandEndState::Refused { code, detail },
        Sent::Dropped { why } => CommandEndState::Dropped { why },
        Sent::Unknown { detail } if !taken.command.action.is_idempotent() => {
            CommandEndState::Unknown { detail }
        }
        Sent::NotSent { code, detail, wait: None, .. }
            if taken.tries >= most_tries(&taken.command.action) =>
        {
            CommandEndState::Refused {
                code,
                detail: format!("given up after {} tries: {detail}", taken.tries),
            }
        }
        Sent::Unknown { detail } if taken.tries >= most_tries(&taken.command.action) => {
            let detail = format!("given up after {} tries: {detail}", taken.tries);
            CommandEndState::Refused { code: "no_answer".to_owned(), detail }
        }
        Sent::NotSent { detail, wait, .. } => again(context, taken, detail, wait),
        Sent::Unknown { detail } => again(context, taken, detail, None),
    }
}

/// Copies of dead letters are tried for ever: they go to the queue that we live on.
fn most_tries(action: &Action) -> i32 {
    match action {
        Action::Message { .. } => TRIES,
        Action::Webhook { .. } => WEBHOOK_TRIES,
        Action::CopyDeadLetter { .. } | Action::Requeue { .. } => i32::MAX,
    }
}

fn again(context: &Context, taken: &TakenCommand, detail: String, wait: Option<Duration>) -> CommandEndState {
    let backoff = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(300));
    let delay = backoff.delay(u32::try_from(taken.tries).unwrap_or(1), wait);
    CommandEndState::Again { at: context.clock.now().plus(delay), detail }
}

/// What happened outside must be recorded: until it is, or until its lease makes it `unknown`.
async fn record(context: &Context, end: CommandEnd) {
    let backoff = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(5));
    for attempt in 1.. {
        match context.parts.writer.outbox_settle(end.clone()).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, command = %end.id, "end of a command not recorded yet"),
        }
        tokio::select! {
            () = context.stopped.cancelled() => return,
            () = tokio::time::sleep(backoff.delay(attempt, None)) => {}
        }
    }
}

fn describe(end: &CommandEndState) -> (&'static str, String) {
    match end {
        CommandEndState::Sent { vendor_id } => ("sent", vendor_id.clone().unwrap_or_default()),
        CommandEndState::Refused { code, detail } => ("refused", format!("{code}: {detail}")),
        CommandEndState::Unknown { detail } => ("unknown", detail.clone()),
        CommandEndState::Dropped { why } => ("dropped", why.clone()),
        CommandEndState::Again { detail, .. } => ("again", detail.clone()),
    }
}
