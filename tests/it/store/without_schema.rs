//! A database that has no schema yet, or an older one.

use std::sync::Arc;

use longshore::store::{contract::Store, postgres::PostgresStore, sqlite::SqliteStore};
use sqlx::{AssertSqlSafe, SqlitePool};

use super::harness::Namespace;

/// Two stores on one database that has no schema yet.
pub(super) struct Empty {
    pub one: Arc<dyn Store>,
    pub two: Arc<dyn Store>,
    folder: Option<tempfile::TempDir>,
    namespace: Option<Namespace>,
}

impl Empty {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let one = Arc::new(SqliteStore::open(&path, 2).await.unwrap());
        let two = Arc::new(SqliteStore::open(&path, 2).await.unwrap());
        Self { one, two, folder: Some(folder), namespace: None }
    }

    pub(super) async fn postgres() -> Self {
        let namespace = Namespace::create().await;
        let one = Arc::new(PostgresStore::connect(&namespace.url, 2).await.unwrap());
        let two = Arc::new(PostgresStore::connect(&namespace.url, 2).await.unwrap());
        Self { one, two, folder: None, namespace: Some(namespace) }
    }

    /// Applies the steps up to this one, as an older release did.
    pub(super) async fn migrate_to(&self, version: i64) {
        let database = if self.folder.is_some() { "sqlite" } else { "postgres" };
        let all = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
        let older = tempfile::tempdir().unwrap();
        for step in std::fs::read_dir(all).unwrap() {
            let (path, name) = step.map(|step| (step.path(), step.file_name())).unwrap();
            let number = name.to_string_lossy().split_once('_').and_then(|(number, _)| number.parse().ok());
            if number.is_some_and(|number: i64| number <= version) {
                std::fs::copy(path, older.path().join(name)).unwrap();
            }
        }
        let steps = sqlx::migrate::Migrator::new(older.path()).await.unwrap();
        match &self.folder {
            Some(folder) => {
                let pool = Self::file(folder).await;
                steps.run(&pool).await.unwrap();
                pool.close().await;
            }
            None => {
                let pool = self.namespace.as_ref().unwrap().pool().await;
                steps.run(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }

    async fn file(folder: &tempfile::TempDir) -> SqlitePool {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("store.db"));
        SqlitePool::connect_with(options).await.unwrap()
    }

    /// Writes behind the store's back.
    pub(super) async fn execute(&self, text: &str) {
        match &self.folder {
            Some(folder) => {
                let pool = Self::file(folder).await;
                sqlx::query(AssertSqlSafe(text)).execute(&pool).await.unwrap();
                pool.close().await;
            }
            None => {
                let pool = self.namespace.as_ref().unwrap().pool().await;
                sqlx::query(AssertSqlSafe(text)).execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }

    /// A time as a statement says it.
    pub(super) fn time(&self, seconds: i64) -> String {
        if self.folder.is_some() { format!("{seconds}000000") } else { format!("to_timestamp({seconds})") }
    }

    pub(super) async fn finish(self) {
        self.one.close().await;
        self.two.close().await;
        if let Some(folder) = self.folder {
            folder.close().unwrap();
        }
        if let Some(namespace) = self.namespace {
            namespace.drop(&namespace.pool().await).await;
        }
    }
}
