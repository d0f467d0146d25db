//! The rows that handlers ask for: what wins over what is decided here, in one statement a table. Within
//! one statement SQLite takes the rows in order, so that two outcomes for one entity add up.

use serde::Serialize;

use crate::store::{
    contract::Result,
    record_rows::{DeliveryRow, RecordRows},
    rows::json,
    sqlite::{
        db::{Tx, failed},
        embeddings,
    },
};

const CONTACTS: &str = "
    INSERT INTO contacts (tenant, system, external_id, created_at, updated_at)
    SELECT value ->> 'tenant', value ->> 'system', value ->> 'external_id', ?2, ?2 FROM json_each(?1) WHERE true
    ON CONFLICT (tenant, system, external_id) DO UPDATE SET updated_at = excluded.updated_at";

const PROPERTIES: &str = "
    INSERT INTO contact_properties (tenant, system, external_id, name, value, version_at, version_tie)
    SELECT value ->> 'tenant', value ->> 'system', value ->> 'external_id', value ->> 'name', value ->> 'value',
           value ->> 'at', value ->> 'tie'
    FROM json_each(?1) WHERE ?2
    ON CONFLICT (tenant, system, external_id, name) DO UPDATE SET
        value = excluded.value, version_at = excluded.version_at, version_tie = excluded.version_tie
    WHERE (excluded.version_at, excluded.version_tie) > (version_at, version_tie)";

const CONVERSATIONS: &str = "
    INSERT INTO conversations (id, tenant, channel, business_id, contact, last_inbound_at, intent, lead_stage,
                               sentiment, language, confidence, created_at, updated_at)
    SELECT value ->> 'id', value ->> 'tenant', value ->> 'channel', value ->> 'business_id', value ->> 'contact',
           value ->> 'last_inbound_at', value ->> 'intent', value ->> 'lead_stage', value ->> 'sentiment',
           value ->> 'language', value ->> 'confidence', ?2, ?2
    FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO UPDATE SET
        last_inbound_at = excluded.last_inbound_at, updated_at = excluded.updated_at,
        intent = COALESCE(excluded.intent, intent), lead_stage = COALESCE(excluded.lead_stage, lead_stage),
        sentiment = COALESCE(excluded.sentiment, sentiment), language = COALESCE(excluded.language, language),
        confidence = COALESCE(excluded.confidence, confidence)
    WHERE excluded.last_inbound_at >= last_inbound_at";

const MESSAGES: &str = "
    INSERT INTO messages (channel, vendor_id, tenant, direction, conversation, message_type, text, raw, sent_at,
                          event_key)
    SELECT value ->> 'channel', value ->> 'vendor_id', value ->> 'tenant', 'inbound', value ->> 'conversation',
           value ->> 'message_type', value ->> 'text', value ->> 'raw', value ->> 'sent_at', value ->> 'event_key'
    FROM json_each(?1) WHERE ?2
    ON CONFLICT (channel, vendor_id) DO NOTHING";

const RESULTS: &str = "
    INSERT INTO results (event_key, revision, kind, tenant, body, confidence, model, prompt, calls, created_at,
                         prompt_hash, quality, identical, truncated)
    SELECT value ->> 'event_key', value ->> 'revision', value ->> 'kind', value ->> 'tenant', value ->> 'body',
           value ->> 'confidence', value ->> 'model', value ->> 'prompt', value ->> 'calls', ?2,
           value ->> 'prompt_hash', value ->> 'quality', value ->> 'identical', value ->> 'truncated'
    FROM json_each(?1) WHERE true
    ON CONFLICT (event_key, revision, kind) DO NOTHING";

/// A state of a higher rank wins with all that belongs to it; the link to our command is never lost.
const DELIVERIES: &str = "
    INSERT INTO deliveries (channel, vendor_id, state, rank, at, error_code, command_id, updated_at)
    SELECT value ->> 'channel', value ->> 'vendor_id', value ->> 'state', value ->> 'rank', value ->> 'at',
           value ->> 'error_code', value ->> 'command_id', ?2
    FROM json_each(?1) WHERE true
    ON CONFLICT (channel, vendor_id) DO UPDATE SET
        state = iif(excluded.rank > rank, excluded.state, state),
        at = iif(excluded.rank > rank, excluded.at, at),
        error_code = iif(excluded.rank > rank, excluded.error_code, error_code),
        rank = max(excluded.rank, rank),
        command_id = COALESCE(command_id, excluded.command_id),
        updated_at = excluded.updated_at
    WHERE excluded.rank > rank OR (command_id IS NULL AND excluded.command_id IS NOT NULL)";

/// The vendor speaks of a command whose outcome we did not know: it has it.
const SETTLE_UNKNOWN: &str = "
    UPDATE outbox SET state = 'sent', vendor_id = COALESCE(outbox.vendor_id, told.value ->> 'vendor_id'),
                      lease_until = NULL, updated_at = ?2
    FROM json_each(?1) AS told
    WHERE outbox.id = told.value ->> 'command_id' AND outbox.state = 'unknown'";

const LEDGER: &str = "
    INSERT INTO llm_ledger (id, at, tenant, event_key, step, status, provider, requested_model, served_model,
                            uncached_input, cache_read, cache_write, output, reasoning, usage_source, cost,
                            price_version, latency_ms, chat_user, specialist, request_id, cache_write_1h, prompt,
                            prompt_hash, requested_tier, served_tier)
    SELECT value ->> 'id', value ->> 'at', value ->> 'tenant', value ->> 'event_key', value ->> 'step',
           value ->> 'status', value ->> 'provider', value ->> 'requested_model', value ->> 'served_model',
           value ->> '$.usage.uncached_input', value ->> '$.usage.cache_read', value ->> '$.usage.cache_write',
           value ->> '$.usage.output', value ->> '$.usage.reasoning', value ->> 'usage_source', value ->> 'cost',
           value ->> 'price_version', value ->> 'latency_ms', value ->> 'user', value ->> 'specialist',
           value ->> 'request_id', value ->> '$.usage.cache_write_1h', value ->> 'prompt', value ->> 'prompt_hash',
           value ->> 'requested_tier', value ->> 'served_tier'
    FROM json_each(?1) WHERE ?2
    ON CONFLICT (id) DO NOTHING";

/// Writes everything that a group of outcomes asks for.
pub(super) async fn insert(tx: &mut Tx, rows: &RecordRows<'_>) -> Result<()> {
    each(tx, CONTACTS, &rows.contacts).await?;
    each(tx, PROPERTIES, &rows.properties).await?;
    each(tx, CONVERSATIONS, &rows.conversations).await?;
    each(tx, MESSAGES, &rows.messages).await?;
    each(tx, RESULTS, &rows.results).await?;
    embeddings::insert(tx, &rows.embeddings).await?;
    each(tx, LEDGER, &rows.ledger).await?;
    deliveries(tx, &rows.deliveries).await
}

/// One row for each billed call; an id that is there stays.
pub(super) async fn ledger<T: Serialize>(tx: &mut Tx, rows: &[T]) -> Result<()> {
    each(tx, LEDGER, rows).await
}

/// How far messages of ours got.
pub(super) async fn deliveries(tx: &mut Tx, rows: &[DeliveryRow<'_>]) -> Result<()> {
    each(tx, DELIVERIES, rows).await?;
    let linked: Vec<_> = rows.iter().filter(|row| row.command_id.is_some()).collect();
    each(tx, SETTLE_UNKNOWN, &linked).await
}

/// Runs a statement over rows: `?1` is their JSON, `?2` the time (true, where no time is needed).
async fn each<T: Serialize>(tx: &mut Tx, statement: &'static str, rows: &[T]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    sqlx::query(statement).bind(json(rows)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    Ok(())
}
