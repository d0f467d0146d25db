//! How commands ended: told by who carried them out, or by a person.

use std::borrow::Cow;

use sqlx::sqlite::SqliteRow;

use crate::{
    domain::{
        command::{CommandEnd, CommandEndState, CommandState},
        event::DeliveryState,
        ids::CommandId,
        reason::Reason,
    },
    store::{
        contract::{Resolution, Result},
        record_rows::DeliveryRow,
        rows::{AuditEntry, indexed, text},
        sqlite::{
            audit,
            db::{Db, Tx, failed, get},
            dead_letters::{self, NewDeadLetter},
            outbox::settle_told,
            records,
        },
    },
};

/// What a taker reports counts while the command is `sending`, and also after its lease lapsed (`unknown`,
/// or planned again): it knows more than we do. A repeated report finds nothing to change.
const END: &str = "
    UPDATE outbox SET state = ?2, lease_until = NULL, updated_at = ?3,
                      vendor_id = COALESCE(?4, vendor_id), detail = ?5, not_before = COALESCE(?6, not_before)
    WHERE id = ?1 AND (state = 'sending' OR state = ?7 OR state = ?8) AND (?9 IS NULL OR tries = ?9)
    RETURNING id, event_key, channel, body";

/// One end, as columns.
struct End<'a> {
    /// The try that it must still be; `None`: believed of every try.
    tries: Option<i32>,
    state: CommandState,
    vendor_id: Option<&'a str>,
    detail: Option<String>,
    not_before: Option<i64>,
    /// States besides `sending` from which this end is believed.
    also_from: [&'static str; 2],
}

impl<'a> End<'a> {
    fn new(CommandEnd { tries, end, .. }: &'a CommandEnd) -> Self {
        let none = Self {
            tries: Some(*tries),
            state: CommandState::Sent,
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
                ..none
            },
            CommandEndState::Refused { code, detail } => Self {
                state: CommandState::Refused,
                detail: Some(format!("{code}: {detail}")),
                also_from: ["unknown", "unknown"],
                ..none
            },
            CommandEndState::Unknown { detail } => {
                Self { state: CommandState::Unknown, detail: Some(detail.clone()), ..none }
            }
            CommandEndState::Dropped { why } => {
                Self { state: CommandState::Dropped, detail: Some(why.clone()), ..none }
            }
            CommandEndState::Again { at, detail } => Self {
                state: CommandState::Planned,
                detail: Some(detail.clone()),
                not_before: Some(at.0),
                also_from: ["unknown", "unknown"],
                ..none
            },
        }
    }
}

pub(super) async fn settle(db: &Db, ends: &[CommandEnd]) -> Result<()> {
    let mut tx = db.write().await?;
    let mut sent = Vec::new();
    let mut refused = Vec::new();
    let mut unknown = Vec::new();
    for told in ends {
        let end = End::new(told);
        let Some(row) = change(&mut tx, &told.id, &end).await? else { continue };
        match end.state {
            CommandState::Sent => sent.extend(SentMessage::new(&row, end.vendor_id)?),
            CommandState::Refused => refused.push(dead_letter(&mut tx, &row, end.detail).await?),
            CommandState::Unknown => unknown.push(get(&row, "id")?),
            CommandState::Planned | CommandState::Sending | CommandState::Dropped => {}
        }
    }
    let now = tx.now;
    let delivered: Vec<_> = sent.iter().map(|message| message.delivery(now)).collect();
    records::deliveries(&mut tx, &delivered).await?;
    settle_told(&mut tx, &unknown).await?;
    dead_letters::insert(&mut tx, &refused).await?;
    tx.commit().await
}

async fn change(tx: &mut Tx, id: &CommandId, end: &End<'_>) -> Result<Option<SqliteRow>> {
    let now = tx.now;
    sqlx::query(END)
        .bind(indexed(id.as_str()))
        .bind(end.state.name())
        .bind(now)
        .bind(end.vendor_id.map(text))
        .bind(end.detail.as_deref().map(text))
        .bind(end.not_before)
        .bind(end.also_from[0])
        .bind(end.also_from[1])
        .bind(end.tries)
        .fetch_optional(tx.on())
        .await
        .map_err(failed)
}

/// A message that the vendor has: its channel, the vendor's id and ours.
struct SentMessage<'a> {
    channel: String,
    vendor_id: &'a str,
    command_id: String,
}

impl<'a> SentMessage<'a> {
    /// `None` for other kinds of commands, and where the vendor gave no id.
    fn new(row: &SqliteRow, vendor_id: Option<&'a str>) -> Result<Option<Self>> {
        let channel: Option<String> = get(row, "channel")?;
        let (Some(channel), Some(vendor_id)) = (channel, vendor_id) else { return Ok(None) };
        Ok(Some(Self { channel, vendor_id, command_id: get(row, "id")? }))
    }

    /// Its delivery row, or its link where a status came first.
    fn delivery(&self, now: i64) -> DeliveryRow<'_> {
        DeliveryRow {
            channel: &self.channel,
            vendor_id: indexed(self.vendor_id),
            state: DeliveryState::Sent.name(),
            rank: DeliveryState::Sent.rank(),
            at: now,
            error_code: None,
            command_id: Some(Cow::Borrowed(&self.command_id)),
        }
    }
}

/// A refused command is a dead letter of its own; its event stays as it is. It has no copy on the DLQ:
/// there is no message to put back.
async fn dead_letter(tx: &mut Tx, row: &SqliteRow, detail: Option<String>) -> Result<NewDeadLetter> {
    let event_key: Option<String> = get(row, "event_key")?;
    let source = sqlx::query_scalar("SELECT source FROM inbox WHERE key = ?1")
        .bind(event_key.as_deref())
        .fetch_optional(tx.on())
        .await
        .map_err(failed)?;
    Ok(NewDeadLetter {
        id: get(row, "id")?,
        kind: "command",
        source,
        event_key,
        reason: Reason::VendorRefused.code(),
        detail: detail.unwrap_or_default(),
        body: get(row, "body")?,
        attributes: "{}".to_owned(),
        extra: None,
    })
}

pub(super) async fn resolve(db: &Db, id: &CommandId, resolution: Resolution, actor: &str) -> Result<bool> {
    let (state, word) = match resolution {
        Resolution::Sent => (CommandState::Sent, "sent"),
        Resolution::SendAgain => (CommandState::Planned, "send again"),
        Resolution::Drop => (CommandState::Dropped, "dropped"),
    };
    let mut tx = db.write().await?;
    let now = tx.now;
    let row = sqlx::query(
        "UPDATE outbox SET state = ?2, not_before = ?3, lease_until = NULL, updated_at = ?3
         WHERE id = ?1 AND state = 'unknown' RETURNING event_key, tenant",
    )
    .bind(indexed(id.as_str()))
    .bind(state.name())
    .bind(now)
    .fetch_optional(tx.on())
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(false) };
    let event_key: Option<String> = get(&row, "event_key")?;
    let tenant: String = get(&row, "tenant")?;
    let entry = AuditEntry {
        actor,
        action: "resolve",
        subject: event_key.as_deref().unwrap_or(id.as_str()),
        tenant: Some(&tenant),
        detail: format!("{id}: {word}"),
    };
    audit::insert(&mut tx, &[entry]).await?;
    tx.commit().await?;
    Ok(true)
}
