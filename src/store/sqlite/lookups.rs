//! What handlers and senders look up, and the switches behind it.

use sqlx::Row as _;

use crate::{
    domain::ids::TenantId,
    store::{
        contract::Result,
        rows::{AuditEntry, indexed},
        sqlite::{
            audit,
            db::{Db, failed},
        },
    },
};

pub(super) async fn contact_property(
    db: &Db,
    tenant: &TenantId,
    system: &str,
    id: &str,
    name: &str,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "SELECT value FROM contact_properties
         WHERE tenant = ?1 AND system = ?2 AND external_id = ?3 AND name = ?4",
    )
    .bind(indexed(tenant.as_str()))
    .bind(indexed(system))
    .bind(indexed(id))
    .bind(indexed(name))
    .fetch_optional(db.readers())
    .await
    .map_err(failed)?;
    row.map_or(Ok(None), |row| row.try_get(0).map_err(failed))
}

pub(super) async fn auto_replies(db: &Db, tenant: &TenantId) -> Result<bool> {
    let on = sqlx::query_scalar("SELECT auto_replies FROM tenants WHERE id = ?1")
        .bind(indexed(tenant.as_str()))
        .fetch_optional(db.readers())
        .await
        .map_err(failed)?;
    Ok(on.unwrap_or(true))
}

pub(super) async fn set_auto_replies(db: &Db, tenant: &TenantId, on: bool, actor: &str) -> Result<()> {
    let mut tx = db.write().await?;
    let now = tx.now;
    sqlx::query(
        "INSERT INTO tenants (id, auto_replies, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET auto_replies = excluded.auto_replies, updated_at = excluded.updated_at",
    )
    .bind(indexed(tenant.as_str()))
    .bind(on)
    .bind(now)
    .execute(tx.on())
    .await
    .map_err(failed)?;
    let entry = AuditEntry {
        actor,
        action: "auto_replies",
        subject: tenant.as_str(),
        tenant: Some(tenant.as_str()),
        detail: if on { "on" } else { "off" }.to_owned(),
    };
    audit::insert(&mut tx, &[entry]).await?;
    tx.commit().await
}
