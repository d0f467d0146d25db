//! Planning commands.

use sqlx::PgConnection;

use crate::{
    domain::timestamp::Timestamp,
    store::{
        postgres::db::{Step, calendar, clean, column},
        rows::PlannedCommand,
    },
};

/// Plans commands, due at once, in this order; one that is planned already stays as it is.
pub(super) async fn insert(tx: &mut PgConnection, commands: &[PlannedCommand]) -> Step<()> {
    if commands.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO outbox (id, event_key, tenant, kind, lane, state, not_before, expires_at, channel,
            recipient, automatic, body, created_at, updated_at)
         SELECT id, event_key, tenant, kind, lane, 'planned', clock_timestamp(), expires_at, channel,
            recipient, automatic, body::json, clock_timestamp(), clock_timestamp()
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
            $7::text[], $8::text[], $9::bool[], $10::text[])
            AS new (id, event_key, tenant, kind, lane, expires_at, channel, recipient, automatic, body)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(column(commands, |command| command.id.as_str()))
    .bind(column(commands, |command| command.event_key.as_deref().map(clean)))
    .bind(column(commands, |command| command.tenant.as_str()))
    .bind(column(commands, |command| command.kind))
    .bind(column(commands, |command| command.lane.as_str()))
    .bind(column(commands, |command| command.expires_at.map(|at| calendar(Timestamp(at)))))
    .bind(column(commands, |command| command.channel))
    .bind(column(commands, |command| command.recipient.as_deref()))
    .bind(column(commands, |command| command.automatic))
    .bind(column(commands, |command| command.body.as_str()))
    .execute(tx)
    .await?;
    Ok(())
}
