//! Texts by their meaning. Distances are counted here, not in the server: it needs no extension for them.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, PgPool, Row as _};

use crate::store::{
    contract::{SimilarItem, SimilarQuery},
    postgres::db::{Step, calendar, column, indexed},
    record_rows::EmbeddingRow,
    vectors::{LOOKED_THROUGH, Nearest, cosine},
};

/// A later vector of the same item stands in for an earlier one.
const WRITE: &str = "
    INSERT INTO embeddings (tenant, kind, model, item, text, vector, dimension, event_key, at)
    SELECT new.*, clock_timestamp()
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::int[], $8::text[]) AS new
    ON CONFLICT (tenant, kind, model, item) DO UPDATE SET
        text = excluded.text, vector = excluded.vector, dimension = excluded.dimension,
        event_key = excluded.event_key, at = excluded.at";

const NEWEST: &str = "
    SELECT item, vector FROM embeddings
    WHERE tenant = $1 AND kind = $2 AND model = $3 AND dimension = $4 AND ($5::timestamptz IS NULL OR at < $5)
    ORDER BY at DESC LIMIT $6";

const TEXTS: &str = "
    SELECT item, text FROM embeddings WHERE tenant = $1 AND kind = $2 AND model = $3 AND item = ANY($4)";

/// Writes vectors; the last of several of one item counts.
pub(super) async fn insert(tx: &mut PgConnection, rows: &[EmbeddingRow<'_>]) -> Step<()> {
    let last: BTreeMap<_, &EmbeddingRow<'_>> =
        rows.iter().map(|row| ((&row.tenant, &row.kind, &row.model, &row.item), row)).collect();
    let rows: Vec<_> = last.into_values().collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(WRITE)
        .bind(column(&rows, |row| &*row.tenant))
        .bind(column(&rows, |row| &*row.kind))
        .bind(column(&rows, |row| &*row.model))
        .bind(column(&rows, |row| &*row.item))
        .bind(column(&rows, |row| &*row.text))
        .bind(column(&rows, |row| row.vector.as_slice()))
        .bind(column(&rows, |row| row.dimension))
        .bind(column(&rows, |row| row.event_key))
        .execute(tx)
        .await?;
    Ok(())
}

/// Looks through the newest, one row at a time.
pub(super) async fn similar(pool: &PgPool, query: &SimilarQuery) -> Step<Vec<SimilarItem>> {
    let (tenant, kind, model) = (indexed(query.tenant.as_str()), indexed(&query.kind), indexed(&query.model));
    let mut rows = sqlx::query(NEWEST)
        .bind(&tenant)
        .bind(&kind)
        .bind(&model)
        .bind(i32::try_from(query.vector.len()).unwrap_or(i32::MAX))
        .bind(query.before.map(calendar))
        .bind(LOOKED_THROUGH)
        .fetch(pool);
    let mut nearest = Nearest::new(query.limit);
    while let Some(row) = rows.try_next().await? {
        if let Some(score) = cosine(&query.vector, row.try_get("vector")?) {
            nearest.add(row.try_get("item")?, score);
        }
    }
    drop(rows);
    let nearest = nearest.into_sorted();
    let items = column(&nearest, |(item, _)| item.as_str());
    let texts = sqlx::query(TEXTS).bind(&tenant).bind(&kind).bind(&model).bind(items).fetch_all(pool).await?;
    let mut found: HashMap<String, String> = HashMap::new();
    for row in &texts {
        found.insert(row.try_get("item")?, row.try_get("text")?);
    }
    // One that was erased meanwhile is left out.
    let shown = |(item, score): (String, f64)| Some(SimilarItem { text: found.remove(&item)?, item, score });
    Ok(nearest.into_iter().filter_map(shown).collect())
}
