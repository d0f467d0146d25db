//! What handlers and senders look up, and the switches behind it.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use crate::{
    domain::{ids::TenantId, outcome::Held, timestamp::Timestamp},
    store::{
        postgres::{
            audit,
            db::{Step, clean, indexed},
        },
        rows::AuditEntry,
    },
};

/// The database's clock.
pub(super) async fn now(pool: &PgPool) -> Step<Timestamp> {
    let now: OffsetDateTime = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await?;
    Ok(now.into())
}

pub(super) async fn settled_by(pool: &PgPool, held: &Held) -> Step<bool> {
    let settled = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE key = $1 AND ticket = $2 AND state <> 'open')",
    );
    Ok(settled.bind(clean(held.key.as_str())).bind(held.ticket.0).fetch_one(pool).await?)
}

/// An item's dead letter is named after its message's hash, with `#n` behind it.
pub(super) async fn seal_known(pool: &PgPool, seal: &str, content_hash: &str) -> Step<bool> {
    let known = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE seal = $1)
            OR EXISTS (SELECT 1 FROM replays WHERE dead_letter = $2 OR starts_with(dead_letter, $2 || '#'))",
    );
    Ok(known.bind(indexed(seal)).bind(indexed(content_hash)).fetch_one(pool).await?)
}

pub(super) async fn contact_property(
    pool: &PgPool,
    tenant: &TenantId,
    system: &str,
    id: &str,
    name: &str,
) -> Step<Option<String>> {
    let value: Option<Option<String>> = sqlx::query_scalar(
        "SELECT value FROM contact_properties
         WHERE tenant = $1 AND system = $2 AND external_id = $3 AND name = $4",
    )
    .bind(indexed(tenant.as_str()))
    .bind(indexed(system))
    .bind(indexed(id))
    .bind(indexed(name))
    .fetch_optional(pool)
    .await?;
    Ok(value.flatten())
}

pub(super) async fn auto_replies(pool: &PgPool, tenant: &TenantId) -> Step<bool> {
    let on: Option<bool> = sqlx::query_scalar("SELECT auto_replies FROM tenants WHERE id = $1")
        .bind(indexed(tenant.as_str()))
        .fetch_optional(pool)
        .await?;
    Ok(on.unwrap_or(true))
}

pub(super) async fn set_auto_replies(
    tx: &mut PgConnection,
    tenant: &TenantId,
    on: bool,
    actor: &str,
) -> Step<()> {
    sqlx::query(
        "INSERT INTO tenants (id, auto_replies, updated_at) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (id) DO UPDATE SET auto_replies = excluded.auto_replies, updated_at = excluded.updated_at",
    )
    .bind(indexed(tenant.as_str()))
    .bind(on)
    .execute(&mut *tx)
    .await?;
    let entry = AuditEntry {
        actor,
        action: "auto_replies",
        subject: tenant.as_str(),
        tenant: Some(tenant.as_str()),
        detail: if on { "on" } else { "off" }.to_owned(),
    };
    audit::insert(tx, &[entry]).await
}
