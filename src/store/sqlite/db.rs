//! One writer connection, a few readers, and what SQLite's errors mean.

use std::{path::PathBuf, time::Duration};

use sqlx::{
    ColumnIndex, Decode, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction, Type,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use crate::{
    domain::timestamp::Timestamp,
    store::contract::{Result, StoreError},
};

/// How long a write waits for another process that writes to the same file.
const BUSY: Duration = Duration::from_secs(10);
/// How long a verb waits for its turn at a connection.
const TURN: Duration = Duration::from_secs(30);
/// More than all statements of this wing.
const STATEMENTS: usize = 256;

/// Now, in microseconds since the epoch; SQLite's clock counts milliseconds.
const NOW: &str = "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000";

/// A write transaction with its time: every row of one transaction carries the same.
pub(super) struct Tx {
    inner: Transaction<'static, Sqlite>,
    /// Microseconds since the epoch.
    pub(super) now: i64,
}

impl Tx {
    /// The connection, to run statements on.
    pub(super) fn on(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Makes it durable: the one disk flush of a verb.
    pub(super) async fn commit(self) -> Result<()> {
        self.inner.commit().await.map_err(|e| match failed(e) {
            // SQLite keeps the transaction open when the file is busy, and we roll it back.
            busy @ StoreError::Conflict(_) => busy,
            other => StoreError::CommitUnknown(other.to_string()),
        })
    }
}

/// The file with its connections.
#[derive(Debug)]
pub(super) struct Db {
    pub(super) path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Db {
    /// Opens the file, making it and its folders where they are missing. Never migrates.
    pub(super) async fn open(path: PathBuf, readers: u32) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|e| StoreError::Unavailable(format!("{}: {e}", folder.display())))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .statement_cache_capacity(STATEMENTS);
        let write = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let writer = pool(1).connect_with(write).await.map_err(failed)?;
        let read = options.pragma("query_only", "on");
        let readers = pool(readers.max(1)).connect_with(read).await.map_err(failed)?;
        Ok(Self { path, writer, readers })
    }

    /// Begins to write; other writers of this process wait their turn, in order.
    pub(super) async fn write(&self) -> Result<Tx> {
        let mut inner = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let now = sqlx::query_scalar(NOW).fetch_one(&mut *inner).await.map_err(failed)?;
        Ok(Tx { inner, now })
    }

    /// The writer without a transaction, for migrations.
    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Connections that cannot write.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The database's clock.
    pub(super) async fn now(&self) -> Result<i64> {
        sqlx::query_scalar(NOW).fetch_one(&self.readers).await.map_err(failed)
    }

    /// Gives all connections back; the last one writes the log into the file.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Connections that live as long as the process: SQLite's cost nothing while idle.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(TURN)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// What an error means to the caller.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(text),
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            match code & 0xff {
                // SQLITE_BUSY, SQLITE_LOCKED
                5 | 6 => StoreError::Conflict(text),
                // SQLITE_INTERRUPT, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
                9 | 10 | 13 | 14 => StoreError::Unavailable(text),
                _ => StoreError::Refused(text),
            }
        }
        _ => StoreError::Refused(text),
    }
}

/// A column's value.
pub(super) fn get<'r, T, I>(row: &'r SqliteRow, column: I) -> Result<T>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
    I: ColumnIndex<SqliteRow>,
{
    row.try_get(column).map_err(failed)
}

/// A column that holds a time.
pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp> {
    get(row, column).map(Timestamp)
}

/// A stored word that this release does not know.
pub(super) fn unknown_word(what: &str, word: &str) -> StoreError {
    StoreError::Refused(format!("{what} `{word}` is not known to this release"))
}

/// A duration in microseconds.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How long from `now` until `at`; zero when it has passed.
pub(super) fn until(at: i64, now: i64) -> Duration {
    Timestamp(at).since(Timestamp(now))
}
