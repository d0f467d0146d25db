//! The handle of a SQLite store.

use std::path::Path;

use crate::store::{contract::Result, sqlite::db::Db};

/// A store in one SQLite file (WAL, `synchronous=FULL`: what is committed survives a power cut).
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) db: Db,
}

impl SqliteStore {
    /// Opens the file with so many readers, at least one; makes it and its folders where they are missing.
    /// Takes a path, also as `sqlite:PATH` or `sqlite://PATH`. Never migrates by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::contract::StoreError::Unavailable) when the file cannot be
    /// made or opened, `Refused` when it is not a database.
    pub async fn open(path: impl AsRef<Path>, readers: u32) -> Result<Self> {
        let path = path.as_ref();
        let of_url = path.to_str().and_then(|text| text.strip_prefix("sqlite:"));
        let path = of_url.map_or(path, |path| Path::new(path.strip_prefix("//").unwrap_or(path)));
        Ok(Self { db: Db::open(path.to_owned(), readers).await? })
    }
}
