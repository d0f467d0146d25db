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
        postgres::db::{Step, calendar, column, left, micros},
        rows::indexed_prefix,
    },
};

/// Planned, and first in its lane while nothing of it is under way.
macro_rules! first_in_lane {
    () => {
        "o.state = 'planned' AND NOT EXISTS (
            SELECT 1 FROM outbox other WHERE other.lane = o.lane AND other.state IN ('planned', 'sending')
              AND (other.state = 'sending' OR other.seq < o.seq))"
    };
}

/// First in its lane, and due; the commands of a paused sender are not.
macro_rules! due {
    () => {
        concat!(
            first_in_lane!(),
            " AND o.not_before <= clock_timestamp() AND NOT EXISTS (
                SELECT 1 FROM lane_pauses p
                WHERE p.until > clock_timestamp() AND starts_with(o.lane, p.prefix))"
        )
    };
}

/// Commands that may be taken, with their lanes locked until the transaction ends; a lane that another taker
/// holds is passed over. The locks are 1,024 in all: two lanes may share one, which costs one of them a round.
/// `OFFSET 0` keeps the locking out of the search, so that nothing is locked beyond the limit.
const CANDIDATES: &str = concat!(
    "SELECT seq FROM (
        SELECT o.seq, o.lane FROM outbox o WHERE ",
    due!(),
    " ORDER BY o.seq OFFSET 0
     ) AS heads
     WHERE pg_try_advisory_xact_lock(
        hashtext('longshore lanes ' || current_schema()), hashtext(lane) & 1023)
     LIMIT $1"
);

/// Which of these are still first in their lane, and why one of them is not to be sent at all. A statement of
/// its own: it sees what others committed before their lanes were locked, so that of one lane never two are
/// under way, also when a person or a replay has planned an earlier one again meanwhile.
const HEADS: &str = concat!(
    "SELECT o.seq, o.id, o.event_key, o.tries, o.body::text AS body,
        CASE
            WHEN o.expires_at <= clock_timestamp() THEN 'window_closed'
            WHEN o.automatic AND EXISTS (
                SELECT 1 FROM tenants t WHERE t.id = o.tenant AND NOT t.auto_replies) THEN 'auto_replies_off'
            WHEN o.kind = 'message' AND EXISTS (
                SELECT 1 FROM contact_properties p
                WHERE p.tenant = o.tenant AND p.system = o.channel AND p.external_id = o.recipient
                  AND p.name = '$opted_out' AND p.value = 'true') THEN 'opted_out'
        END AS why
     FROM outbox o WHERE o.seq = ANY($1) AND ",
    due!(),
    " ORDER BY o.seq FOR UPDATE OF o SKIP LOCKED"
);

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
        let candidates: Vec<i64> = sqlx::query_scalar(CANDIDATES).bind(limit).fetch_all(&mut *tx).await?;
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(HEADS).bind(candidates).fetch_all(&mut *tx).await?;
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
const NEXT: &str = concat!(
    "SELECT greatest(extract(epoch FROM min(due) - clock_timestamp()) * 1000000, 0)::bigint FROM (
        SELECT greatest(o.not_before, (
            SELECT max(p.until) FROM lane_pauses p WHERE starts_with(o.lane, p.prefix))) AS due
        FROM outbox o WHERE ",
    first_in_lane!(),
    ") AS heads HAVING min(due) IS NOT NULL"
);

/// How long until [`take`] finds something.
pub(super) async fn next(pool: &PgPool) -> Step<Option<Duration>> {
    let wait: Option<i64> = sqlx::query_scalar(NEXT).fetch_optional(pool).await?;
    Ok(wait.map(|wait| left(Some(wait))))
}

/// Holds back lanes that begin with this text; a prefix has no wildcards.
pub(super) async fn pause(tx: &mut PgConnection, lane_prefix: &str, until: Timestamp) -> Step<()> {
    sqlx::query(
        "INSERT INTO lane_pauses AS old (prefix, until) VALUES ($1, $2)
         ON CONFLICT (prefix) DO UPDATE SET until = greatest(old.until, excluded.until)",
    )
    .bind(indexed_prefix(lane_prefix))
    .bind(calendar(until))
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets pauses that are over.
pub(super) async fn end_pauses(tx: &mut PgConnection) -> Step<()> {
    sqlx::query("DELETE FROM lane_pauses WHERE until <= clock_timestamp()").execute(tx).await?;
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
