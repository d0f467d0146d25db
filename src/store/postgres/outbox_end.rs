//! How commands ended: told by who carried them out, or by a person.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    domain::{
        command::{CommandEnd, CommandEndState, CommandState},
        event::DeliveryState,
        ids::CommandId,
        reason::Reason,
        timestamp::Timestamp,
    },
    store::{
        contract::Resolution,
        postgres::{
            audit,
            db::{Step, calendar, clean, column, indexed, time},
            dead_letters::{self, NewDeadLetter},
            outbox::settle_told,
            records,
        },
        record_rows::DeliveryRow,
        rows::{self, AuditEntry},
    },
};

/// One end, as columns.
struct End<'a> {
    id: String,
    /// The try that it must still be; `None`: believed of every try.
    tries: Option<i32>,
    state: CommandState,
    vendor_id: Option<&'a str>,
    detail: Option<String>,
    not_before: Option<Timestamp>,
    /// States besides `sending` from which this end is believed: a taker whose lease lapsed knows more
    /// than we do.
    also_from: [&'static str; 2],
}

impl<'a> End<'a> {
    fn new(CommandEnd { id, tries, end }: &'a CommandEnd) -> Self {
        let plain = |state| Self {
            id: indexed(id.as_str()),
            tries: Some(*tries),
            state,
            vendor_id: None,
            detail: None,
            not_before: None,
            also_from: ["sending", "sending"],
        };
        match end {
            CommandEndState::Sent { vendor_id } => Self {
                tries: None,
                vendor_id: vendor_id.as_deref(),
                also_from: ["unknown", "planned"],
                ..plain(CommandState::Sent)
            },
            CommandEndState::Refused { code, detail } => Self {
                detail: Some(format!("{code}: {detail}")),
                also_from: ["unknown", "unknown"],
                ..plain(CommandState::Refused)
            },
            CommandEndState::Unknown { detail } => {
                Self { detail: Some(detail.clone()), ..plain(CommandState::Unknown) }
            }
            CommandEndState::Dropped { why } => {
                Self { detail: Some(why.clone()), ..plain(CommandState::Dropped) }
            }
            CommandEndState::Again { at, detail } => Self {
                detail: Some(detail.clone()),
                not_before: Some(*at),
                also_from: ["unknown", "unknown"],
                ..plain(CommandState::Planned)
            },
        }
    }
}

/// Records how taken commands ended. What is told twice of one command goes one after the other.
pub(super) async fn settle(tx: &mut PgConnection, ends: &[CommandEnd]) -> Step<()> {
    let mut waiting: Vec<End<'_>> = ends.iter().map(End::new).collect();
    while !waiting.is_empty() {
        let mut round: BTreeMap<String, End<'_>> = BTreeMap::new();
        let mut later = Vec::new();
        for end in waiting {
            if round.contains_key(&end.id) {
                later.push(end);
            } else {
                round.insert(end.id.clone(), end);
            }
        }
        settle_round(tx, &round.into_values().collect::<Vec<_>>()).await?;
        waiting = later;
    }
    Ok(())
}

async fn settle_round(tx: &mut PgConnection, ends: &[End<'_>]) -> Step<()> {
    let mut changed = HashMap::new();
    for row in change(tx, ends).await? {
        changed.insert(row.try_get::<String, _>("id")?, row);
    }
    let mut deliveries = Vec::new();
    let mut refused = Vec::new();
    let mut unknown = Vec::new();
    for end in ends {
        let Some(row) = changed.get(&end.id) else { continue };
        match end.state {
            CommandState::Sent => deliveries.extend(delivery(row, end)?),
            CommandState::Refused => refused.push(dead_letter(row, end)?),
            CommandState::Unknown => unknown.push(end.id.clone()),
            CommandState::Planned | CommandState::Sending | CommandState::Dropped => {}
        }
    }
    settle_told(tx, &unknown).await?;
    records::deliveries(tx, &deliveries).await?;
    dead_letters::insert(tx, refused).await?;
    Ok(())
}

async fn change(tx: &mut PgConnection, ends: &[End<'_>]) -> Step<Vec<PgRow>> {
    let rows = sqlx::query(
        "WITH ended AS MATERIALIZED (
            SELECT e.* FROM outbox o
            JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
                $7::text[], $8::int[]) AS e (id, state, vendor_id, detail, not_before, from_a, from_b, tries)
                ON e.id = o.id
            WHERE o.state IN ('sending', e.from_a, e.from_b) AND (e.tries IS NULL OR e.tries = o.tries)
            ORDER BY o.id COLLATE \"C\" FOR UPDATE OF o
         )
         UPDATE outbox o SET state = ended.state, lease_until = NULL, updated_at = clock_timestamp(),
            vendor_id = coalesce(ended.vendor_id, o.vendor_id), detail = ended.detail,
            not_before = coalesce(ended.not_before, o.not_before)
         FROM ended WHERE o.id = ended.id AND o.state IN ('sending', ended.from_a, ended.from_b)
            AND (ended.tries IS NULL OR ended.tries = o.tries)
         RETURNING o.id, o.event_key, o.channel, o.body::text AS body, o.updated_at,
            (SELECT i.source FROM inbox i WHERE i.key = o.event_key) AS source",
    )
    .bind(column(ends, |end| end.id.as_str()))
    .bind(column(ends, |end| end.state.name()))
    .bind(column(ends, |end| end.vendor_id.map(clean)))
    .bind(column(ends, |end| end.detail.as_deref().map(clean)))
    .bind(column(ends, |end| end.not_before.map(calendar)))
    .bind(column(ends, |end| end.also_from[0]))
    .bind(column(ends, |end| end.also_from[1]))
    .bind(column(ends, |end| end.tries))
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

/// A sent message gets its delivery row, or its link where a status came first.
fn delivery<'a>(row: &'a PgRow, end: &'a End<'_>) -> Step<Option<DeliveryRow<'a>>> {
    let channel: Option<&str> = row.try_get("channel")?;
    let (Some(channel), Some(vendor_id)) = (channel, end.vendor_id) else { return Ok(None) };
    Ok(Some(DeliveryRow {
        channel,
        vendor_id: rows::indexed(vendor_id),
        state: DeliveryState::Sent.name(),
        rank: DeliveryState::Sent.rank(),
        at: time(row, "updated_at")?.0,
        error_code: None,
        command_id: Some(end.id.as_str().into()),
    }))
}

/// A refused command is a dead letter of its own; its event stays as it is. It has no copy on the DLQ:
/// there is no message to put back.
fn dead_letter(row: &PgRow, end: &End<'_>) -> Step<NewDeadLetter> {
    Ok(NewDeadLetter {
        id: end.id.clone(),
        kind: "command",
        source: row.try_get("source")?,
        event_key: row.try_get("event_key")?,
        reason: Reason::VendorRefused.code(),
        detail: end.detail.clone().unwrap_or_default(),
        body: row.try_get("body")?,
        attributes: "{}".to_owned(),
        extra: None,
    })
}

/// A person's word on an unknown command.
pub(super) async fn resolve(
    tx: &mut PgConnection,
    id: &CommandId,
    resolution: Resolution,
    actor: &str,
) -> Step<bool> {
    let (state, word) = match resolution {
        Resolution::Sent => (CommandState::Sent, "sent"),
        Resolution::SendAgain => (CommandState::Planned, "send again"),
        Resolution::Drop => (CommandState::Dropped, "dropped"),
    };
    let row = sqlx::query(
        "UPDATE outbox SET state = $2, not_before = clock_timestamp(), lease_until = NULL,
            updated_at = clock_timestamp()
         WHERE id = $1 AND state = 'unknown' RETURNING event_key, tenant",
    )
    .bind(indexed(id.as_str()))
    .bind(state.name())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let event_key: Option<String> = row.try_get("event_key")?;
    let tenant: String = row.try_get("tenant")?;
    let entry = AuditEntry {
        actor,
        action: "resolve",
        subject: event_key.as_deref().unwrap_or(id.as_str()),
        tenant: Some(&tenant),
        detail: format!("{id}: {word}"),
    };
    audit::insert(tx, &[entry]).await?;
    Ok(true)
}
