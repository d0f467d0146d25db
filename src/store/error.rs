//! What can go wrong in a store.

/// What went wrong in the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or did not answer: try again later.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// Serialisation failure or deadlock that outlived its retries; nothing was written.
    #[error("the database asks to try again: {0}")]
    Conflict(String),
    /// The connection broke while COMMIT was under way: it may or may not have happened.
    #[error("unknown whether the commit happened: {0}")]
    CommitUnknown(String),
    /// The schema is not the one that this release needs.
    #[error("{0}")]
    Schema(String),
    /// A row cannot be read or a statement is wrong: a defect, or somebody else wrote to our tables.
    #[error("the database refused: {0}")]
    Refused(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, StoreError>;
