//! The rows that handlers ask for. One statement a table, sorted by key, so that two groups that touch the
//! same rows wait for each other instead of locking each other out. A statement may touch a row once only:
//! what several outcomes say of one entity is brought together first, to what it would be if they came one
//! after the other.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::{
    domain::timestamp::Timestamp,
    store::{
        postgres::{
            db::{Step, calendar, clean, column},
            embeddings, ledger,
        },
        record_rows::{ConversationRow, DeliveryRow, MessageRow, PropertyRow, RecordRows, ResultRow},
    },
};

/// Writes everything that a group of outcomes asks for.
pub(super) async fn insert(tx: &mut PgConnection, rows: &RecordRows<'_>) -> Step<()> {
    contacts(tx, rows).await?;
    properties(tx, &rows.properties).await?;
    conversations(tx, &rows.conversations).await?;
    messages(tx, &rows.messages).await?;
    results(tx, &rows.results).await?;
    embeddings::insert(tx, &rows.embeddings).await?;
    ledger::insert(tx, &rows.ledger).await?;
    deliveries(tx, &rows.deliveries).await
}

fn at(micros: i64) -> time::OffsetDateTime {
    calendar(Timestamp(micros))
}

async fn contacts(tx: &mut PgConnection, rows: &RecordRows<'_>) -> Step<()> {
    let mut keys: Vec<(&str, &str, &str)> =
        rows.contacts.iter().map(|c| (&*c.tenant, &*c.system, &*c.external_id)).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO contacts (tenant, system, external_id, created_at, updated_at)
         SELECT tenant, system, external_id, clock_timestamp(), clock_timestamp()
         FROM unnest($1::text[], $2::text[], $3::text[]) AS new (tenant, system, external_id)
         ON CONFLICT (tenant, system, external_id) DO UPDATE SET updated_at = excluded.updated_at",
    )
    .bind(column(&keys, |key| key.0))
    .bind(column(&keys, |key| key.1))
    .bind(column(&keys, |key| key.2))
    .execute(tx)
    .await?;
    Ok(())
}

async fn properties(tx: &mut PgConnection, rows: &[PropertyRow<'_>]) -> Step<()> {
    let mut newest: BTreeMap<_, &PropertyRow<'_>> = BTreeMap::new();
    for row in rows {
        let kept = newest.entry((&row.tenant, &row.system, &row.external_id, &row.name)).or_insert(row);
        if (row.at, &row.tie) > (kept.at, &kept.tie) {
            *kept = row;
        }
    }
    let rows: Vec<_> = newest.into_values().collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO contact_properties (tenant, system, external_id, name, value, version_at, version_tie)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
            $7::text[])
         ON CONFLICT (tenant, system, external_id, name) DO UPDATE SET
            value = excluded.value, version_at = excluded.version_at, version_tie = excluded.version_tie
         WHERE (excluded.version_at, excluded.version_tie)
             > (contact_properties.version_at, contact_properties.version_tie)",
    )
    .bind(column(&rows, |row| &*row.tenant))
    .bind(column(&rows, |row| &*row.system))
    .bind(column(&rows, |row| &*row.external_id))
    .bind(column(&rows, |row| &*row.name))
    .bind(column(&rows, |row| row.value.as_deref()))
    .bind(column(&rows, |row| at(row.at)))
    .bind(column(&rows, |row| &*row.tie))
    .execute(tx)
    .await?;
    Ok(())
}

/// Of several messages of one conversation two matter: the newest that was read, then the newest at all, in
/// two statements. Whatever is older than one of them would change nothing after it.
async fn conversations(tx: &mut PgConnection, rows: &[ConversationRow<'_>]) -> Step<()> {
    let mut newest: BTreeMap<&str, &ConversationRow<'_>> = BTreeMap::new();
    let mut read: BTreeMap<&str, &ConversationRow<'_>> = BTreeMap::new();
    for row in rows {
        let kept = newest.entry(&row.id).or_insert(row);
        if row.last_inbound_at < kept.last_inbound_at {
            continue;
        }
        *kept = row;
        if row.intent.is_some() {
            read.insert(&row.id, row);
        }
    }
    read.retain(|id, row| newest.get(id).is_some_and(|newest| !std::ptr::eq(*newest, *row)));
    upsert_conversations(tx, read.into_values().collect()).await?;
    upsert_conversations(tx, newest.into_values().collect()).await
}

async fn upsert_conversations(tx: &mut PgConnection, rows: Vec<&ConversationRow<'_>>) -> Step<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO conversations AS old (id, tenant, channel, business_id, contact, last_inbound_at, intent,
            lead_stage, sentiment, language, confidence, created_at, updated_at)
         SELECT new.*, clock_timestamp(), clock_timestamp()
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::float8[]) AS new
         ON CONFLICT (id) DO UPDATE SET
            last_inbound_at = excluded.last_inbound_at, updated_at = excluded.updated_at,
            intent = coalesce(excluded.intent, old.intent),
            lead_stage = coalesce(excluded.lead_stage, old.lead_stage),
            sentiment = coalesce(excluded.sentiment, old.sentiment),
            language = coalesce(excluded.language, old.language),
            confidence = coalesce(excluded.confidence, old.confidence)
         WHERE excluded.last_inbound_at >= old.last_inbound_at",
    )
    .bind(column(&rows, |row| &*row.id))
    .bind(column(&rows, |row| clean(row.tenant.as_str())))
    .bind(column(&rows, |row| row.channel))
    .bind(column(&rows, |row| &*row.business_id))
    .bind(column(&rows, |row| &*row.contact))
    .bind(column(&rows, |row| at(row.last_inbound_at)))
    .bind(column(&rows, |row| row.intent.as_deref()))
    .bind(column(&rows, |row| row.lead_stage.as_deref()))
    .bind(column(&rows, |row| row.sentiment.as_deref()))
    .bind(column(&rows, |row| row.language.as_deref()))
    .bind(column(&rows, |row| row.confidence))
    .execute(tx)
    .await?;
    Ok(())
}

async fn messages(tx: &mut PgConnection, rows: &[MessageRow<'_>]) -> Step<()> {
    let mut first: BTreeMap<_, &MessageRow<'_>> = BTreeMap::new();
    for row in rows {
        first.entry((row.channel, &row.vendor_id)).or_insert(row);
    }
    let rows: Vec<_> = first.into_values().collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO messages (channel, vendor_id, tenant, direction, conversation, message_type, text, raw,
            sent_at, event_key)
         SELECT channel, vendor_id, tenant, 'inbound', conversation, message_type, text, raw::json, sent_at,
            event_key
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::timestamptz[], $9::text[])
            AS new (channel, vendor_id, tenant, conversation, message_type, text, raw, sent_at, event_key)
         ON CONFLICT (channel, vendor_id) DO NOTHING",
    )
    .bind(column(&rows, |row| row.channel))
    .bind(column(&rows, |row| &*row.vendor_id))
    .bind(column(&rows, |row| clean(row.tenant.as_str())))
    .bind(column(&rows, |row| &*row.conversation))
    .bind(column(&rows, |row| &*row.message_type))
    .bind(column(&rows, |row| row.text.as_deref()))
    .bind(column(&rows, |row| row.raw.as_str()))
    .bind(column(&rows, |row| at(row.sent_at)))
    .bind(column(&rows, |row| clean(row.event_key)))
    .execute(tx)
    .await?;
    Ok(())
}

async fn results(tx: &mut PgConnection, rows: &[ResultRow<'_>]) -> Step<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO results (event_key, revision, kind, tenant, body, confidence, model, prompt, calls,
            created_at, prompt_hash, quality, identical, truncated)
         SELECT event_key, revision, kind, tenant, body::json, confidence, model, prompt, calls::json,
            clock_timestamp(), prompt_hash, quality, identical, truncated
         FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::float8[], $12::bool[], $13::bool[])
            AS new (event_key, revision, kind, tenant, body, confidence, model, prompt, calls, prompt_hash, quality,
                    identical, truncated)
         ON CONFLICT (event_key, revision, kind) DO NOTHING",
    )
    .bind(column(rows, |row| clean(row.event_key)))
    .bind(column(rows, |row| row.revision))
    .bind(column(rows, |row| &*row.kind))
    .bind(column(rows, |row| clean(row.tenant.as_str())))
    .bind(column(rows, |row| row.body.as_str()))
    .bind(column(rows, |row| row.confidence))
    .bind(column(rows, |row| clean(row.model)))
    .bind(column(rows, |row| clean(row.prompt)))
    .bind(column(rows, |row| row.calls.as_str()))
    .bind(column(rows, |row| clean(row.prompt_hash)))
    .bind(column(rows, |row| row.quality))
    .bind(column(rows, |row| row.identical))
    .bind(column(rows, |row| row.truncated))
    .execute(tx)
    .await?;
    Ok(())
}

/// What several statuses say of one message: the highest state, and our command's id from whoever has it.
struct Delivery<'a> {
    highest: &'a DeliveryRow<'a>,
    command: Option<&'a str>,
}

/// How far messages of ours got. A state of a higher rank wins with all that belongs to it; the link to our
/// command is never lost.
pub(super) async fn deliveries(tx: &mut PgConnection, rows: &[DeliveryRow<'_>]) -> Step<()> {
    let mut merged: BTreeMap<_, Delivery<'_>> = BTreeMap::new();
    for row in rows {
        let command = row.command_id.as_deref();
        let kept = merged.entry((row.channel, &row.vendor_id)).or_insert(Delivery { highest: row, command });
        if row.rank > kept.highest.rank {
            kept.highest = row;
        }
        kept.command = kept.command.or(command);
    }
    let rows: Vec<_> = merged.into_values().collect();
    if rows.is_empty() {
        return Ok(());
    }
    settle_unknown(tx, &rows).await?;
    sqlx::query(
        "INSERT INTO deliveries AS old (channel, vendor_id, state, rank, at, error_code, command_id, updated_at)
         SELECT channel, vendor_id, state, rank, at, error_code, command_id, clock_timestamp()
         FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::text[], $7::text[])
            AS new (channel, vendor_id, state, rank, at, error_code, command_id)
         ON CONFLICT (channel, vendor_id) DO UPDATE SET
            state = CASE WHEN excluded.rank > old.rank THEN excluded.state ELSE old.state END,
            at = CASE WHEN excluded.rank > old.rank THEN excluded.at ELSE old.at END,
            error_code = CASE WHEN excluded.rank > old.rank THEN excluded.error_code ELSE old.error_code END,
            rank = greatest(excluded.rank, old.rank),
            command_id = coalesce(old.command_id, excluded.command_id),
            updated_at = excluded.updated_at
         WHERE excluded.rank > old.rank OR (old.command_id IS NULL AND excluded.command_id IS NOT NULL)",
    )
    .bind(column(&rows, |row| row.highest.channel))
    .bind(column(&rows, |row| &*row.highest.vendor_id))
    .bind(column(&rows, |row| row.highest.state))
    .bind(column(&rows, |row| row.highest.rank))
    .bind(column(&rows, |row| at(row.highest.at)))
    .bind(column(&rows, |row| row.highest.error_code.as_deref()))
    .bind(column(&rows, |row| row.command))
    .execute(tx)
    .await?;
    Ok(())
}

/// The vendor speaks of a command whose outcome we did not know: it has it. Before the deliveries, as
/// everywhere: the outbox is locked first.
async fn settle_unknown(tx: &mut PgConnection, rows: &[Delivery<'_>]) -> Step<()> {
    let mut told: Vec<(&str, &str)> =
        rows.iter().filter_map(|row| row.command.map(|id| (id, &*row.highest.vendor_id))).collect();
    if told.is_empty() {
        return Ok(());
    }
    told.sort_unstable();
    sqlx::query(
        "WITH told AS MATERIALIZED (
            SELECT o.id, t.vendor_id FROM outbox o
            JOIN unnest($1::text[], $2::text[]) AS t (id, vendor_id) ON t.id = o.id
            WHERE o.state = 'unknown' ORDER BY o.id COLLATE \"C\" FOR UPDATE OF o
         )
         UPDATE outbox o SET state = 'sent', vendor_id = coalesce(o.vendor_id, told.vendor_id),
            lease_until = NULL, updated_at = clock_timestamp()
         FROM told WHERE o.id = told.id AND o.state = 'unknown'",
    )
    .bind(column(&told, |row| row.0))
    .bind(column(&told, |row| row.1))
    .execute(tx)
    .await?;
    Ok(())
}
