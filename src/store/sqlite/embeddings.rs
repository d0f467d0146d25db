//! Texts by their meaning.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use serde::Serialize;

use crate::store::{
    contract::{Result, SimilarItem, SimilarQuery},
    record_rows::EmbeddingRow,
    rows::{indexed, json},
    sqlite::db::{Db, Tx, failed, get},
    vectors::{LOOKED_THROUGH, Nearest, cosine},
};

/// A later vector of the same item stands in for an earlier one. The vector comes as hex: JSON holds no bytes.
const WRITE: &str = "
    INSERT INTO embeddings (tenant, kind, model, item, text, vector, dimension, event_key, at)
    SELECT value ->> 'tenant', value ->> 'kind', value ->> 'model', value ->> 'item', value ->> 'text',
           unhex(value ->> 'vector'), value ->> 'dimension', value ->> 'event_key', ?2
    FROM json_each(?1) WHERE true
    ON CONFLICT (tenant, kind, model, item) DO UPDATE SET
        text = excluded.text, vector = excluded.vector, dimension = excluded.dimension,
        event_key = excluded.event_key, at = excluded.at";

const NEWEST: &str = "
    SELECT item, vector FROM embeddings
    WHERE tenant = ?1 AND kind = ?2 AND model = ?3 AND dimension = ?4 AND (?5 IS NULL OR at < ?5)
    ORDER BY at DESC LIMIT ?6";

const TEXTS: &str = "
    SELECT item, text FROM embeddings
    WHERE tenant = ?1 AND kind = ?2 AND model = ?3 AND item IN (SELECT value FROM json_each(?4))";

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    row: &'a EmbeddingRow<'a>,
    vector: String,
}

pub(super) async fn insert(tx: &mut Tx, rows: &[EmbeddingRow<'_>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.iter().map(|row| Row { row, vector: hex::encode(&row.vector) }).collect();
    let now = tx.now;
    sqlx::query(WRITE).bind(json(&rows)?).bind(now).execute(tx.on()).await.map_err(failed)?;
    Ok(())
}

/// Looks through the newest, one row at a time.
pub(super) async fn similar(db: &Db, query: &SimilarQuery) -> Result<Vec<SimilarItem>> {
    let (tenant, kind, model) = (indexed(query.tenant.as_str()), indexed(&query.kind), indexed(&query.model));
    let mut rows = sqlx::query(NEWEST)
        .bind(&*tenant)
        .bind(&*kind)
        .bind(&*model)
        .bind(i64::try_from(query.vector.len()).unwrap_or(i64::MAX))
        .bind(query.before.map(|at| at.0))
        .bind(LOOKED_THROUGH)
        .fetch(db.readers());
    let mut nearest = Nearest::new(query.limit);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        if let Some(score) = cosine(&query.vector, get(&row, "vector")?) {
            nearest.add(get(&row, "item")?, score);
        }
    }
    drop(rows);
    let nearest = nearest.into_sorted();
    let items: Vec<_> = nearest.iter().map(|(item, _)| item).collect();
    let texts = sqlx::query(TEXTS).bind(&*tenant).bind(&*kind).bind(&*model).bind(json(&items)?);
    let mut found: HashMap<String, String> = HashMap::new();
    for row in &texts.fetch_all(db.readers()).await.map_err(failed)? {
        found.insert(get(row, "item")?, get(row, "text")?);
    }
    // One that was erased meanwhile is left out.
    let shown = |(item, score): (String, f64)| Some(SimilarItem { text: found.remove(&item)?, item, score });
    Ok(nearest.into_iter().filter_map(shown).collect())
}
