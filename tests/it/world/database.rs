//! A fresh database for one world, and a second way in: for judging, and for turning the clock.

use std::{path::Path, time::Duration};

use longshore::store::{contract::Store as _, postgres::PostgresStore, sqlite::SqliteStore};
use sqlx::{
    AssertSqlSafe, Connection as _, PgPool, Row as _, SqliteConnection, SqlitePool,
    sqlite::SqliteConnectOptions,
};

use crate::store::harness::Namespace;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// The database.
pub(crate) struct Database {
    /// What `store.url` leads to.
    pub(crate) url: String,
    raw: Raw,
}

enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool, Namespace),
}

/// A row, every column as text.
pub(crate) type Texts = Vec<Option<String>>;

impl Database {
    /// With the schema of this release.
    pub(crate) async fn create(kind: Kind, folder: &Path) -> Self {
        match kind {
            Kind::Sqlite => {
                let path = folder.join("store.db");
                let store = SqliteStore::open(&path, 1).await.unwrap();
                store.migrate().await.unwrap();
                store.close().await;
                let options =
                    SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(30));
                let pool = SqlitePool::connect_with(options).await.unwrap();
                Self { url: format!("sqlite:{}", path.display()), raw: Raw::Sqlite(pool) }
            }
            Kind::Postgres => {
                let namespace = Namespace::create().await;
                let store = PostgresStore::connect(&namespace.url, 1).await.unwrap();
                store.migrate().await.unwrap();
                store.close().await;
                Self { url: namespace.url.clone(), raw: Raw::Postgres(namespace.pool().await, namespace) }
            }
        }
    }

    /// Rows of a statement that both databases understand and whose columns are all text.
    pub(crate) async fn rows(&self, text: &str) -> Vec<Texts> {
        let text = AssertSqlSafe(text.to_owned());
        match &self.raw {
            Raw::Sqlite(pool, ..) => {
                let rows = sqlx::query(text).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
            Raw::Postgres(pool, ..) => {
                let rows = sqlx::query(text).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
        }
    }

    /// The number that a statement counts.
    pub(crate) async fn count(&self, from: &str) -> i64 {
        let rows = self.rows(&format!("SELECT CAST(count(*) AS TEXT) FROM {from}")).await;
        rows[0][0].as_deref().unwrap().parse().unwrap()
    }

    /// Turns the clock on for wakes that were sent: who is still parked is woken again.
    pub(crate) async fn age_wakes(&self, by: Duration) {
        let micros = by.as_micros();
        match &self.raw {
            Raw::Sqlite(pool) => {
                let text = format!("UPDATE parked SET woken_at = woken_at - {micros}");
                sqlx::query(AssertSqlSafe(text)).execute(pool).await.unwrap();
            }
            Raw::Postgres(pool, _) => {
                let text =
                    format!("UPDATE parked SET woken_at = woken_at - {micros} * interval '1 microsecond'");
                sqlx::query(AssertSqlSafe(text)).execute(pool).await.unwrap();
            }
        }
    }

    /// Is nobody in the middle of writing?
    pub(crate) async fn is_calm(&self) -> bool {
        match &self.raw {
            Raw::Sqlite(_) => {
                let path = self.url.trim_start_matches("sqlite:");
                let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::ZERO);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                let free = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.is_ok();
                connection.close().await.unwrap();
                free
            }
            Raw::Postgres(pool, _) => {
                let locks = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                    WHERE c.relnamespace = current_schema()::regnamespace";
                sqlx::query_scalar::<_, i64>(locks).fetch_one(pool).await.unwrap() == 0
            }
        }
    }

    /// Gives everything back.
    pub(crate) async fn finish(&self) {
        match &self.raw {
            Raw::Sqlite(pool) => pool.close().await,
            Raw::Postgres(pool, namespace) => namespace.drop(pool).await,
        }
    }
}
