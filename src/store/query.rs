//! `sweep sql`: questions in SQL, and what there is to ask about.

use serde::Serialize;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::error::{StoreError, failed};
use super::read::Reader;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A public view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    pub name: &'static str,
    pub about: &'static str,
    pub columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: &'static str,
    pub about: &'static str,
}

const DOCUMENT: &str = include_str!("../../docs/sql.md");

impl Reader {
    /// Asks one query, with types as dynamic as `SQLite`'s. Nothing can be changed by it, and no file made.
    ///
    /// A read-only connection with `query_only` is not enough: `vacuum into` still writes a file, and a second
    /// statement could take back a pragma or a transaction. So `SQLite`'s own parser has to accept the text twice
    /// (compiling runs nothing): as it is, and in brackets after `select * from`. Only one query fits there, no other
    /// kind of statement; and a text that closes the bracket itself is an error when it stands alone.
    pub async fn query(&self, sql: &str) -> Result<Table, StoreError> {
        let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        // SQLite would read up to it, and sqlx on
        if sql.contains('\0') {
            return Err(StoreError::NotAQuery);
        }
        let mut connection = self.pool.acquire().await.map_err(failed(&self.path, "read"))?;
        let alone =
            connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map_err(|error| said(&error))?;
        let bracketed = format!("select * from (\n{sql}\n)");
        if connection.prepare(AssertSqlSafe(bracketed).into_sql_str()).await.is_err() {
            return Err(StoreError::NotAQuery);
        }
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| said(&error))?;
        Ok(Table {
            columns: alone.columns().iter().map(|column| column.name().to_owned()).collect(),
            rows: rows.iter().map(cells).collect::<sqlx::Result<_>>().map_err(|error| said(&error))?,
        })
    }
}

/// The views and their columns, as `docs/sql.md` describes them.
pub fn schema() -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    let sections = DOCUMENT.split("\n## ").find(|part| part.starts_with("Views")).unwrap_or_default();
    for section in sections.split("\n### `").skip(1) {
        let Some((name, text)) = section.split_once('`') else {
            continue;
        };
        let about = text.lines().find(|line| !line.is_empty() && !line.starts_with('|')).unwrap_or_default();
        let columns = text.lines().filter_map(|line| {
            let (name, about) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some(Column { name, about: about.trim_end_matches(" |") })
        });
        views.push(View { name, about, columns: columns.collect() });
    }
    views
}

fn cells(row: &SqliteRow) -> sqlx::Result<Vec<Cell>> {
    (0..row.len()).map(|index| cell(row.try_get_raw(index)?)).collect()
}

fn cell(value: SqliteValueRef<'_>) -> sqlx::Result<Cell> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    let cell = match kind.as_str() {
        "INTEGER" => sqlx::Decode::<sqlx::Sqlite>::decode(value).map(Cell::Integer),
        "REAL" => sqlx::Decode::<sqlx::Sqlite>::decode(value).map(Cell::Real),
        "TEXT" => sqlx::Decode::<sqlx::Sqlite>::decode(value).map(Cell::Text),
        _ => sqlx::Decode::<sqlx::Sqlite>::decode(value).map(Cell::Blob),
    };
    cell.map_err(sqlx::Error::Decode)
}

/// A question's error is the asker's to mend: `SQLite`'s message is all there is to say.
fn said(error: &sqlx::Error) -> StoreError {
    let message = match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        other => other.to_string(),
    };
    StoreError::Query { message }
}
