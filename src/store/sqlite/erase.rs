//! Erasing what is held about a person or a record (NX-59). Keys stay, so that duplicates are still known.

use crate::{
    domain::{dead_letter::ERASED, ids::EventKey, record::EraseWrite},
    store::{
        budget_rows::Alert,
        contract::Result,
        mentions::mentions,
        rows::{AuditEntry, indexed, json, text},
        sqlite::{
            audit, calls,
            db::{Tx, failed, get},
        },
    },
};

const ORDER: &str = "
    INSERT INTO erasures (tenant, subject, at) SELECT ?1, value, ?3 FROM json_each(?2) WHERE true
    ON CONFLICT (tenant, subject) DO UPDATE SET at = max(at, excluded.at)";

/// Whoever works on one of them loses its ticket, and writes nothing any more.
const EVENTS: &str = "
    UPDATE inbox SET state = 'done', ticket = ticket + 1, subject = NULL, lease_until = NULL, retry_at = NULL,
                     started = 0, detail = NULL, updated_at = ?4
    WHERE tenant = ?1 AND subject IN (SELECT value FROM json_each(?2))
      AND COALESCE(occurred_at, first_at) <= ?3
    RETURNING key";

/// What hangs on the keys of these events (`?1`).
const OF_EVENTS: [&str; 6] = [
    "DELETE FROM events WHERE key IN (SELECT value FROM json_each(?1))",
    "DELETE FROM parked WHERE key IN (SELECT value FROM json_each(?1))",
    "DELETE FROM results WHERE event_key IN (SELECT value FROM json_each(?1))",
    "DELETE FROM embeddings WHERE event_key IN (SELECT value FROM json_each(?1))",
    "DELETE FROM outbox WHERE event_key IN (SELECT value FROM json_each(?1))",
    "DELETE FROM messages WHERE event_key IN (SELECT value FROM json_each(?1))",
];

const OF_CONTACTS: [&str; 2] = [
    "DELETE FROM contact_properties
     WHERE tenant = ?1 AND system = ?2 AND external_id IN (SELECT value FROM json_each(?3))
       AND version_at <= ?4 AND name <> '$deleted'",
    "DELETE FROM contacts
     WHERE tenant = ?1 AND system = ?2 AND external_id IN (SELECT value FROM json_each(?3)) AND ?4
       AND NOT EXISTS (SELECT 1 FROM contact_properties p WHERE p.tenant = contacts.tenant
                       AND p.system = contacts.system AND p.external_id = contacts.external_id)",
];

const OF_CONVERSATIONS: [&str; 2] = [
    "DELETE FROM messages WHERE tenant = ?1 AND channel = ?2 AND sent_at <= ?4 AND conversation IN (
         SELECT id FROM conversations WHERE tenant = ?1 AND channel = ?2
                                        AND contact IN (SELECT value FROM json_each(?3)))",
    "DELETE FROM conversations WHERE tenant = ?1 AND channel = ?2 AND last_inbound_at <= ?4
                                 AND contact IN (SELECT value FROM json_each(?3))",
];

const LETTERS_OF_EVENTS: &str = "
    SELECT id FROM dead_letters WHERE event_key IN (SELECT value FROM json_each(?1)) AND state <> 'erased'";

/// Messages of the source that never became events, one page after the other.
const UNREAD: &str = "
    SELECT id, body, extra FROM dead_letters
    WHERE kind = 'delivery' AND source = ?1 AND state <> 'erased' AND id > ?2 ORDER BY id LIMIT 50";

const ERASE_LETTERS: &str = "
    UPDATE dead_letters SET state = 'erased', body = ?2, detail = ?2, attributes = '{}', extra = NULL
    WHERE id IN (SELECT value FROM json_each(?1))";

/// Carries out the orders of a group, after everything else that it writes, and answers whom to tell of budgets.
pub(super) async fn carry_out(tx: &mut Tx, orders: &[(&EventKey, &EraseWrite)]) -> Result<Vec<Alert>> {
    let mut alerts = Vec::new();
    for (key, order) in orders {
        let events = events(tx, order).await?;
        let letters = letters(tx, order, &events).await?;
        for statement in OF_EVENTS {
            sqlx::query(statement).bind(json(&events)?).execute(tx.on()).await.map_err(failed)?;
        }
        alerts.extend(calls::erase(tx, &events).await?);
        people(tx, order).await?;
        let entry = AuditEntry {
            actor: "worker",
            action: "erase",
            subject: key.as_str(),
            tenant: Some(order.tenant.as_str()),
            detail: format!("{} events, {} dead letters", events.len(), letters.len()),
        };
        audit::insert(tx, &[entry]).await?;
    }
    Ok(alerts)
}

async fn events(tx: &mut Tx, order: &EraseWrite) -> Result<Vec<String>> {
    let subjects = json(&order.subjects)?;
    let (tenant, at, now) = (order.tenant.as_str(), order.at.0, tx.now);
    let erasure = sqlx::query(ORDER).bind(tenant).bind(&subjects).bind(at);
    erasure.execute(tx.on()).await.map_err(failed)?;
    let events = sqlx::query_scalar(EVENTS).bind(tenant).bind(&subjects).bind(at).bind(now);
    events.fetch_all(tx.on()).await.map_err(failed)
}

async fn letters(tx: &mut Tx, order: &EraseWrite, events: &[String]) -> Result<Vec<String>> {
    let of_events = sqlx::query_scalar(LETTERS_OF_EVENTS).bind(json(events)?);
    let mut letters: Vec<String> = of_events.fetch_all(tx.on()).await.map_err(failed)?;
    let mut last = String::new();
    loop {
        let page = sqlx::query(UNREAD).bind(order.source.as_str()).bind(&last);
        let page = page.fetch_all(tx.on()).await.map_err(failed)?;
        let Some(end) = page.last() else { break };
        last = get(end, "id")?;
        for row in &page {
            if mentions(get(row, "body")?, get(row, "extra")?, &order.object_id) {
                letters.push(get(row, "id")?);
            }
        }
    }
    let erase = sqlx::query(ERASE_LETTERS).bind(json(&letters)?).bind(ERASED);
    erase.execute(tx.on()).await.map_err(failed)?;
    Ok(letters)
}

/// Contacts, but for their tombstones, and conversations with them.
async fn people(tx: &mut Tx, order: &EraseWrite) -> Result<()> {
    if order.contacts.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = order.contacts.iter().map(|id| indexed(id)).collect();
    let persons: Vec<_> = order.contacts.iter().map(|id| text(id)).collect();
    let of_contacts = OF_CONTACTS.map(|statement| (statement, &*order.system, &ids));
    let of_conversations = OF_CONVERSATIONS
        .map(|statement| order.channel.map(|channel| (statement, channel.name(), &persons)))
        .into_iter()
        .flatten();
    for (statement, system, ids) in of_contacts.into_iter().chain(of_conversations) {
        sqlx::query(statement)
            .bind(indexed(order.tenant.as_str()))
            .bind(indexed(system))
            .bind(json(ids)?)
            .bind(order.at.0)
            .execute(tx.on())
            .await
            .map_err(failed)?;
    }
    Ok(())
}
