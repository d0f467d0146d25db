//! Claims: who works on an event, under which ticket.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    domain::{
        data_subject::DataSubject,
        event::Event,
        ids::{EventKey, Revision, Ticket},
        outcome::{Fence, Held},
    },
    store::{
        contract::{Claim, ClaimRequest, FIRST_TICKET, StoreError, Wake, WakeClaim, Work},
        postgres::{
            db::{Step, calendar, clean, column, indexed, left, micros},
            erase,
        },
        rows::{json, timeless_hash},
    },
};

/// Claims events that arrived: new ones are stored, lapsed ones taken over.
pub(super) async fn claim(
    tx: &mut PgConnection,
    requests: &[ClaimRequest],
    lease: Duration,
) -> Step<Vec<Claim>> {
    let mut sorted: Vec<(String, &ClaimRequest)> =
        requests.iter().map(|request| (clean(request.event.key.as_str()), request)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    erase::hold_off(tx).await?;
    let mut new = insert_new(tx, &sorted, lease).await?;
    let fresh = new.clone();
    insert_events(tx, &sorted, &new).await?;
    let known: Vec<String> =
        sorted.iter().filter(|(key, _)| !new.contains(key)).map(|(key, _)| key.clone()).collect();
    let rows = if known.is_empty() { HashMap::new() } else { lock(tx, &known).await? };
    let takes: Vec<(&str, bool)> = sorted
        .iter()
        .filter(|(key, _)| rows.get(key).is_some_and(|row| row.arrived().is_none()))
        .map(|(key, request)| (key.as_str(), request.start))
        .collect();
    let mut taken = take_over(tx, &takes, &rows, lease).await?;
    let answer = |request: &ClaimRequest| {
        let key = clean(request.event.key.as_str());
        if new.remove(&key) {
            return Claim::Mine(first_work(&request.event.key));
        }
        if let Some(work) = taken.remove(&key) {
            return Claim::Mine(Work { held: Held { key: request.event.key.clone(), ..work.held }, ..work });
        }
        match rows.get(&key) {
            // The same key twice in one receive: the first has it.
            Some(row) => row.arrived().unwrap_or(Claim::Busy(lease)),
            None if fresh.contains(&key) => Claim::Busy(lease),
            None => Claim::Done,
        }
    };
    Ok(requests.iter().map(answer).collect())
}

/// Claims parked events that are due, or whose wake came again after its claim lapsed.
pub(super) async fn claim_wakes(
    tx: &mut PgConnection,
    wakes: &[Wake],
    lease: Duration,
    start: bool,
) -> Step<Vec<WakeClaim>> {
    let mut keys: Vec<String> = wakes.iter().map(|wake| clean(wake.key.as_str())).collect();
    let asked = keys.clone();
    keys.sort();
    keys.dedup();
    let rows = lock(tx, &keys).await?;
    let mut takes: Vec<(&str, bool)> = asked
        .iter()
        .zip(wakes)
        .filter(|(key, wake)| rows.get(*key).is_some_and(|row| row.woken(wake.revision).is_none()))
        .map(|(key, _)| (key.as_str(), start))
        .collect();
    takes.sort_unstable();
    takes.dedup();
    let keys: Vec<&str> = takes.iter().map(|(key, _)| *key).collect();
    sqlx::query("DELETE FROM parked WHERE key = ANY($1)").bind(&keys).execute(&mut *tx).await?;
    let mut taken = take_over(tx, &takes, &rows, lease).await?;
    let mut events = stored_events(tx, &keys).await?;
    let mut answers = Vec::with_capacity(wakes.len());
    for (key, wake) in asked.iter().zip(wakes) {
        let Some(standing) = rows.get(key) else {
            answers.push(WakeClaim::Nothing);
            continue;
        };
        answers.push(match standing.woken(wake.revision) {
            Some(answer) => answer,
            None => match taken.remove(key) {
                Some(work) => {
                    WakeClaim::Mine(Box::new(events.remove(key).ok_or_else(|| missing(key))?), work)
                }
                // The same wake twice: the first has it.
                None => WakeClaim::Busy(lease),
            },
        });
    }
    Ok(answers)
}

/// Records a start.
pub(super) async fn mark_started(tx: &mut PgConnection, held: &[Held], lone: bool) -> Step<Vec<Fence>> {
    let (keys, tickets) = held_columns(held);
    let rows = sqlx::query(
        "WITH mine AS MATERIALIZED (
            SELECT i.key, i.ticket FROM inbox i
            JOIN unnest($1::text[], $2::bigint[]) AS held (key, ticket) USING (key, ticket)
            WHERE i.state = 'open' ORDER BY i.key COLLATE \"C\" FOR UPDATE OF i
         )
         UPDATE inbox i SET started = $3, updated_at = clock_timestamp() FROM mine
         WHERE i.key = mine.key AND i.ticket = mine.ticket AND i.state = 'open'
         RETURNING i.key, i.ticket",
    )
    .bind(&keys)
    .bind(&tickets)
    .bind(if lone { 2_i16 } else { 1 })
    .fetch_all(tx)
    .await?;
    fences(held, &rows)
}

/// Extends claims.
pub(super) async fn extend(tx: &mut PgConnection, held: &[Held], lease: Duration) -> Step<Vec<Fence>> {
    let (keys, tickets) = held_columns(held);
    let rows = sqlx::query(
        "WITH mine AS MATERIALIZED (
            SELECT i.key, i.ticket FROM inbox i
            JOIN unnest($1::text[], $2::bigint[]) AS held (key, ticket) USING (key, ticket)
            WHERE i.state = 'open' ORDER BY i.key COLLATE \"C\" FOR UPDATE OF i
         )
         UPDATE inbox i SET lease_until = clock_timestamp() + $3 * interval '1 microsecond' FROM mine
         WHERE i.key = mine.key AND i.ticket = mine.ticket AND i.state = 'open'
         RETURNING i.key, i.ticket",
    )
    .bind(&keys)
    .bind(&tickets)
    .bind(micros(lease))
    .fetch_all(tx)
    .await?;
    fences(held, &rows)
}

/// Keys and tickets as columns.
pub(super) fn held_columns(held: &[Held]) -> (Vec<String>, Vec<i64>) {
    (column(held, |held| clean(held.key.as_str())), column(held, |held| held.ticket.0))
}

fn fences(held: &[Held], rows: &[PgRow]) -> Step<Vec<Fence>> {
    let mut kept = HashSet::new();
    for row in rows {
        kept.insert((row.try_get::<String, _>(0)?, row.try_get::<i64, _>(1)?));
    }
    let fence = |held: &Held| match kept.contains(&(clean(held.key.as_str()), held.ticket.0)) {
        true => Fence::Committed,
        false => Fence::Lost,
    };
    Ok(held.iter().map(fence).collect())
}

/// Stores the keys that nobody had, but for what was forgotten or erased; two workers with the same new key wait for each other in key order.
async fn insert_new(
    tx: &mut PgConnection,
    sorted: &[(String, &ClaimRequest)],
    lease: Duration,
) -> Step<HashSet<String>> {
    let keys: Vec<String> = sqlx::query_scalar(
        "INSERT INTO inbox (key, source, account, tenant, kind, state, ticket, lease_until, started, seal,
            subject, occurred_at, first_at, updated_at)
         SELECT key, source, account, tenant, kind, 'open', $9,
            clock_timestamp() + $8 * interval '1 microsecond', start::int, seal, subject, occurred_at,
            clock_timestamp(), clock_timestamp()
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[],
            $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[])
            AS new (key, source, account, tenant, kind, start, seal, subject, occurred_at, received_at, hash)
         WHERE NOT EXISTS (SELECT 1 FROM forgotten f WHERE f.hash = new.hash)
           AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.tenant = new.tenant AND e.subject = new.subject
                           AND e.at >= coalesce(new.occurred_at, new.received_at))
         ON CONFLICT (key) DO NOTHING
         RETURNING key",
    )
    .bind(column(sorted, |(key, _)| key.as_str()))
    .bind(column(sorted, |(_, request)| clean(request.event.source.as_str())))
    .bind(column(sorted, |(_, request)| clean(&request.event.account)))
    .bind(column(sorted, |(_, request)| clean(request.event.tenant.as_str())))
    .bind(column(sorted, |(_, request)| request.event.fact.kind()))
    .bind(column(sorted, |(_, request)| request.start))
    .bind(column(sorted, |(_, request)| request.seal.as_deref().map(indexed)))
    .bind(micros(lease))
    .bind(FIRST_TICKET.0)
    .bind(column(sorted, |(_, request)| DataSubject::of(&request.event).map(|s| s.as_str().to_owned())))
    .bind(column(sorted, |(_, request)| request.event.occurred_at.map(calendar)))
    .bind(column(sorted, |(_, request)| calendar(request.event.received_at)))
    .bind(column(sorted, |(_, request)| timeless_hash(&request.event)))
    .fetch_all(tx)
    .await?;
    Ok(keys.into_iter().collect())
}

async fn insert_events(
    tx: &mut PgConnection,
    sorted: &[(String, &ClaimRequest)],
    new: &HashSet<String>,
) -> Step<()> {
    let mut fresh: Vec<&(String, &ClaimRequest)> =
        sorted.iter().filter(|(key, _)| new.contains(key)).collect();
    fresh.dedup_by(|a, b| a.0 == b.0);
    if fresh.is_empty() {
        return Ok(());
    }
    let bodies = fresh.iter().map(|(_, request)| json(&request.event)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO events (key, received_at, body)
         SELECT key, received_at, body::json
         FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS new (key, received_at, body)",
    )
    .bind(column(&fresh, |(key, _)| key.as_str()))
    .bind(column(&fresh, |(_, request)| calendar(request.event.received_at)))
    .bind(bodies)
    .execute(tx)
    .await?;
    Ok(())
}

/// An inbox row as it stands, locked.
struct Standing {
    state: String,
    revision: Revision,
    lease_left: Duration,
    retry_left: Duration,
    started: bool,
    /// Its parked row is of this revision and due.
    due: bool,
}

impl Standing {
    /// The answer to an event that arrived; `None`: take it over.
    fn arrived(&self) -> Option<Claim> {
        match self.state.as_str() {
            "done" => Some(Claim::Done),
            "parked" => Some(Claim::Parked),
            "buried" => Some(Claim::Buried),
            "waiting" if !self.retry_left.is_zero() => Some(Claim::RetryAt(self.retry_left)),
            "open" if !self.lease_left.is_zero() => Some(Claim::Busy(self.lease_left)),
            _ => None,
        }
    }

    /// The answer to a wake; `None`: take it over. A wake that comes early while its event waits for
    /// another try must come back: nothing else would bring the event.
    fn woken(&self, revision: Revision) -> Option<WakeClaim> {
        match self.state.as_str() {
            _ if self.revision != revision => Some(WakeClaim::Nothing),
            "parked" if self.due => None,
            "waiting" if self.retry_left.is_zero() => None,
            "waiting" => Some(WakeClaim::Busy(self.retry_left)),
            "open" if self.lease_left.is_zero() => None,
            "open" => Some(WakeClaim::Busy(self.lease_left)),
            _ => Some(WakeClaim::Nothing),
        }
    }
}

/// Locks rows in key order and says how they stand.
async fn lock(tx: &mut PgConnection, keys: &[String]) -> Step<HashMap<String, Standing>> {
    let rows = sqlx::query(
        "SELECT i.key, i.state, i.revision, i.started <> 0 AS started,
            (extract(epoch FROM i.lease_until - clock_timestamp()) * 1000000)::bigint AS lease_left,
            (extract(epoch FROM i.retry_at - clock_timestamp()) * 1000000)::bigint AS retry_left,
            coalesce(p.revision = i.revision AND p.due_at <= clock_timestamp(), false) AS due
         FROM inbox i LEFT JOIN parked p ON p.key = i.key
         WHERE i.key = ANY($1) ORDER BY i.key COLLATE \"C\" FOR UPDATE OF i",
    )
    .bind(keys)
    .fetch_all(tx)
    .await?;
    let mut standings = HashMap::with_capacity(rows.len());
    for row in rows {
        let standing = Standing {
            state: row.try_get("state")?,
            revision: Revision(row.try_get("revision")?),
            lease_left: left(row.try_get("lease_left")?),
            retry_left: left(row.try_get("retry_left")?),
            started: row.try_get("started")?,
            due: row.try_get("due")?,
        };
        standings.insert(row.try_get("key")?, standing);
    }
    Ok(standings)
}

/// Takes over rows that [`lock`] holds. A death alone is counted here, and the mark of it taken away, so
/// that the next owner's death before its own start does not count it again.
async fn take_over(
    tx: &mut PgConnection,
    takes: &[(&str, bool)],
    rows: &HashMap<String, Standing>,
    lease: Duration,
) -> Step<HashMap<String, Work>> {
    if takes.is_empty() {
        return Ok(HashMap::new());
    }
    let updated = sqlx::query(
        "UPDATE inbox i SET ticket = i.ticket + 1, state = 'open', retry_at = NULL,
            lease_until = clock_timestamp() + $3 * interval '1 microsecond',
            lone_deaths = i.lone_deaths + CASE WHEN i.started = 2 THEN 1 ELSE 0 END,
            started = CASE WHEN i.started <> 0 OR take.start THEN 1 ELSE 0 END,
            updated_at = clock_timestamp()
         FROM unnest($1::text[], $2::bool[]) AS take (key, start)
         WHERE i.key = take.key
         RETURNING i.key, i.revision, i.ticket, i.failures, i.deferrals, i.panics, i.lone_deaths",
    )
    .bind(column(takes, |(key, _)| *key))
    .bind(column(takes, |(_, start)| *start))
    .bind(micros(lease))
    .fetch_all(tx)
    .await?;
    let mut works = HashMap::with_capacity(updated.len());
    for row in updated {
        let key: String = row.try_get("key")?;
        let held = Held {
            key: EventKey(key.clone()),
            revision: Revision(row.try_get("revision")?),
            ticket: Ticket(row.try_get("ticket")?),
        };
        let work = Work {
            held,
            failures: row.try_get("failures")?,
            deferrals: row.try_get("deferrals")?,
            panics: row.try_get("panics")?,
            suspect: rows.get(&key).is_some_and(|row| row.started),
            lone_deaths: row.try_get("lone_deaths")?,
        };
        works.insert(key, work);
    }
    Ok(works)
}

async fn stored_events(tx: &mut PgConnection, keys: &[&str]) -> Step<HashMap<String, Event>> {
    let rows = sqlx::query("SELECT key, body::text FROM events WHERE key = ANY($1)")
        .bind(keys)
        .fetch_all(tx)
        .await?;
    let mut events = HashMap::with_capacity(rows.len());
    for row in rows {
        let key: String = row.try_get(0)?;
        let event = serde_json::from_str(row.try_get(1)?).map_err(|error| {
            StoreError::Refused(format!("the stored event {key} cannot be read: {error}"))
        })?;
        events.insert(key, event);
    }
    Ok(events)
}

fn missing(key: &str) -> StoreError {
    StoreError::Refused(format!("the event {key} is in the inbox, but its body is gone"))
}

fn first_work(key: &EventKey) -> Work {
    Work {
        held: Held { key: key.clone(), revision: Revision(0), ticket: FIRST_TICKET },
        failures: 0,
        deferrals: 0,
        panics: 0,
        suspect: false,
        lone_deaths: 0,
    }
}
