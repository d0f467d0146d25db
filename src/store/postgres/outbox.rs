//! Taking commands from the outbox, and when to look again.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::{
    domain::{
        command::TakenCommand,
        ids::{CommandId, EventKey},
        timestamp::Timestamp,
    },
    store::{
        contract::StoreError,
        postgres::db::{Step, calendar, clean, column, left, micros},
    },
};

/// Planned commands that are due and first in their lane while nothing of it is under way, and why one of
/// them is not to be sent at all. One that another taker holds is passed over, and blocks its lane still.
const HEADS: &str = "
    SELECT o.seq, o.id, o.event_key, o.tries, o.body::text AS body,
        CASE
            WHEN o.expires_at <= clock_timestamp() THEN 'window_closed'
            WHEN o.automatic AND EXISTS (
                SELECT 1 FROM tenants t WHERE t.id = o.tenant AND NOT t.auto_replies) THEN 'auto_replies_off'
            WHEN o.kind = 'message' AND EXISTS (
                SELECT 1 FROM contact_properties p
                WHERE p.tenant = o.tenant AND p.system = o.channel AND p.external_id = o.recipient
                  AND p.name = '$opted_out' AND p.value = 'true') THEN 'opted_out'
        END AS why
    FROM outbox o
    WHERE o.state = 'planned' AND o.not_before <= clock_timestamp()
      AND NOT EXISTS (
        SELECT 1 FROM outbox other WHERE other.lane = o.lane AND other.state IN ('planned', 'sending')
          AND (other.state = 'sending' OR other.seq < o.seq))
    ORDER BY o.seq LIMIT $1 FOR UPDATE OF o SKIP LOCKED";

/// A command at the head of its lane, locked.
struct Head {
    seq: i64,
    taken: TakenCommand,
    why: Option<String>,
}

impl Head {
    fn read(row: &PgRow) -> Step<Self> {
        let id: String = row.try_get("id")?;
        let command = serde_json::from_str(row.try_get("body")?).map_err(|error| {
            StoreError::Refused(format!("the stored command {id} cannot be read: {error}"))
        })?;
        let event_key: Option<String> = row.try_get("event_key")?;
        let tries: i32 = row.try_get("tries")?;
        let id = CommandId(id);
        Ok(Self {
            seq: row.try_get("seq")?,
            taken: TakenCommand { id, event_key: event_key.map(EventKey), tries: tries + 1, command },
            why: row.try_get("why")?,
        })
    }
}

/// Takes heads; a dropped one makes room for the next of its lane, so this looks again until none is dropped.
pub(super) async fn take(tx: &mut PgConnection, limit: i64, lease: Duration) -> Step<Vec<TakenCommand>> {
    let heads = loop {
        let rows = sqlx::query(HEADS).bind(limit).fetch_all(&mut *tx).await?;
        let heads = rows.iter().map(Head::read).collect::<Step<Vec<_>>>()?;
        let dropped: Vec<&Head> = heads.iter().filter(|head| head.why.is_some()).collect();
        if dropped.is_empty() {
            break heads;
        }
        sqlx::query(
            "UPDATE outbox o SET state = 'dropped', detail = d.why, updated_at = clock_timestamp()
             FROM unnest($1::bigint[], $2::text[]) AS d (seq, why) WHERE o.seq = d.seq",
        )
        .bind(column(&dropped, |head| head.seq))
        .bind(column(&dropped, |head| head.why.as_deref()))
        .execute(&mut *tx)
        .await?;
    };
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(
        "UPDATE outbox SET state = 'sending', tries = tries + 1, updated_at = clock_timestamp(),
            lease_until = clock_timestamp() + $2 * interval '1 microsecond'
         WHERE seq = ANY($1)",
    )
    .bind(column(&heads, |head| head.seq))
    .bind(micros(lease))
    .execute(tx)
    .await?;
    Ok(heads.into_iter().map(|head| head.taken).collect())
}

/// When the first command that nothing of its lane holds up is due.
pub(super) async fn next(pool: &PgPool) -> Step<Option<Duration>> {
    let wait: Option<i64> = sqlx::query_scalar(
        "SELECT greatest(extract(epoch FROM min(o.not_before) - clock_timestamp()) * 1000000, 0)::bigint
         FROM outbox o
         WHERE o.state = 'planned' AND NOT EXISTS (
            SELECT 1 FROM outbox other WHERE other.lane = o.lane AND other.state IN ('planned', 'sending')
              AND (other.state = 'sending' OR other.seq < o.seq))
         HAVING min(o.not_before) IS NOT NULL",
    )
    .fetch_optional(pool)
    .await?;
    Ok(wait.map(|wait| left(Some(wait))))
}

/// Holds back planned commands of these lanes; a prefix has no wildcards.
pub(super) async fn pause(tx: &mut PgConnection, lane_prefix: &str, until: Timestamp) -> Step<()> {
    sqlx::query(
        "WITH held AS MATERIALIZED (
            SELECT seq FROM outbox WHERE state = 'planned' AND not_before < $2 AND starts_with(lane, $1)
            ORDER BY seq FOR UPDATE
         )
         UPDATE outbox o SET not_before = $2, updated_at = clock_timestamp() FROM held
         WHERE o.seq = held.seq AND o.state = 'planned'",
    )
    .bind(clean(lane_prefix))
    .bind(calendar(until))
    .execute(tx)
    .await?;
    Ok(())
}

/// Commands whose taker let its lease lapse: what may be repeated is planned again, a message to a person
/// is unknown, unless the vendor has spoken of it meanwhile.
pub(super) async fn lapse(tx: &mut PgConnection) -> Step<()> {
    let lapsed: Vec<String> = sqlx::query_scalar(
        "WITH lapsed AS MATERIALIZED (
            SELECT seq FROM outbox WHERE state = 'sending' AND lease_until <= clock_timestamp()
            ORDER BY seq LIMIT 500 FOR UPDATE SKIP LOCKED
         )
         UPDATE outbox o SET state = CASE o.kind WHEN 'message' THEN 'unknown' ELSE 'planned' END,
            lease_until = NULL, not_before = clock_timestamp(), updated_at = clock_timestamp(),
            detail = 'nobody recorded how it ended'
         FROM lapsed WHERE o.seq = lapsed.seq RETURNING o.id",
    )
    .fetch_all(&mut *tx)
    .await?;
    settle_told(tx, &lapsed).await
}

/// Unknown commands of which a status came before: the vendor has them.
pub(super) async fn settle_told(tx: &mut PgConnection, ids: &[String]) -> Step<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE outbox o SET state = 'sent', vendor_id = coalesce(o.vendor_id, told.vendor_id),
            updated_at = clock_timestamp()
         FROM deliveries told
         WHERE o.id = ANY($1) AND o.state = 'unknown' AND told.command_id = o.id",
    )
    .bind(ids)
    .execute(tx)
    .await?;
    Ok(())
}
