//! What can go wrong with a database, each with its file and what to do next.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::MigrateError;
use thiserror::Error;

/// Clonable, because one failed commit is the answer to everything that was in it.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    #[error("no database at {path}: `sweep run` makes one, `--db` names another")]
    Missing { path: PathBuf },
    #[error("{path} is empty: no sweep has been recorded in it")]
    Empty { path: PathBuf },
    #[error("cannot make {path}: there is no directory {directory}")]
    NoDirectory { path: PathBuf, directory: PathBuf },
    #[error("{path} is not an SQLite database")]
    NotADatabase { path: PathBuf },
    #[error("{path} is the database of another program")]
    Foreign { path: PathBuf },
    #[error("{path} was written by a newer sweep (its schema is {found}, this one knows {known}): use that one")]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{path} was written by an older sweep (its schema is {found}, not {known}): `sweep run` or `resume` updates it"
    )]
    Older { path: PathBuf, found: i64, known: i64 },
    #[error("cannot open {path}: may it be written, and its directory?")]
    CannotOpen { path: PathBuf, source: Arc<sqlx::Error> },
    #[error("{path} cannot be written: it, its directory or its disk is read-only")]
    ReadOnly { path: PathBuf, source: Arc<sqlx::Error> },
    #[error("the disk of {path} is full: free some space, then `sweep resume`")]
    DiskFull { path: PathBuf, source: Arc<sqlx::Error> },
    #[error("{path} is locked: another program has held a write transaction for too long")]
    Locked { path: PathBuf, source: Arc<sqlx::Error> },
    #[error("{path} is damaged; `sqlite3 {path} .recover` saves what can be read")]
    Damaged { path: PathBuf, source: Arc<sqlx::Error> },
    #[error("cannot {doing} in {path}")]
    Sqlite { doing: &'static str, path: PathBuf, source: Arc<sqlx::Error> },
    #[error("cannot {doing} {path}")]
    File { doing: &'static str, path: PathBuf, source: Arc<std::io::Error> },
    #[error("another coordinator writes to this sweep in {path}; this one records no more")]
    OtherWriter { path: PathBuf },
    #[error("a fact is about a trial that was never proposed; nothing more is recorded in {path}")]
    UnknownTrial { path: PathBuf },
    #[error("the store is closed")]
    Closed,
    #[error("no sweep {name:?}; there are: {}", known.join(", "))]
    NoSweep { name: String, known: Vec<String> },
    #[error("{name:?} could be {}", names.join(", "))]
    Ambiguous { name: String, names: Vec<String> },
    #[error("{path} has no sweep {which}")]
    NoneYet { path: PathBuf, which: &'static str },
    /// In the words of `SQLite`.
    #[error("{message}")]
    Query { message: String },
    #[error("only one query (select, values or with … select) can be asked, and nothing can be changed")]
    NotAQuery,
}

/// For `map_err`: says what was being done with the file.
pub(super) fn failed(path: &Path, doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::from_sqlite(path, doing, error)
}

impl StoreError {
    pub(super) fn from_sqlite(path: PathBuf, doing: &'static str, error: sqlx::Error) -> Self {
        let code = primary_code(&error);
        let source = Arc::new(error);
        match code {
            Some(5 | 6) => Self::Locked { path, source },
            Some(8) => Self::ReadOnly { path, source },
            Some(11) => Self::Damaged { path, source },
            Some(13) => Self::DiskFull { path, source },
            Some(14) => Self::CannotOpen { path, source },
            Some(26) => Self::NotADatabase { path },
            _ => Self::Sqlite { doing, path, source },
        }
    }

    pub(super) fn from_migration(path: &Path, known: i64, error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
                Self::Newer { path: path.to_owned(), found, known }
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::from_sqlite(path.to_owned(), "make the tables", error)
            }
            other => {
                let source = Arc::new(sqlx::Error::Migrate(Box::new(other)));
                Self::Sqlite { doing: "update the tables", path: path.to_owned(), source }
            }
        }
    }
}

/// `SQLite`'s result code without its extension.
pub(super) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}
