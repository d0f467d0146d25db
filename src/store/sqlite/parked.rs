//! Events that wait for the scheduler's wake.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        event::Event,
        ids::{EventKey, Revision, TenantId},
        reason::Reason,
    },
    store::{
        contract::{Result, StoreError, Wake, WakeClaim},
        rows::json,
        sqlite::{
            db::{Db, Tx, failed, get, micros, until},
            inbox::{InboxRow, Standing, Take, find, take},
        },
    },
};

const DUE: &str = "
    SELECT key, revision FROM parked
    WHERE due_at <= ?1 AND (woken_at IS NULL OR woken_at <= ?2) ORDER BY due_at, key LIMIT ?3";

const WOKEN: &str = "UPDATE parked SET woken_at = ?2 WHERE key IN (SELECT value FROM json_each(?1))";

const UNPARK: &str = "DELETE FROM parked WHERE key IN (SELECT value FROM json_each(?1))";

const DUE_NOW: &str = "
    UPDATE parked SET due_at = ?1 WHERE due_at > ?1 AND key IN (
        SELECT p.key FROM parked p JOIN inbox i ON i.key = p.key WHERE i.tenant = ?2 AND i.reason = ?3)";

/// What a tenant's events wait for may be over: all that wait for this reason are due now.
pub(super) async fn due_now(tx: &mut Tx, tenant: &TenantId, reason: Reason) -> Result<()> {
    let due = sqlx::query(DUE_NOW).bind(tx.now).bind(tenant.as_str()).bind(reason.code());
    due.execute(tx.on()).await.map_err(failed)?;
    Ok(())
}

pub(super) async fn wakes_due(db: &Db, limit: i64, resend: Duration) -> Result<Vec<Wake>> {
    let mut tx = db.write().await?;
    let now = tx.now;
    let rows = sqlx::query(DUE)
        .bind(now)
        .bind(now.saturating_sub(micros(resend)))
        .bind(limit)
        .fetch_all(tx.on())
        .await
        .map_err(failed)?;
    let wake = |row| Ok(Wake { key: EventKey(get(row, "key")?), revision: Revision(get(row, "revision")?) });
    let wakes: Vec<Wake> = rows.iter().map(wake).collect::<Result<_>>()?;
    let keys: Vec<_> = wakes.iter().map(|wake| &wake.key).collect();
    sqlx::query(WOKEN).bind(json(&keys)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    tx.commit().await?;
    Ok(wakes)
}

/// Those that were woken already do not count: their wake is on its way.
pub(super) async fn wakes_next(db: &Db) -> Result<Option<Duration>> {
    let now = db.now().await?;
    let due: Option<i64> = sqlx::query_scalar("SELECT min(due_at) FROM parked WHERE woken_at IS NULL")
        .fetch_one(db.readers())
        .await
        .map_err(failed)?;
    Ok(due.map(|due| until(due, now)))
}

pub(super) async fn claim(db: &Db, wakes: &[Wake], lease: Duration, start: bool) -> Result<Vec<WakeClaim>> {
    let mut tx = db.write().await?;
    let found = find(&mut tx, wakes.iter().map(|wake| &wake.key)).await?;
    let due = due(&mut tx, wakes).await?;
    let mut claims = Vec::with_capacity(wakes.len());
    let mut taken = Vec::new();
    let mut once = HashSet::new();
    for wake in wakes {
        let row = found.get(&wake.key).filter(|row| row.revision == wake.revision);
        let Some(row) = row else {
            claims.push(Answer::Nothing);
            continue;
        };
        let answer = match row.standing(tx.now) {
            // The same wake twice: the second finds the first one's claim.
            _ if !once.insert(&wake.key) => Answer::Busy(lease),
            Standing::Done | Standing::Buried => Answer::Nothing,
            Standing::Parked if !due.contains(&(wake.key.clone(), wake.revision)) => Answer::Nothing,
            Standing::Leased(wait) | Standing::Backoff(wait) => Answer::Busy(wait),
            // Free: this wake was claimed before, and that claim lapsed or was handed back.
            Standing::Parked | Standing::Free => {
                taken.push(Take { key: &wake.key, start });
                Answer::Take(row)
            }
        };
        claims.push(answer);
    }
    take(&mut tx, &taken, lease).await?;
    let keys: Vec<_> = taken.iter().map(|taken| taken.key).collect();
    sqlx::query(UNPARK).bind(json(&keys)?).execute(tx.on()).await.map_err(failed)?;
    let mut events = events(&mut tx, &keys).await?;
    let claims =
        claims.into_iter().zip(wakes).map(|(answer, wake)| answer.with_event(&wake.key, &mut events));
    let claims = claims.collect::<Result<_>>()?;
    tx.commit().await?;
    Ok(claims)
}

/// What a wake gets, before its event is read.
enum Answer<'a> {
    Take(&'a InboxRow),
    Nothing,
    Busy(Duration),
}

impl Answer<'_> {
    fn with_event(self, key: &EventKey, events: &mut HashMap<EventKey, Event>) -> Result<WakeClaim> {
        match self {
            Self::Nothing => Ok(WakeClaim::Nothing),
            Self::Busy(wait) => Ok(WakeClaim::Busy(wait)),
            Self::Take(row) => match events.remove(key) {
                Some(event) => Ok(WakeClaim::Mine(Box::new(event), row.take(key))),
                None => Err(StoreError::Refused(format!("the stored event of {key} is gone"))),
            },
        }
    }
}

/// Which of these wakes have a parked row whose time has come.
async fn due(tx: &mut Tx, wakes: &[Wake]) -> Result<HashSet<(EventKey, Revision)>> {
    let keys: Vec<_> = wakes.iter().map(|wake| &wake.key).collect();
    let now = tx.now;
    let rows = sqlx::query(
        "SELECT key, revision FROM parked WHERE due_at <= ?2 AND key IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&keys)?)
    .bind(now)
    .fetch_all(tx.on())
    .await
    .map_err(failed)?;
    rows.iter().map(|row| Ok((EventKey(get(row, 0)?), Revision(get(row, 1)?)))).collect()
}

/// The stored events of these keys.
async fn events(tx: &mut Tx, keys: &[&EventKey]) -> Result<HashMap<EventKey, Event>> {
    let rows = sqlx::query("SELECT key, body FROM events WHERE key IN (SELECT value FROM json_each(?1))")
        .bind(json(keys)?)
        .fetch_all(tx.on())
        .await
        .map_err(failed)?;
    rows.iter().map(event).collect()
}

fn event(row: &SqliteRow) -> Result<(EventKey, Event)> {
    let key: String = get(row, "key")?;
    let event = serde_json::from_str(get(row, "body")?)
        .map_err(|e| StoreError::Refused(format!("the stored event of {key} cannot be read: {e}")))?;
    Ok((EventKey(key), event))
}
