//! The schema's steps, the same names for both databases, compiled in, and how a database stands against
//! them. What was applied is kept in the table `_sqlx_migrations`, with a checksum of each step.

use std::collections::BTreeMap;

use sqlx::{
    SqlSafeStr as _,
    migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType},
};

use crate::store::contract::{Result, SchemaState, StoreError};

/// Where sqlx keeps what was applied.
pub(crate) const TABLE: &str = "_sqlx_migrations";

/// One step: its file name without `.sql`, and its text.
type Step = (&'static str, &'static str);

macro_rules! steps {
    ($database:literal: $($name:literal)+) => {
        &[$(($name, include_str!(concat!("../../migrations/", $database, "/", $name, ".sql"))),)+]
    };
}

/// The steps for SQLite, oldest first.
pub(crate) const SQLITE: &[Step] = steps! {
    "sqlite": "0001_inbox" "0002_llm" "0003_records" "0004_outbox" "0005_dead_letters" "0006_tenants"
    "0007_lane_pauses" "0008_erasures" "0009_llm_money"
};

/// The steps for Postgres, oldest first, the same names.
pub(crate) const POSTGRES: &[Step] = steps! {
    "postgres": "0001_inbox" "0002_llm" "0003_records" "0004_outbox" "0005_dead_letters" "0006_tenants"
    "0007_lane_pauses" "0008_erasures" "0009_llm_money"
};

/// The step as sqlx wants it; its version is the number before the first underscore.
fn migration((name, text): &Step) -> Option<Migration> {
    let (version, title) = name.split_once('_')?;
    let version = version.parse().ok()?;
    let title = title.replace('_', " ").into();
    Some(Migration::new(version, title, MigrationType::Simple, text.into_sql_str(), false))
}

/// How a database that has `applied` stands against `steps`. Changes nothing.
pub(crate) fn compare(steps: &[Step], applied: &[AppliedMigration]) -> SchemaState {
    let mut applied: BTreeMap<i64, &[u8]> = applied.iter().map(|a| (a.version, &*a.checksum)).collect();
    let mut missing = Vec::new();
    let mut foreign = Vec::new();
    for step in steps {
        let Some(wanted) = migration(step) else { continue };
        match applied.remove(&wanted.version) {
            None => missing.push(step.0.to_owned()),
            Some(checksum) if checksum != &*wanted.checksum => {
                foreign.push(format!("{} was changed after it ran", step.0));
            }
            Some(_) => {}
        }
    }
    foreign.extend(applied.keys().map(|version| format!("{version:04} is not known to this release")));
    match (foreign.is_empty(), missing.is_empty()) {
        (true, true) => SchemaState::Current,
        (true, false) => SchemaState::Behind(missing),
        (false, _) => SchemaState::Foreign(foreign),
    }
}

/// Applies what is missing, each step in a transaction of its own, under the database's migration lock
/// (the caller's file lock on SQLite), and names it. A foreign schema is left alone.
pub(crate) async fn apply<C: Migrate + Send>(connection: &mut C, steps: &[Step]) -> Result<Vec<String>> {
    connection.lock().await.map_err(failed)?;
    let outcome = apply_locked(connection, steps).await;
    let unlocked = connection.unlock().await.map_err(failed);
    let names = outcome?;
    unlocked.map(|()| names)
}

async fn apply_locked<C: Migrate + Send>(connection: &mut C, steps: &[Step]) -> Result<Vec<String>> {
    connection.ensure_migrations_table(TABLE).await.map_err(failed)?;
    let applied = connection.list_applied_migrations(TABLE).await.map_err(failed)?;
    let missing = match compare(steps, &applied) {
        SchemaState::Current => return Ok(Vec::new()),
        SchemaState::Foreign(why) => return Err(StoreError::Schema(why.join("; "))),
        SchemaState::Behind(missing) => missing,
    };
    for step in steps.iter().filter(|step| missing.iter().any(|name| name == step.0)) {
        let Some(step) = migration(step) else { continue };
        connection.apply(TABLE, &step).await.map_err(failed)?;
    }
    Ok(missing)
}

/// A step that fails is a defect or a missing right: the text says which step.
fn failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => {
            StoreError::Unavailable(error.to_string())
        }
        other => StoreError::Schema(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{POSTGRES, SQLITE, SchemaState, compare, migration};
    use sqlx::migrate::AppliedMigration;

    fn applied() -> Vec<AppliedMigration> {
        SQLITE
            .iter()
            .filter_map(migration)
            .map(|m| AppliedMigration { version: m.version, checksum: m.checksum })
            .collect()
    }

    #[test]
    fn both_databases_have_the_same_steps_in_order() {
        let names: Vec<_> = SQLITE.iter().map(|step| step.0).collect();
        assert_eq!(names, POSTGRES.iter().map(|step| step.0).collect::<Vec<_>>());
        assert!(names.is_sorted());
        assert_eq!(applied().len(), names.len(), "every name begins with its version");
    }

    #[test]
    fn tells_missing_changed_and_unknown_steps() {
        let mut all = applied();
        assert_eq!(compare(SQLITE, &all), SchemaState::Current);
        let last = all.pop().expect("there are steps");
        assert_eq!(compare(SQLITE, &all), SchemaState::Behind(vec!["0009_llm_money".into()]));
        all.push(AppliedMigration { version: last.version, checksum: b"other".as_slice().into() });
        assert_eq!(
            compare(SQLITE, &all),
            SchemaState::Foreign(vec!["0009_llm_money was changed after it ran".into()])
        );
        all.push(AppliedMigration { version: 99, checksum: b"x".as_slice().into() });
        assert!(matches!(compare(SQLITE, &all), SchemaState::Foreign(why) if why.len() == 2));
    }
}
