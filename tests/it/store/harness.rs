//! One fresh database for each test, and a way to turn its clock.

use std::{sync::Arc, time::Duration};

use longshore::{
    domain::{
        ids::{CommandId, EventKey},
        timestamp::Timestamp,
    },
    store::{contract::Store, postgres::PostgresStore, sqlite::SqliteStore},
};
use sqlx::{
    AssertSqlSafe, PgPool, Row as _, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub(super) use super::without_schema::Empty;

/// Where `make test` tells the URL of its throwaway cluster.
const POSTGRES: &str = "LONGSHORE_TEST_POSTGRES";

/// Every deadline of the schema, and every column that says how long ago something was.
const DEADLINES: &[(&str, &str)] = &[
    ("inbox", "lease_until"),
    ("inbox", "retry_at"),
    ("parked", "due_at"),
    ("parked", "woken_at"),
    ("outbox", "not_before"),
    ("outbox", "expires_at"),
    ("outbox", "lease_until"),
    ("lane_pauses", "until"),
    ("llm_journal", "sent_at"),
    ("rate_buckets", "at"),
];

/// A store on a fresh database.
pub(super) struct Harness {
    /// What is tested.
    pub store: Arc<dyn Store>,
    raw: Raw,
}

/// A second way in, for turning the clock and for looking behind the contract.
enum Raw {
    Sqlite(SqlitePool, tempfile::TempDir),
    Postgres(PgPool, Namespace),
}

/// A schema of the throwaway cluster, with the URL that selects it.
pub(crate) struct Namespace {
    name: String,
    pub(crate) url: String,
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test`")]
pub(crate) fn cluster() -> String {
    std::env::var(POSTGRES).unwrap_or_else(|_| {
        panic!("{POSTGRES} is not set: run `make test`, it brings a throwaway PostgreSQL")
    })
}

impl Namespace {
    pub(crate) async fn create() -> Self {
        let base = cluster();
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        let pool = PgPoolOptions::new().max_connections(1).connect(&base).await.expect("the test cluster");
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&pool).await.unwrap();
        pool.close().await;
        let mark = if base.contains('?') { '&' } else { '?' };
        Self { url: format!("{base}{mark}application_name={name}&options[search_path]={name}"), name }
    }

    pub(crate) async fn pool(&self) -> PgPool {
        let options: PgConnectOptions = self.url.parse().unwrap();
        let options = options.application_name("another way in");
        PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap()
    }

    pub(crate) async fn drop(&self, pool: &PgPool) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(pool).await.unwrap();
        pool.close().await;
    }
}

impl Harness {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(&path, 3).await.unwrap();
        store.migrate().await.unwrap();
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(30));
        let pool = SqlitePool::connect_with(options).await.unwrap();
        Self { store: Arc::new(store), raw: Raw::Sqlite(pool, folder) }
    }

    pub(super) async fn postgres() -> Self {
        let namespace = Namespace::create().await;
        let store = PostgresStore::connect(&namespace.url, 10).await.unwrap();
        store.migrate().await.unwrap();
        let pool = namespace.pool().await;
        Self { store: Arc::new(store), raw: Raw::Postgres(pool, namespace) }
    }

    pub(super) async fn finish(self) {
        self.store.close().await;
        match self.raw {
            Raw::Sqlite(pool, folder) => {
                pool.close().await;
                folder.close().unwrap();
            }
            Raw::Postgres(pool, namespace) => namespace.drop(&pool).await,
        }
    }

    /// Turns the database's clock on, by moving every deadline back.
    pub(super) async fn elapse(&self, by: Duration) {
        for (table, column) in DEADLINES {
            self.shift(table, column, by, "").await;
        }
    }

    /// Makes every row of the inbox so much older.
    pub(super) async fn age_inbox(&self, by: Duration) {
        for column in ["first_at", "updated_at"] {
            self.shift("inbox", column, by, "").await;
        }
    }

    /// Makes every call that ended so much older.
    pub(super) async fn shift_ended(&self, by: Duration) {
        self.shift("llm_journal", "ended_at", by, "").await;
    }

    /// Moves all windows of budgets, and what is charged to them, so much into the past.
    pub(super) async fn age_windows(&self, by: Duration) {
        for (table, column) in [
            ("budget_windows", "from_at"),
            ("budget_windows", "until_at"),
            ("llm_journal", "day_from"),
            ("llm_journal", "month_from"),
        ] {
            self.shift(table, column, by, "").await;
        }
    }

    /// How many rows of the whole database hold this text anywhere, by table.
    pub(super) async fn hits(&self, marker: &str) -> Vec<(String, i64)> {
        let tables = match &self.raw {
            Raw::Sqlite(..) => "SELECT name FROM sqlite_schema WHERE type = 'table'",
            Raw::Postgres(..) => {
                "SELECT table_name::text FROM information_schema.tables
                 WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
            }
        };
        let tables: Vec<String> = match &self.raw {
            Raw::Sqlite(pool, _) => sqlx::query_scalar(tables).fetch_all(pool).await.unwrap(),
            Raw::Postgres(pool, _) => sqlx::query_scalar(tables).fetch_all(pool).await.unwrap(),
        };
        let mut hits = Vec::new();
        for table in tables {
            let rows = match &self.raw {
                Raw::Sqlite(pool, _) => {
                    let names = format!("SELECT group_concat(name, ', ') FROM pragma_table_info('{table}')");
                    let columns: String =
                        sqlx::query_scalar(AssertSqlSafe(names)).fetch_one(pool).await.unwrap();
                    let rows = format!(
                        "SELECT count(*) FROM {table} WHERE concat_ws('|', {columns}) LIKE '%{marker}%'"
                    );
                    sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(pool).await.unwrap()
                }
                Raw::Postgres(pool, _) => {
                    let rows = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{marker}%'");
                    sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(pool).await.unwrap()
                }
            };
            if rows > 0 {
                hits.push((table, rows));
            }
        }
        hits
    }

    /// Ends one claim's lease.
    pub(super) async fn expire_lease(&self, key: &EventKey) {
        self.shift("inbox", "lease_until", Duration::from_secs(3600), &format!("WHERE key = '{key}'")).await;
    }

    async fn shift(&self, table: &str, column: &str, by: Duration, condition: &str) {
        let micros = by.as_micros();
        match &self.raw {
            Raw::Sqlite(pool, _) => {
                let text = format!("UPDATE {table} SET {column} = {column} - {micros} {condition}");
                sqlx::query(AssertSqlSafe(text)).execute(pool).await.unwrap();
            }
            Raw::Postgres(pool, _) => {
                let text = format!(
                    "UPDATE {table} SET {column} = {column} - {micros} * interval '1 microsecond' {condition}"
                );
                sqlx::query(AssertSqlSafe(text)).execute(pool).await.unwrap();
            }
        }
    }

    /// Breaks or changes the database behind the store's back.
    pub(super) async fn execute(&self, text: &str) {
        match &self.raw {
            Raw::Sqlite(pool, _) => drop(sqlx::query(AssertSqlSafe(text)).execute(pool).await.unwrap()),
            Raw::Postgres(pool, _) => drop(sqlx::query(AssertSqlSafe(text)).execute(pool).await.unwrap()),
        }
    }

    /// Ends every connection of the store from the server's side.
    pub(super) async fn break_connections(&self) {
        let Raw::Postgres(pool, namespace) = &self.raw else { panic!("only a server can do that") };
        let ended: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
        )
        .bind(&namespace.name)
        .fetch_all(pool)
        .await
        .unwrap();
        assert!(!ended.is_empty());
    }

    /// By what name a server knows the store's connections.
    pub(super) fn name(&self) -> &str {
        let Raw::Postgres(_, namespace) = &self.raw else { panic!("only a server can do that") };
        &namespace.name
    }

    /// Where the server's schema is.
    pub(super) fn url(&self) -> String {
        let Raw::Postgres(_, namespace) = &self.raw else { panic!("only a server has one") };
        namespace.url.clone()
    }

    /// The second way into a server.
    pub(super) fn raw_pool(&self) -> PgPool {
        let Raw::Postgres(pool, _) = &self.raw else { panic!("only a server can do that") };
        pool.clone()
    }

    /// One text of one row; `None` when there is no row or it is null. `?` stands for the argument.
    async fn text(&self, sqlite: &'static str, postgres: &'static str, argument: &str) -> Option<String> {
        match &self.raw {
            Raw::Sqlite(pool, _) => {
                sqlx::query_scalar(sqlite).bind(argument).fetch_optional(pool).await.unwrap().flatten()
            }
            Raw::Postgres(pool, _) => {
                sqlx::query_scalar(postgres).bind(argument).fetch_optional(pool).await.unwrap().flatten()
            }
        }
    }

    /// Rows of a table behind the contract.
    pub(super) async fn rows_of(&self, table: &str) -> i64 {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        match &self.raw {
            Raw::Sqlite(pool, _) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
            Raw::Postgres(pool, _) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
        }
    }

    /// What a statement with one argument says of one row.
    pub(super) async fn told(&self, statement: &'static str, argument: &str) -> Option<String> {
        self.text(statement, statement, argument).await
    }

    /// What was done to this subject, oldest first.
    pub(super) async fn audit(&self, subject: &str) -> Vec<String> {
        let actions = "SELECT action FROM audit_log WHERE subject = $1 ORDER BY id";
        match &self.raw {
            Raw::Sqlite(pool, _) => sqlx::query_scalar(actions).bind(subject).fetch_all(pool).await.unwrap(),
            Raw::Postgres(pool, _) => {
                sqlx::query_scalar(actions).bind(subject).fetch_all(pool).await.unwrap()
            }
        }
    }

    pub(super) async fn delivery_state(&self, vendor_id: &str) -> Option<String> {
        let state = "SELECT state FROM deliveries WHERE vendor_id = $1";
        self.text(state, state, vendor_id).await
    }

    pub(super) async fn delivery_command(&self, vendor_id: &str) -> Option<CommandId> {
        let command = "SELECT command_id FROM deliveries WHERE vendor_id = $1";
        self.text(command, command, vendor_id).await.map(CommandId)
    }

    pub(super) async fn message_text(&self, vendor_id: &str) -> Option<String> {
        let text = "SELECT text FROM messages WHERE vendor_id = $1";
        self.text(text, text, vendor_id).await
    }

    /// When the person last wrote, and what they want by the last reading.
    pub(super) async fn conversation(&self, id: &str) -> Option<(Timestamp, Option<String>)> {
        match &self.raw {
            Raw::Sqlite(pool, _) => {
                let row = sqlx::query("SELECT last_inbound_at, intent FROM conversations WHERE id = $1");
                let row = row.bind(id).fetch_optional(pool).await.unwrap()?;
                Some((Timestamp(row.get(0)), row.get(1)))
            }
            Raw::Postgres(pool, _) => {
                let row = sqlx::query("SELECT last_inbound_at, intent FROM conversations WHERE id = $1");
                let row = row.bind(id).fetch_optional(pool).await.unwrap()?;
                Some((row.get::<time::OffsetDateTime, _>(0).into(), row.get(1)))
            }
        }
    }

    /// A second, independent store on the same database, as another process would have.
    pub(super) async fn another(&self) -> Arc<dyn Store> {
        match &self.raw {
            Raw::Sqlite(_, folder) => {
                Arc::new(SqliteStore::open(&folder.path().join("store.db"), 3).await.unwrap())
            }
            Raw::Postgres(_, namespace) => Arc::new(PostgresStore::connect(&namespace.url, 4).await.unwrap()),
        }
    }
}
