//! The queue's own file: how it is opened and what it holds.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

/// The layout this program knows; kept in the file's `user_version`.
const VERSION: i64 = 1;

// Bodies stand apart: a receive or a change of visibility rewrites the small row only.
const TABLES: &str = "
CREATE TABLE queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    attributes TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    purged_at INTEGER
) STRICT;
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    token INTEGER NOT NULL DEFAULT 0,
    receives INTEGER NOT NULL DEFAULT 0,
    receives_here INTEGER NOT NULL DEFAULT 0,
    sent_at INTEGER NOT NULL,
    received_at INTEGER,
    first_received_at INTEGER,
    source TEXT
) STRICT;
CREATE INDEX ready ON messages (queue, visible_at);
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    body_md5 TEXT NOT NULL,
    attributes TEXT,
    attributes_md5 TEXT,
    trace TEXT,
    group_id TEXT
) STRICT;
PRAGMA user_version = 1;
";

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged survives the loss of power, not only of the process.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging()
}

/// The one connection that writes. Makes the tables in a new file.
pub(super) async fn open_writer(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(
        // 16 MiB between checkpoints: each one costs two more flushes.
        &options(file).pragma("wal_autocheckpoint", "4000").pragma("cache_size", "-65536"),
    )
    .await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    match version {
        VERSION => {}
        0 => {
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        other => {
            let text = format!("{} has layout {other}, this program knows {VERSION}", file.display());
            return Err(sqlx::Error::Configuration(text.into()));
        }
    }
    Ok(connection)
}

/// Readers for counting, beside the writer.
pub(super) fn open_readers(file: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(2)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy_with(options(file).create_if_missing(false).read_only(true))
}
