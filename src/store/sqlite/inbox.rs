//! Claims: who may work on which event, for how long.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        data_subject::DataSubject,
        event::Event,
        ids::{EventKey, Revision, Ticket},
        outcome::{Fence, Held},
    },
    store::{
        contract::{Claim, ClaimRequest, FIRST_TICKET, Result, Work},
        rows::{indexed, json, timeless_hash},
        sqlite::db::{Db, Tx, failed, get, micros, until},
    },
};

/// Bytes of bodies in one statement; the last one may go beyond.
const STATEMENT: usize = 1 << 20;

/// New keys; whoever comes second finds the row. What was forgotten, or is older than an order to erase its subject,
/// is not new.
const INSERT: &str = "
    INSERT INTO inbox (key, source, account, tenant, kind, state, lease_until, started, seal, subject, occurred_at,
                       first_at, updated_at)
    SELECT value ->> 'key', value ->> 'source', value ->> 'account', value ->> 'tenant', value ->> 'kind',
           'open', ?2, value ->> 'start', value ->> 'seal', value ->> 'subject', value ->> 'occurred_at', ?3, ?3
    FROM json_each(?1)
    WHERE NOT EXISTS (SELECT 1 FROM forgotten f WHERE f.hash = value ->> 'hash')
      AND NOT EXISTS (SELECT 1 FROM erasures e
                      WHERE e.tenant = value ->> 'tenant' AND e.subject = value ->> 'subject'
                        AND e.at >= COALESCE(value ->> 'occurred_at', value ->> 'received_at'))
    ON CONFLICT (key) DO NOTHING
    RETURNING key";

const INSERT_EVENTS: &str = "
    INSERT INTO events (key, received_at, body)
    SELECT value ->> 'key', value ->> 'received_at', value ->> 'body' FROM json_each(?1)";

const FIND: &str = "
    SELECT key, state, revision, ticket, lease_until, retry_at, failures, deferrals, panics, started, lone_deaths
    FROM inbox WHERE key IN (SELECT value FROM json_each(?1))";

/// A death in the lone lane is counted once, at the take-over; the event stays suspect.
const TAKE: &str = "
    UPDATE inbox SET
        state = 'open', ticket = ticket + 1, lease_until = ?2, retry_at = NULL, updated_at = ?3,
        lone_deaths = lone_deaths + (started = 2),
        started = CASE WHEN started = 0 THEN mine.value ->> 'start' ELSE 1 END
    FROM json_each(?1) AS mine
    WHERE inbox.key = mine.value ->> 'key'";

#[derive(Serialize)]
struct NewRow<'a> {
    key: &'a EventKey,
    source: &'a str,
    account: &'a str,
    tenant: &'a str,
    kind: &'static str,
    start: bool,
    seal: Option<Cow<'a, str>>,
    subject: Option<DataSubject>,
    occurred_at: Option<i64>,
    received_at: i64,
    hash: Option<String>,
}

#[derive(Serialize)]
struct NewEvent<'a> {
    key: &'a EventKey,
    received_at: i64,
    body: String,
}

/// A row about to be taken over.
#[derive(Serialize)]
pub(super) struct Take<'a> {
    pub(super) key: &'a EventKey,
    pub(super) start: bool,
}

pub(super) async fn claim(db: &Db, requests: &[ClaimRequest], lease: Duration) -> Result<Vec<Claim>> {
    let mut tx = db.write().await?;
    let fresh = insert(&mut tx, requests, lease).await?;
    let mut old =
        find(&mut tx, requests.iter().map(|r| &r.event.key).filter(|k| !fresh.contains(*k))).await?;
    let mut claims = Vec::with_capacity(requests.len());
    let mut taken = Vec::new();
    let mut seen = HashSet::new();
    for request in requests {
        let key = &request.event.key;
        claims.push(match old.get_mut(key) {
            // The same key twice: the second finds the first one's claim.
            _ if !seen.insert(key) => Claim::Busy(lease),
            None if fresh.contains(key) => Claim::Mine(first_work(key)),
            None => Claim::Done,
            Some(row) => match row.standing(tx.now) {
                Standing::Free => {
                    taken.push(Take { key, start: request.start });
                    Claim::Mine(row.take(key))
                }
                Standing::Done => Claim::Done,
                Standing::Parked => Claim::Parked,
                Standing::Buried => Claim::Buried,
                Standing::Leased(wait) => Claim::Busy(wait),
                Standing::Backoff(wait) => Claim::RetryAt(wait),
            },
        });
    }
    take(&mut tx, &taken, lease).await?;
    tx.commit().await?;
    Ok(claims)
}

/// Inserts what is new, with its event; answers the new keys.
async fn insert(tx: &mut Tx, requests: &[ClaimRequest], lease: Duration) -> Result<HashSet<EventKey>> {
    let rows: Vec<NewRow<'_>> = requests
        .iter()
        .map(|request| NewRow {
            key: &request.event.key,
            source: request.event.source.as_str(),
            account: &request.event.account,
            tenant: request.event.tenant.as_str(),
            kind: request.event.fact.kind(),
            start: request.start,
            seal: request.seal.as_deref().map(indexed),
            subject: DataSubject::of(&request.event),
            occurred_at: request.event.occurred_at.map(|at| at.0),
            received_at: request.event.received_at.0,
            hash: timeless_hash(&request.event),
        })
        .collect();
    let now = tx.now;
    let keys: Vec<String> = sqlx::query_scalar(INSERT)
        .bind(json(&rows)?)
        .bind(now.saturating_add(micros(lease)))
        .bind(now)
        .fetch_all(tx.on())
        .await
        .map_err(failed)?;
    let fresh: HashSet<EventKey> = keys.into_iter().map(EventKey).collect();
    let mut open: HashSet<&EventKey> = fresh.iter().collect();
    let mut new = Vec::with_capacity(fresh.len());
    for request in requests {
        if open.remove(&request.event.key) {
            new.push(&request.event);
        }
    }
    insert_events(tx, &new).await?;
    Ok(fresh)
}

/// In statements of about [`STATEMENT`] bytes, so that large bodies are not all held as text at once.
async fn insert_events(tx: &mut Tx, events: &[&Event]) -> Result<()> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    for (n, event) in events.iter().enumerate() {
        let body = json(event)?;
        bytes += body.len();
        rows.push(NewEvent { key: &event.key, received_at: event.received_at.0, body });
        if bytes >= STATEMENT || n + 1 == events.len() {
            sqlx::query(INSERT_EVENTS).bind(json(&rows)?).execute(tx.on()).await.map_err(failed)?;
            rows.clear();
            bytes = 0;
        }
    }
    Ok(())
}

/// The rows of these keys.
pub(super) async fn find<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = &'a EventKey>,
) -> Result<HashMap<EventKey, InboxRow>> {
    let keys: Vec<_> = keys.collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(FIND).bind(json(&keys)?).fetch_all(tx.on()).await.map_err(failed)?;
    rows.iter().map(|row| Ok((EventKey(get(row, "key")?), InboxRow::read(row)?))).collect()
}

/// Takes over rows that were found free within this transaction.
pub(super) async fn take(tx: &mut Tx, rows: &[Take<'_>], lease: Duration) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    sqlx::query(TAKE)
        .bind(json(rows)?)
        .bind(now.saturating_add(micros(lease)))
        .bind(now)
        .execute(tx.on())
        .await
        .map_err(failed)?;
    Ok(())
}

/// What the inbox holds about one event.
pub(super) struct InboxRow {
    state: String,
    pub(super) revision: Revision,
    ticket: i64,
    lease_until: Option<i64>,
    retry_at: Option<i64>,
    failures: i32,
    deferrals: i32,
    panics: i32,
    started: i32,
    lone_deaths: i32,
}

/// Whether a row may be taken.
pub(super) enum Standing {
    Free,
    Done,
    Parked,
    Buried,
    Leased(Duration),
    Backoff(Duration),
}

impl InboxRow {
    fn read(row: &SqliteRow) -> Result<Self> {
        Ok(Self {
            state: get(row, "state")?,
            revision: Revision(get(row, "revision")?),
            ticket: get(row, "ticket")?,
            lease_until: get(row, "lease_until")?,
            retry_at: get(row, "retry_at")?,
            failures: get(row, "failures")?,
            deferrals: get(row, "deferrals")?,
            panics: get(row, "panics")?,
            started: get(row, "started")?,
            lone_deaths: get(row, "lone_deaths")?,
        })
    }

    pub(super) fn standing(&self, now: i64) -> Standing {
        let later = |at: Option<i64>| at.filter(|at| *at > now).map(|at| until(at, now));
        match self.state.as_str() {
            "done" => Standing::Done,
            "parked" => Standing::Parked,
            "buried" => Standing::Buried,
            "open" => later(self.lease_until).map_or(Standing::Free, Standing::Leased),
            _ => later(self.retry_at).map_or(Standing::Free, Standing::Backoff),
        }
    }

    /// The claim as [`take`] makes it.
    pub(super) fn take(&self, key: &EventKey) -> Work {
        Work {
            held: Held { key: key.clone(), revision: self.revision, ticket: Ticket(self.ticket + 1) },
            failures: self.failures,
            deferrals: self.deferrals,
            panics: self.panics,
            suspect: self.started != 0,
            lone_deaths: self.lone_deaths + i32::from(self.started == 2),
        }
    }
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

#[derive(Serialize)]
struct HeldRow<'a> {
    key: &'a EventKey,
    ticket: i64,
}

fn held_json(held: &[Held]) -> Result<String> {
    let rows: Vec<_> = held.iter().map(|h| HeldRow { key: &h.key, ticket: h.ticket.0 }).collect();
    json(&rows)
}

/// Which of these claims a fenced statement found: its rows are `key`, `ticket`.
pub(super) fn fences<'a>(rows: &[SqliteRow], held: impl Iterator<Item = &'a Held>) -> Result<Vec<Fence>> {
    let found: HashSet<(String, i64)> =
        rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect::<Result<_>>()?;
    let fence = |held: &Held| match found.contains(&(held.key.0.clone(), held.ticket.0)) {
        true => Fence::Committed,
        false => Fence::Lost,
    };
    Ok(held.map(fence).collect())
}

pub(super) async fn mark_started(db: &Db, held: &[Held], lone: bool) -> Result<Vec<Fence>> {
    let mut tx = db.write().await?;
    let now = tx.now;
    let rows = sqlx::query(
        "UPDATE inbox SET started = ?2, updated_at = ?3 FROM json_each(?1) AS mine
         WHERE inbox.key = mine.value ->> 'key' AND inbox.ticket = mine.value ->> 'ticket'
           AND inbox.state = 'open'
         RETURNING inbox.key, inbox.ticket",
    )
    .bind(held_json(held)?)
    .bind(if lone { 2 } else { 1 })
    .bind(now)
    .fetch_all(tx.on())
    .await
    .map_err(failed)?;
    tx.commit().await?;
    fences(&rows, held.iter())
}

pub(super) async fn extend(db: &Db, held: &[Held], lease: Duration) -> Result<Vec<Fence>> {
    let mut tx = db.write().await?;
    let lease_until = tx.now.saturating_add(micros(lease));
    let rows = sqlx::query(
        "UPDATE inbox SET lease_until = ?2 FROM json_each(?1) AS mine
         WHERE inbox.key = mine.value ->> 'key' AND inbox.ticket = mine.value ->> 'ticket'
           AND inbox.state = 'open'
         RETURNING inbox.key, inbox.ticket",
    )
    .bind(held_json(held)?)
    .bind(lease_until)
    .fetch_all(tx.on())
    .await
    .map_err(failed)?;
    tx.commit().await?;
    fences(&rows, held.iter())
}

pub(super) async fn settled_by(db: &Db, held: &Held) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE key = ?1 AND ticket = ?2 AND state <> 'open')",
    )
    .bind(held.key.as_str())
    .bind(held.ticket.0)
    .fetch_one(db.readers())
    .await
    .map_err(failed)
}

/// A dead letter of one item of a body has `#n` behind the content hash.
pub(super) async fn seal_known(db: &Db, seal: &str, content_hash: &str) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE seal = ?1)
             OR EXISTS (SELECT 1 FROM dead_letters WHERE state = 'replayed'
                        AND (id = ?2 OR (id > ?2 || '#' AND id < ?2 || '$')))",
    )
    .bind(indexed(seal))
    .bind(indexed(content_hash))
    .fetch_one(db.readers())
    .await
    .map_err(failed)
}
