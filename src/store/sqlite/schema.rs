//! How the schema stands, and bringing it up to date.

use std::{fs::File, time::Duration};

use sqlx::migrate::Migrate as _;

use crate::store::{
    contract::{Result, SchemaState, StoreError},
    migrations::{self, SQLITE, TABLE},
    sqlite::db::{Db, failed},
};

/// How long a second process waits for the first one's migration.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn state(db: &Db) -> Result<SchemaState> {
    let mut connection = db.readers().acquire().await.map_err(failed)?;
    let recorded: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)")
            .bind(TABLE)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    if !recorded {
        return Ok(migrations::compare(SQLITE, &[]));
    }
    let applied =
        connection.list_applied_migrations(TABLE).await.map_err(|e| StoreError::Schema(e.to_string()))?;
    Ok(migrations::compare(SQLITE, &applied))
}

pub(super) async fn migrate(db: &Db) -> Result<Vec<String>> {
    let lock = lock(db).await?;
    let mut connection = db.writer().acquire().await.map_err(failed)?;
    let applied = migrations::apply(&mut *connection, SQLITE).await;
    drop(lock);
    applied
}

/// The lock of a file beside the database: SQLite has none that spans several transactions. It ends with
/// the process that holds it.
async fn lock(db: &Db) -> Result<File> {
    let mut name = db.path.clone().into_os_string();
    name.push(".migrate.lock");
    let unavailable = |e: std::io::Error| StoreError::Unavailable(format!("{}: {e}", name.display()));
    let file = File::create(&name).map_err(unavailable)?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(e)) => return Err(unavailable(e)),
            Err(std::fs::TryLockError::WouldBlock) if waited < PATIENCE => {
                tokio::time::sleep(LOOK).await;
                waited += LOOK;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(StoreError::Conflict("another process is migrating this database".to_owned()));
            }
        }
    }
}
