//! Erasing what is held about a person or a record (NX-59). Keys stay, so that duplicates are still known.

use sqlx::{PgConnection, Row as _};

use crate::{
    domain::{
        dead_letter::ERASED,
        ids::EventKey,
        outcome::{Settled, Verdict},
        record::{EraseWrite, Write},
    },
    store::{
        budget_rows::Alert,
        mentions::mentions,
        postgres::{
            audit, calls,
            db::{Step, calendar, clean, column, indexed},
        },
        record_rows::RecordRows,
        rows::AuditEntry,
    },
};

/// Claims hold this lock together, erasures alone: an older event that is claimed meanwhile would be overlooked.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('longshore erasures'), hashtext(current_schema()))";
const LOCK_SHARED: &str =
    "SELECT pg_advisory_xact_lock_shared(hashtext('longshore erasures'), hashtext(current_schema()))";

const ORDER: &str = "
    INSERT INTO erasures AS old (tenant, subject, at) SELECT $1, subject, $3 FROM unnest($2::text[]) AS subject
    ORDER BY subject
    ON CONFLICT (tenant, subject) DO UPDATE SET at = greatest(old.at, excluded.at)";

/// Whoever works on one of them loses its ticket, and writes nothing any more.
const EVENTS: &str = "
    UPDATE inbox SET state = 'done', ticket = ticket + 1, subject = NULL, lease_until = NULL, retry_at = NULL,
        started = 0, detail = NULL, updated_at = clock_timestamp()
    WHERE tenant = $1 AND subject = ANY($2) AND coalesce(occurred_at, first_at) <= $3
    RETURNING key";

/// What hangs on the keys of these events (`$1`).
const OF_EVENTS: [&str; 6] = [
    "DELETE FROM events WHERE key = ANY($1)",
    "DELETE FROM parked WHERE key = ANY($1)",
    "DELETE FROM results WHERE event_key = ANY($1)",
    "DELETE FROM embeddings WHERE event_key = ANY($1)",
    "DELETE FROM outbox WHERE event_key = ANY($1)",
    "DELETE FROM messages WHERE event_key = ANY($1)",
];

const OF_CONTACTS: [&str; 2] = [
    "DELETE FROM contact_properties
     WHERE tenant = $1 AND system = $2 AND external_id = ANY($3) AND version_at <= $4 AND name <> '$deleted'",
    "DELETE FROM contacts c
     WHERE tenant = $1 AND system = $2 AND external_id = ANY($3) AND $4::timestamptz IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM contact_properties p
                       WHERE (p.tenant, p.system, p.external_id) = (c.tenant, c.system, c.external_id))",
];

const OF_CONVERSATIONS: [&str; 2] = [
    "DELETE FROM messages WHERE tenant = $1 AND channel = $2 AND sent_at <= $4 AND conversation IN (
         SELECT id FROM conversations WHERE tenant = $1 AND channel = $2 AND contact = ANY($3))",
    "DELETE FROM conversations
     WHERE tenant = $1 AND channel = $2 AND contact = ANY($3) AND last_inbound_at <= $4",
];

const LETTERS_OF_EVENTS: &str =
    "SELECT id FROM dead_letters WHERE event_key = ANY($1) AND state <> 'erased' ORDER BY id FOR UPDATE";

/// Messages of the source that never became events, one page after the other.
const UNREAD: &str = "
    SELECT id, body, extra::text AS extra FROM dead_letters
    WHERE kind = 'delivery' AND source = $1 AND state <> 'erased' AND id > $2 ORDER BY id LIMIT 50";

const ERASE_LETTERS: &str = "
    UPDATE dead_letters SET state = 'erased', body = $2, detail = $2, attributes = '{}', extra = NULL
    WHERE id = ANY($1)";

/// Waits until no erasure is under way, and keeps it so until the end of the transaction.
pub(super) async fn hold_off(tx: &mut PgConnection) -> Step<()> {
    sqlx::query(LOCK_SHARED).execute(tx).await?;
    Ok(())
}

/// Before anything else is locked: waits for claims under way, if this group erases.
pub(super) async fn lock_if_asked(tx: &mut PgConnection, group: &[Settled]) -> Step<()> {
    let erases = |settled: &Settled| match &settled.verdict {
        Verdict::Done(outcome) => outcome.writes.iter().any(|write| matches!(write, Write::Erase(_))),
        _ => false,
    };
    if group.iter().any(erases) {
        sqlx::query(LOCK).execute(tx).await?;
    }
    Ok(())
}

/// Carries out the orders of a group, after everything else that it writes, and answers whom to tell of budgets.
pub(super) async fn carry_out(tx: &mut PgConnection, rows: &RecordRows<'_>) -> Step<Vec<Alert>> {
    let mut alerts = Vec::new();
    for (key, order) in &rows.erasures {
        alerts.extend(carry_out_one(tx, key, order).await?);
    }
    Ok(alerts)
}

async fn carry_out_one(tx: &mut PgConnection, key: &EventKey, order: &EraseWrite) -> Step<Vec<Alert>> {
    let events = events(tx, order).await?;
    let letters = letters(tx, order, &events).await?;
    for statement in OF_EVENTS {
        sqlx::query(statement).bind(&events).execute(&mut *tx).await?;
    }
    let alerts = calls::erase(tx, &events).await?;
    people(tx, order).await?;
    let entry = AuditEntry {
        actor: "worker",
        action: "erase",
        subject: key.as_str(),
        tenant: Some(order.tenant.as_str()),
        detail: format!("{} events, {} dead letters", events.len(), letters.len()),
    };
    audit::insert(tx, &[entry]).await?;
    Ok(alerts)
}

async fn events(tx: &mut PgConnection, order: &EraseWrite) -> Step<Vec<String>> {
    let tenant = clean(order.tenant.as_str());
    let subjects = column(&order.subjects, |subject| subject.as_str());
    let at = calendar(order.at);
    sqlx::query(ORDER).bind(&tenant).bind(&subjects).bind(at).execute(&mut *tx).await?;
    Ok(sqlx::query_scalar(EVENTS).bind(&tenant).bind(&subjects).bind(at).fetch_all(tx).await?)
}

async fn letters(tx: &mut PgConnection, order: &EraseWrite, events: &[String]) -> Step<Vec<String>> {
    let mut letters: Vec<String> =
        sqlx::query_scalar(LETTERS_OF_EVENTS).bind(events).fetch_all(&mut *tx).await?;
    let mut last = String::new();
    loop {
        let page = sqlx::query(UNREAD).bind(clean(order.source.as_str())).bind(&last);
        let page = page.fetch_all(&mut *tx).await?;
        let Some(end) = page.last() else { break };
        last = end.try_get("id")?;
        for row in &page {
            if mentions(row.try_get("body")?, row.try_get("extra")?, &order.object_id) {
                letters.push(row.try_get("id")?);
            }
        }
    }
    sqlx::query(ERASE_LETTERS).bind(&letters).bind(ERASED).execute(tx).await?;
    Ok(letters)
}

/// Contacts, but for their tombstones, and conversations with them.
async fn people(tx: &mut PgConnection, order: &EraseWrite) -> Step<()> {
    if order.contacts.is_empty() {
        return Ok(());
    }
    let ids = column(&order.contacts, |id| indexed(id));
    let persons = column(&order.contacts, |id| clean(id));
    let of_contacts = OF_CONTACTS.map(|statement| (statement, &*order.system, &ids));
    let of_conversations = OF_CONVERSATIONS
        .map(|statement| order.channel.map(|channel| (statement, channel.name(), &persons)))
        .into_iter()
        .flatten();
    for (statement, system, ids) in of_contacts.into_iter().chain(of_conversations) {
        sqlx::query(statement)
            .bind(indexed(order.tenant.as_str()))
            .bind(indexed(system))
            .bind(ids)
            .bind(calendar(order.at))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
