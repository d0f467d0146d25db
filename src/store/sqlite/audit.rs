//! The audit log.

use crate::store::{
    contract::Result,
    rows::{AuditEntry, json},
    sqlite::db::{Tx, failed},
};

const INSERT: &str = "
    INSERT INTO audit_log (at, actor, action, subject, tenant, detail)
    SELECT ?2, value ->> 'actor', value ->> 'action', value ->> 'subject', value ->> 'tenant', value ->> 'detail'
    FROM json_each(?1)";

/// Writes down what this transaction does.
pub(super) async fn insert(tx: &mut Tx, entries: &[AuditEntry<'_>]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    sqlx::query(INSERT).bind(json(entries)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    Ok(())
}
