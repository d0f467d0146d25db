//! Planning commands.

use crate::store::{
    contract::Result,
    rows::{PlannedCommand, json},
    sqlite::db::{Tx, failed},
};

/// A command that is planned already stays as it is.
const INSERT: &str = "
    INSERT INTO outbox (id, event_key, tenant, kind, lane, state, not_before, expires_at, channel, recipient,
                        automatic, body, created_at, updated_at)
    SELECT value ->> 'id', value ->> 'event_key', value ->> 'tenant', value ->> 'kind', value ->> 'lane',
           'planned', ?2, value ->> 'expires_at', value ->> 'channel', value ->> 'recipient',
           value ->> 'automatic', value ->> 'body', ?2, ?2
    FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO NOTHING";

/// Plans commands, due at once, in this order.
pub(super) async fn insert(tx: &mut Tx, commands: &[PlannedCommand]) -> Result<()> {
    if commands.is_empty() {
        return Ok(());
    }
    let now = tx.now;
    sqlx::query(INSERT).bind(json(commands)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    Ok(())
}
