//! How the schema stands, and bringing it up to date.

use sqlx::{Connection as _, PgConnection, PgPool, migrate::Migrate as _};

use crate::store::{
    contract::{Result, SchemaState, StoreError},
    migrations::{self, POSTGRES, TABLE},
    postgres::db::{Step, failed},
};

pub(super) async fn state(pool: &PgPool) -> Result<SchemaState> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    let recorded: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(TABLE)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if !recorded {
        return Ok(migrations::compare(POSTGRES, &[]));
    }
    let applied = connection
        .list_applied_migrations(TABLE)
        .await
        .map_err(|error| StoreError::Schema(error.to_string()))?;
    Ok(migrations::compare(POSTGRES, &applied))
}

/// On a connection of its own: it waits as long as another migrator needs, and the lock, which belongs to
/// the session, ends with it whatever happens.
pub(super) async fn migrate(pool: &PgPool) -> Result<Vec<String>> {
    let mut connection = pool.acquire().await.map_err(failed)?.detach();
    for setting in ["SET statement_timeout = 0", "SET lock_timeout = 0"] {
        sqlx::query(setting).execute(&mut connection).await.map_err(failed)?;
    }
    let applied = migrations::apply(&mut connection, POSTGRES).await;
    // A failure to say goodbye changes nothing: the server ends the session all the same.
    let _ = connection.close().await;
    applied
}

/// Months ahead for which partitions are kept ready.
const AHEAD: i32 = 2;

/// Makes a table's monthly partitions ahead of time.
pub(super) async fn make_partitions(tx: &mut PgConnection, table: &str) -> Step<()> {
    sqlx::query("SELECT make_month_partitions($1, $2)").bind(table).bind(AHEAD).execute(tx).await?;
    Ok(())
}
