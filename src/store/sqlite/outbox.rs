//! Taking commands from the outbox, and when to look again.

use std::time::Duration;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        command::TakenCommand,
        ids::{CommandId, EventKey},
        timestamp::Timestamp,
    },
    store::{
        contract::{Result, StoreError},
        rows::{indexed_prefix, json},
        sqlite::db::{Db, Tx, failed, get, micros, until},
    },
};

/// Planned, and first in its lane while nothing of it is under way.
macro_rules! first_in_lane {
    () => {
        "o.state = 'planned'
      AND NOT EXISTS (SELECT 1 FROM outbox s WHERE s.lane = o.lane AND s.state = 'sending')
      AND NOT EXISTS (SELECT 1 FROM outbox e
                      WHERE e.lane = o.lane AND e.seq < o.seq AND e.state IN ('planned', 'sending'))"
    };
}

/// Planned commands that are due and first in their lane while nothing of it is under way, and why one of
/// them is not to be sent at all. Those of a paused sender are not due.
const HEADS: &str = concat!(
    "
    SELECT o.id, o.seq, o.event_key, o.tries, o.body,
        CASE
            WHEN o.expires_at <= ?1 THEN 'window_closed'
            WHEN o.automatic AND EXISTS (
                SELECT 1 FROM tenants t WHERE t.id = o.tenant AND NOT t.auto_replies) THEN 'auto_replies_off'
            WHEN o.kind = 'message' AND EXISTS (
                SELECT 1 FROM contact_properties p
                WHERE p.tenant = o.tenant AND p.system = o.channel AND p.external_id = o.recipient
                  AND p.name = '$opted_out' AND p.value = 'true') THEN 'opted_out'
        END AS why
    FROM outbox o
    WHERE ",
    first_in_lane!(),
    "
      AND o.not_before <= ?1
      AND NOT EXISTS (SELECT 1 FROM lane_pauses p
                      WHERE p.until > ?1 AND substr(o.lane, 1, length(p.prefix)) = p.prefix)
    ORDER BY o.not_before, o.seq LIMIT ?2"
);

const DROP: &str = "
    UPDATE outbox SET state = 'dropped', detail = dropped.value ->> 'why', updated_at = ?2
    FROM json_each(?1) AS dropped WHERE outbox.id = dropped.value ->> 'id'";

const TAKE: &str = "
    UPDATE outbox SET state = 'sending', tries = tries + 1, lease_until = ?2, updated_at = ?3
    WHERE id IN (SELECT value FROM json_each(?1))";

/// When the first command that nothing of its lane holds up is due.
const NEXT: &str = concat!(
    "
    SELECT min(max(o.not_before, coalesce((
        SELECT max(p.until) FROM lane_pauses p WHERE substr(o.lane, 1, length(p.prefix)) = p.prefix), 0)))
    FROM outbox o
    WHERE ",
    first_in_lane!()
);

#[derive(Serialize)]
struct Dropped<'a> {
    id: &'a str,
    why: &'a str,
}

/// A command at the head of its lane.
struct Head {
    seq: i64,
    taken: TakenCommand,
    why: Option<String>,
}

impl Head {
    fn read(row: &SqliteRow) -> Result<Self> {
        let id: String = get(row, "id")?;
        let command = serde_json::from_str(get(row, "body")?)
            .map_err(|e| StoreError::Refused(format!("the stored command {id} cannot be read: {e}")))?;
        let event_key: Option<String> = get(row, "event_key")?;
        let tries: i32 = get(row, "tries")?;
        let id = CommandId(id);
        Ok(Self {
            seq: get(row, "seq")?,
            taken: TakenCommand { id, event_key: event_key.map(EventKey), tries: tries + 1, command },
            why: get(row, "why")?,
        })
    }
}

/// A dropped head makes room for the next of its lane, so this looks again until nothing is dropped.
pub(super) async fn take(db: &Db, limit: i64, lease: Duration) -> Result<Vec<TakenCommand>> {
    let mut tx = db.write().await?;
    let heads = loop {
        let heads = heads(&mut tx, limit).await?;
        let dropped: Vec<_> = heads
            .iter()
            .filter_map(|head| head.why.as_deref().map(|why| Dropped { id: head.taken.id.as_str(), why }))
            .collect();
        if dropped.is_empty() {
            break heads;
        }
        let now = tx.now;
        sqlx::query(DROP).bind(json(&dropped)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    };
    let ids: Vec<_> = heads.iter().map(|head| &head.taken.id).collect();
    if !ids.is_empty() {
        let now = tx.now;
        sqlx::query(TAKE)
            .bind(json(&ids)?)
            .bind(now.saturating_add(micros(lease)))
            .bind(now)
            .execute(tx.on())
            .await
            .map_err(failed)?;
    }
    tx.commit().await?;
    Ok(heads.into_iter().map(|head| head.taken).collect())
}

async fn heads(tx: &mut Tx, limit: i64) -> Result<Vec<Head>> {
    let now = tx.now;
    let rows = sqlx::query(HEADS).bind(now).bind(limit).fetch_all(tx.on()).await.map_err(failed)?;
    let mut heads: Vec<Head> = rows.iter().map(Head::read).collect::<Result<_>>()?;
    heads.sort_by_key(|head| head.seq);
    Ok(heads)
}

pub(super) async fn next(db: &Db) -> Result<Option<Duration>> {
    let now = db.now().await?;
    let due: Option<i64> = sqlx::query_scalar(NEXT).fetch_one(db.readers()).await.map_err(failed)?;
    Ok(due.map(|due| until(due, now)))
}

/// Holds back lanes that begin with this text; a prefix has no wildcards.
pub(super) async fn pause(db: &Db, lane_prefix: &str, until: Timestamp) -> Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "INSERT INTO lane_pauses (prefix, until) VALUES (?1, ?2)
         ON CONFLICT (prefix) DO UPDATE SET until = max(until, excluded.until)",
    )
    .bind(indexed_prefix(lane_prefix))
    .bind(until.0)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    tx.commit().await
}

/// Forgets pauses that are over.
pub(super) async fn end_pauses(db: &Db) -> Result<()> {
    let mut tx = db.write().await?;
    let now = tx.now;
    let over = sqlx::query("DELETE FROM lane_pauses WHERE until <= ?1").bind(now);
    over.execute(tx.on()).await.map_err(failed)?;
    tx.commit().await
}

/// Commands whose taker let its lease lapse: what may be repeated is planned again, a message to a person
/// is unknown, unless the vendor has spoken of it meanwhile.
pub(super) async fn lapse(db: &Db) -> Result<()> {
    let mut tx = db.write().await?;
    let now = tx.now;
    let lapsed: Vec<String> = sqlx::query_scalar(
        "UPDATE outbox SET state = iif(kind = 'message', 'unknown', 'planned'), lease_until = NULL,
                           not_before = ?1, updated_at = ?1, detail = 'nobody recorded how it ended'
         WHERE state = 'sending' AND lease_until <= ?1 RETURNING id",
    )
    .bind(now)
    .fetch_all(tx.on())
    .await
    .map_err(failed)?;
    settle_told(&mut tx, &lapsed).await?;
    tx.commit().await
}

/// Unknown commands of which a status came before: the vendor has them.
pub(super) async fn settle_told(tx: &mut Tx, ids: &[String]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    sqlx::query(
        "UPDATE outbox SET state = 'sent', vendor_id = COALESCE(outbox.vendor_id, told.vendor_id), updated_at = ?2
         FROM deliveries AS told
         WHERE outbox.id IN (SELECT value FROM json_each(?1)) AND outbox.state = 'unknown'
           AND told.command_id = outbox.id",
    )
    .bind(json(ids)?)
    .bind(now)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    Ok(())
}
