//! The handle of a PostgreSQL store.

use sqlx::PgPool;

use crate::store::{contract::Result, postgres::db};

/// A store in one schema of a PostgreSQL database: the first of the connection's `search_path`.
#[derive(Debug)]
pub struct PostgresStore {
    pub(super) pool: PgPool,
}

impl PostgresStore {
    /// Opens a pool of so many connections, at least one, to a `postgres://` URL. Never migrates by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::contract::StoreError::Unavailable) when the server does not
    /// answer, `Refused` when it refuses or the URL cannot be read; the URL is part of neither text.
    pub async fn connect(url: &str, connections: u32) -> Result<Self> {
        Ok(Self { pool: db::connect(url, connections).await? })
    }
}
