//! The audit log.

use sqlx::PgConnection;

use crate::store::{
    postgres::db::{Step, clean, column, indexed},
    rows::AuditEntry,
};

/// Writes down what this transaction does.
pub(super) async fn insert(tx: &mut PgConnection, entries: &[AuditEntry<'_>]) -> Step<()> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audit_log (at, actor, action, subject, tenant, detail)
         SELECT clock_timestamp(), actor, action, subject, tenant, detail
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
            AS said (actor, action, subject, tenant, detail)",
    )
    .bind(column(entries, |entry| clean(entry.actor)))
    .bind(column(entries, |entry| entry.action))
    .bind(column(entries, |entry| indexed(entry.subject)))
    .bind(column(entries, |entry| entry.tenant.map(clean)))
    .bind(column(entries, |entry| clean(&entry.detail)))
    .execute(tx)
    .await?;
    Ok(())
}
