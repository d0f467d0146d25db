//! Giving messages out: who gets one, who has had too many, what is too old.

use std::{collections::BTreeSet, sync::Arc};

use sqlx::SqliteConnection;

use crate::queue::local::{
    messages_table::{self as table, Due, after},
    model::{Receive, Received},
    registry::{Queue, Registry},
};

/// Messages cleared at once when the head of a queue is old or dead.
const CLEARED_AT_ONCE: i64 = 500;

/// What clearing the head of a queue depends on.
struct Rules {
    queue: Arc<Queue>,
    dead_letters: Option<(Arc<Queue>, i64)>,
    now: i64,
}

impl Rules {
    /// Nothing when the queue is gone. Without its dead-letter queue a message is simply given out again.
    fn of(registry: &Registry, queue: i64, now: i64) -> Option<Self> {
        let queue = registry.by_id(queue)?;
        let dead_letters = queue.config.redrive.as_ref().and_then(|policy| {
            registry.by_arn(&policy.dead_letter_target_arn).map(|target| (target, policy.max_receive_count))
        });
        Some(Self { queue, dead_letters, now })
    }

    fn is_expired(&self, due: &Due) -> bool {
        due.sent_at.saturating_add(self.queue.config.retention_s.saturating_mul(1_000_000)) <= self.now
    }

    fn is_dead(&self, due: &Due) -> bool {
        self.dead_letters.as_ref().is_some_and(|(_, most)| due.receives_here >= *most)
    }
}

/// Gives out due messages, oldest first. Queues that got dead letters are added to `touched`.
pub(super) async fn receive(
    db: &mut SqliteConnection,
    registry: &Registry,
    receive: &Receive,
    now: i64,
    touched: &mut BTreeSet<i64>,
) -> Result<Vec<Received>, sqlx::Error> {
    let Some(rules) = Rules::of(registry, receive.queue, now) else { return Ok(Vec::new()) };
    loop {
        let candidates = table::candidates(db, receive.queue, now, receive.max).await?;
        if candidates
            .iter()
            .any(|candidate| rules.is_expired(&candidate.due) || rules.is_dead(&candidate.due))
        {
            clear(db, registry, &rules, touched).await?;
            continue;
        }
        let messages: Vec<Received> = candidates.into_iter().map(|candidate| candidate.message).collect();
        if !messages.is_empty() {
            let handles: Vec<_> = messages.iter().map(|message| message.handle).collect();
            table::note_receive(db, &handles, now, after(now, receive.visibility)).await?;
        }
        return Ok(messages);
    }
}

/// Takes the old and the dead off the head of the queue.
async fn clear(
    db: &mut SqliteConnection,
    registry: &Registry,
    rules: &Rules,
    touched: &mut BTreeSet<i64>,
) -> Result<(), sqlx::Error> {
    let head = table::due(db, rules.queue.id, rules.now, CLEARED_AT_ONCE).await?;
    let (expired, head): (Vec<Due>, Vec<Due>) = head.into_iter().partition(|due| rules.is_expired(due));
    let numbers = |list: &[Due]| list.iter().map(|due| due.seq).collect::<Vec<_>>();
    if !expired.is_empty() {
        table::drop_all(db, &numbers(&expired)).await?;
    }
    let dead: Vec<Due> = head.into_iter().filter(|due| rules.is_dead(due)).collect();
    if let (Some((target, _)), false) = (&rules.dead_letters, dead.is_empty()) {
        let source = registry.arn(&rules.queue.name);
        table::dead_letter(db, &numbers(&dead), target.id, &source, rules.now).await?;
        touched.insert(target.id);
    }
    Ok(())
}
