//! The pool, what its errors mean, and transactions that are tried again.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, PgPool, PgTransaction, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use time::OffsetDateTime;

use crate::{
    domain::timestamp::Timestamp,
    store::{
        contract::{Result, StoreError},
        rows::{self, text},
    },
};

/// Longest wait for a free connection.
const ACQUIRE: Duration = Duration::from_secs(10);
/// How often a transaction is tried in all before its conflict is told to the caller.
const TRIES: u32 = 10;

/// Set on every connection, so that nothing waits for ever and a dead worker's transaction ends.
const SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "15s"),
    ("idle_in_transaction_session_timeout", "60s"),
    // The locking statements rely on seeing the newest version of a row that they waited for.
    ("default_transaction_isolation", "read committed"),
    // A plan that is kept is the one of the table as it was then: one that was empty is read from end to end for each
    // row of a group, until the statistics are renewed. Planning anew costs less than one such group.
    ("plan_cache_mode", "force_custom_plan"),
];

/// Opens the pool; one connection is made at once.
pub(super) async fn connect(url: &str, connections: u32) -> Result<PgPool> {
    let mut options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Refused("the database URL cannot be read".to_owned()))?
        .options(SETTINGS)
        .disable_statement_logging();
    if options.get_application_name().is_none() {
        options = options.application_name("longshore");
    }
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE)
        // A ping before every use would double the round trips of short transactions; a connection that
        // broke while it lay idle is found by BEGIN, which is tried again.
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(failed)
}

/// Why a transaction did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing was written, and trying at once may help; this is what the caller hears if it does not.
    Again(StoreError),
    /// For the caller.
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    /// Only for what happens before COMMIT: a transaction whose connection broke, or was ended by a server
    /// that restarts, has written nothing.
    fn from(error: sqlx::Error) -> Self {
        let broken = match &error {
            sqlx::Error::Io(_) => true,
            sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| code == "57P01"),
            _ => false,
        };
        match failed(error) {
            error if broken || matches!(error, StoreError::Conflict(_)) => Self::Again(error),
            error => Self::Store(error),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Shorthand for what happens inside a transaction.
pub(super) type Step<T> = std::result::Result<T, Fault>;

/// What an error means for the caller. Details of the URL are not part of any of these texts.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    let sqlx::Error::Database(refusal) = &error else {
        return match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => StoreError::Unavailable(error.to_string()),
            other => StoreError::Refused(other.to_string()),
        };
    };
    let code = refusal.code().unwrap_or_default().into_owned();
    let text = format!("{code}: {}", refusal.message());
    match code.as_str() {
        // serialisation failure, deadlock, lock not available in time
        "40001" | "40P01" | "55P03" => StoreError::Conflict(text),
        // cancelled by its timeout; read-only after a failover; too busy; shutting down or starting
        "57014" | "25006" => StoreError::Unavailable(text),
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Refused(text),
    }
}

/// Begins. A connection that broke while it lay in the pool shows here.
pub(super) async fn begin(pool: &PgPool) -> Step<PgTransaction<'static>> {
    Ok(pool.begin().await?)
}

/// Commits. Only an answer of the server that it did not commit is certain; anything else is unknown.
pub(super) async fn commit(transaction: PgTransaction<'static>) -> Step<()> {
    transaction.commit().await.map_err(|error| match error {
        sqlx::Error::Database(_) => match failed(error) {
            StoreError::Unavailable(text) => Fault::Store(StoreError::CommitUnknown(text)),
            conflict @ StoreError::Conflict(_) => Fault::Again(conflict),
            other => Fault::Store(other),
        },
        other => Fault::Store(StoreError::CommitUnknown(other.to_string())),
    })
}

/// The answer, or `None` when the transaction is to be tried again, after a short and uneven wait.
pub(super) async fn verdict<T>(outcome: Step<T>, tries: &mut u32) -> Option<Result<T>> {
    match outcome {
        Ok(value) => Some(Ok(value)),
        Err(Fault::Store(error)) => Some(Err(error)),
        Err(Fault::Again(error)) => {
            *tries += 1;
            if *tries >= TRIES {
                return Some(Err(error));
            }
            let uneven = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
            tokio::time::sleep(Duration::from_millis(uneven * u64::from(*tries) / 16)).await;
            None
        }
    }
}

/// Runs statements as one transaction, again when the database asks for it.
macro_rules! transact {
    ($pool:expr, $connection:ident => $work:expr) => {{
        let mut tries = 0;
        loop {
            let outcome = async {
                let mut transaction = $crate::store::postgres::db::begin($pool).await?;
                let $connection = &mut *transaction;
                let value = $work.await?;
                $crate::store::postgres::db::commit(transaction).await?;
                Ok(value)
            };
            if let Some(answer) = $crate::store::postgres::db::verdict(outcome.await, &mut tries).await {
                break answer;
            }
        }
    }};
}
pub(super) use transact;

/// Runs one reading statement, again when its connection broke.
macro_rules! read {
    ($work:expr) => {{
        let mut tries = 0;
        loop {
            if let Some(answer) = $crate::store::postgres::db::verdict($work.await, &mut tries).await {
                break answer;
            }
        }
    }};
}
pub(super) use read;

/// The text as Postgres takes it: it has no NUL.
pub(super) fn clean(raw: &str) -> String {
    text(raw).into_owned()
}

/// The text as it stands in a column with an index.
pub(super) fn indexed(raw: &str) -> String {
    rows::indexed(raw).into_owned()
}

/// One column of a batch.
pub(super) fn column<'a, T, U>(rows: &'a [T], pick: impl Fn(&'a T) -> U) -> Vec<U> {
    rows.iter().map(pick).collect()
}

/// Microseconds for an interval; more than the type holds is as long as it can be.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A hundred years, in microseconds.
const CENTURY: i64 = 3_155_760_000_000_000;

/// Microseconds that may be added to any time of ours without leaving the server's range: at most a hundred years.
pub(super) fn span(duration: Duration) -> i64 {
    micros(duration).min(CENTURY)
}

/// A time left, as the database counted it; nothing left when it is past or not set.
pub(super) fn left(micros: Option<i64>) -> Duration {
    Duration::from_micros(micros.and_then(|left| u64::try_from(left).ok()).unwrap_or(0))
}

/// About 3700 BC: older than anything, and within the server's range.
const EARLIEST: Timestamp = Timestamp(-180_000_000_000_000_000);
/// The last microsecond of the year 9999.
const LATEST: Timestamp = Timestamp(253_402_300_799_999_999);

/// As the driver wants it. A sender's time beyond the calendar becomes its first or last: neither may it be
/// refused, nor turn "never" into "long ago".
pub(super) fn calendar(at: Timestamp) -> OffsetDateTime {
    at.clamp(EARLIEST, LATEST).to_calendar()
}

/// A time as the driver gives it.
pub(super) fn time(row: &PgRow, column: &str) -> sqlx::Result<Timestamp> {
    row.try_get::<OffsetDateTime, _>(column).map(Timestamp::from)
}

/// A word in a table that this release does not know.
pub(super) fn unknown_word(what: &str, word: &str) -> StoreError {
    StoreError::Refused(format!("{what} {word:?} in a table is not known to this release"))
}
