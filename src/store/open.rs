//! Opening a database file: what it must be before anything is written to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::error::{StoreError, failed, primary_code};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// `pragma application_id` of `migrations/0001_store.sql`.
const APPLICATION: i64 = 0x7377_6565;

/// Somebody's forgotten `begin immediate` in a shell should not end a night's work at once.
const WRITER_PATIENCE: Duration = Duration::from_mins(1);
const READER_PATIENCE: Duration = Duration::from_secs(10);

/// The write connection to a database that is there, is ours and has all tables.
pub(super) async fn writable(path: &Path) -> Result<SqliteConnection, StoreError> {
    let directory = directory_of(path);
    if !directory.is_dir() {
        return Err(StoreError::NoDirectory { path: path.to_owned(), directory });
    }
    if exists(path)? {
        if let Found::Version(found) = inspect(path).await?
            && found > newest()
        {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: newest() });
        }
    } else {
        make(path, &directory).await?;
    }
    let mut connection = migrated(path, writer_options(path)).await?;
    // A file that may only be read is opened all the same: better to hear of it now than after the first fold.
    sqlx::query("delete from fact where false").execute(&mut connection).await.map_err(failed(path, "write"))?;
    Ok(connection)
}

/// How to open a database for reading. Makes no file where there was none.
pub(super) async fn readable(path: &Path) -> Result<SqliteConnectOptions, StoreError> {
    if !exists(path)? {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let known = newest();
    match inspect(path).await? {
        Found::Nothing => Err(StoreError::Empty { path: path.to_owned() }),
        Found::Version(found) if found < known => Err(StoreError::Older { path: path.to_owned(), found, known }),
        Found::Version(_) => {
            let (options, connection) = connect_to_read(path).await?;
            connection.close().await.map_err(failed(path, "look"))?;
            Ok(options)
        }
    }
}

/// What an existing file holds.
enum Found {
    Nothing,
    Version(i64),
}

/// Looks without touching: opening another program's database for writing would already turn it to WAL.
async fn inspect(path: &Path) -> Result<Found, StoreError> {
    let (_, mut connection) = connect_to_read(path).await?;
    let found = async {
        let (tables, application): (i64, i64) = sqlx::query_as(
            "select (select count(*) from sqlite_master), (select application_id from pragma_application_id)",
        )
        .fetch_one(&mut connection)
        .await?;
        if tables == 0 {
            return Ok(Some(Found::Nothing));
        }
        if application != APPLICATION {
            return Ok(None);
        }
        let version = sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(&mut connection)
            .await?;
        Ok(Some(Found::Version(version)))
    };
    let found = found.await.map_err(failed(path, "look"))?;
    connection.close().await.map_err(failed(path, "look"))?;
    found.ok_or_else(|| StoreError::Foreign { path: path.to_owned() })
}

/// A WAL database needs its `-shm` file even for reading. Where that cannot be made (a mounted archive) and no `-wal`
/// holds anything newer, the file is as it is and can be read without.
async fn connect_to_read(path: &Path) -> Result<(SqliteConnectOptions, SqliteConnection), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .pragma("query_only", "on")
        .busy_timeout(READER_PATIENCE)
        // a query may take as long as whoever asks wants to wait: that is no warning on their screen
        .disable_statement_logging();
    match probe(&options).await {
        Ok(connection) => Ok((options, connection)),
        Err(error) if matches!(primary_code(&error), Some(8 | 14)) && !has_wal(path) => {
            let options = options.immutable(true);
            let connection = probe(&options).await.map_err(failed(path, "read"))?;
            Ok((options, connection))
        }
        Err(error) => Err(failed(path, "read")(error)),
    }
}

/// `SQLite` opens the file with the first statement that reads it.
async fn probe(options: &SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    sqlx::query("select count(*) from sqlite_master").execute(&mut connection).await?;
    Ok(connection)
}

/// Builds a new database beside its place and moves it there complete: nobody ever sees half of one.
async fn make(path: &Path, directory: &Path) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = directory.join(format!(".{name}.new-{}", std::process::id()));
    let made = async {
        let connection = migrated(&draft, writer_options(&draft).create_if_missing(true)).await?;
        connection.close().await.map_err(failed(&draft, "make the tables"))?;
        // A link, unlike a rename, never replaces the database that another coordinator has just put there.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => fs::rename(&draft, path).map_err(file_failed("make", path)),
            Ok(()) => Ok(()),
        }
    };
    let made = made.await;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        // most of them are not there
        let _ = fs::remove_file(beside(&draft, suffix));
    }
    made.map_err(|error| match error {
        StoreError::CannotOpen { source, .. } => StoreError::CannotOpen { path: path.to_owned(), source },
        other => other,
    })
}

async fn migrated(path: &Path, options: SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let mut connection = options.connect().await.map_err(failed(path, "open"))?;
    let known = newest();
    MIGRATIONS.run(&mut connection).await.map_err(|error| StoreError::from_migration(path, known, error))?;
    Ok(connection)
}

/// NORMAL: what was committed outlives the process; after a power cut the last commits may be missing, never torn.
fn writer_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(WRITER_PATIENCE)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .optimize_on_close(true, None)
}

fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(file_failed("look for", path))
}

fn has_wal(path: &Path) -> bool {
    fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn file_failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::File { doing, path, source: Arc::new(error) }
}
