//! What must not be opened, and what a query must not do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::story::{Story, text};
use crate::store::open::MIGRATIONS;
use crate::store::{Reader, Store, StoreError};

#[tokio::test]
async fn a_query_changes_nothing_and_makes_no_file() {
    let story = Story::told().await;
    let new = |name: &str| story.directory.path().join(name).to_string_lossy().into_owned();
    let (copy, uri) = (new("copy.db"), format!("file:{}?mode=rwc", new("uri.db")));
    let vacuum = format!("vacuum into '{copy}'");
    let attacks = [
        "insert into metric_name (name) values ('x')".to_owned(),
        "insert into metric_name (name) values ('x') returning id".to_owned(),
        "update sweep set name = 'x'".to_owned(),
        "delete from sweep".to_owned(),
        "with x as (select 1) delete from sweep".to_owned(),
        "replace into metric_name (id, name) values (1, 'x')".to_owned(),
        "drop view sweeps".to_owned(),
        "create table x (a)".to_owned(),
        "create temp table x (a)".to_owned(),
        "create virtual table x using fts5 (a)".to_owned(),
        "alter table sweep rename to x".to_owned(),
        format!("attach '{copy}' as x"),
        format!("attach '{uri}' as x"),
        "attach ':memory:' as x".to_owned(),
        "vacuum".to_owned(),
        vacuum.clone(),
        "reindex".to_owned(),
        "analyze".to_owned(),
        "begin immediate".to_owned(),
        "pragma journal_mode = delete".to_owned(),
        "pragma query_only = off".to_owned(),
        "pragma writable_schema = on".to_owned(),
        "pragma user_version = 7".to_owned(),
        "pragma application_id = 7".to_owned(),
        "explain delete from sweep".to_owned(),
        "select 1; delete from sweep".to_owned(),
        "select 1;\n-- a comment; and\n/* another */ delete from sweep".to_owned(),
        format!("commit; {vacuum}"),
        format!("select 1; {vacuum}; select 2"),
        format!("select 1); {vacuum}; select * from (select 1"),
        "select 1) as a; delete from sweep; --".to_owned(),
        "select 1) union select * from (select 2".to_owned(),
        "select 1 /*".to_owned(),
        "select '); delete from sweep; --".to_owned(),
        "select 1\0); delete from sweep; --".to_owned(),
        format!("begin; commit; pragma query_only = off; {vacuum}"),
        "select load_extension('x')".to_owned(),
        format!("select writefile('{copy}', 'x')"),
        String::new(),
        ";".to_owned(),
        "-- nothing".to_owned(),
    ];
    let before = state(&story).await;
    for attack in &attacks {
        let answer = story.reader().query(attack).await;
        assert!(answer.is_err(), "{attack:?} answered {answer:?}");
        assert_eq!(state(&story).await, before, "{attack:?} changed something");
    }
}

/// Not only the check of the text: the connection itself refuses.
#[tokio::test]
async fn a_reading_connection_cannot_write() {
    let story = Story::told().await;
    let before = state(&story).await;
    let new = story.directory.path().join("new.db");
    let attacks = [
        "delete from sweep".to_owned(),
        "pragma query_only = off; delete from sweep".to_owned(),
        "pragma user_version = 7".to_owned(),
        format!("attach '{}' as x; create table x.y (a)", new.display()),
        format!("attach 'file:{}?mode=rwc' as x; create table x.y (a)", new.display()),
    ];
    for attack in attacks {
        let mut connection = story.reader().pool.acquire().await.expect("is free");
        let answer = sqlx::raw_sql(AssertSqlSafe(attack.clone())).execute(&mut *connection).await;
        assert!(answer.is_err(), "{attack:?}");
        drop(connection);
        assert_eq!(state(&story).await, before, "{attack:?} changed something");
    }
}

#[tokio::test]
async fn what_is_one_query_is_answered() {
    let story = Story::told().await;
    for (sql, expect) in [
        ("select ';' as a, ')' as b -- ); done", "a | b\n; | )"),
        ("  values (1), (2) ; ;\n", "column1\n1\n2"),
        ("with x as (select 1 as a) select a, a from x", "a | a\n1 | 1"),
        ("select trial from leaderboard order by score limit 1", "trial\n3"),
        ("select name from pragma_table_info('metric') /* a; b */ limit 1", "name\nrun"),
    ] {
        assert_eq!(text(&story.reader().query(sql).await.expect(sql)), expect);
    }
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let Story { directory: _directory, path, store, .. } = Story::untold().await;
    store.close().await.expect("closes");
    change(&path, "insert into _sqlx_migrations values (9999, 'of tomorrow', '', true, x'00', 0)").await;
    let bytes = fs::read(&path).expect("is read");
    let refused = Store::open(&path).await.expect_err("is newer");
    insta::assert_snapshot!(shown(&refused, &path), @"experiments.db was written by a newer sweep (its schema is 9999, this one knows 8): use that one");
    assert_eq!(fs::read(&path).expect("is read"), bytes);
    assert!(Reader::open(&path).await.is_ok(), "the views are never broken");
}

#[tokio::test]
async fn an_older_database_is_not_read_by_new_eyes() {
    let Story { directory: _directory, path, store, .. } = Story::untold().await;
    store.close().await.expect("closes");
    change(&path, "delete from _sqlx_migrations where version > 1").await;
    assert!(matches!(Reader::open(&path).await, Err(StoreError::Older { found: 1, .. })));
}

#[tokio::test]
async fn an_older_database_becomes_a_newer_one_with_all_that_it_holds() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("experiments.db");
    let mut old = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.expect("opens");
    let first = MIGRATIONS.iter().take(1).cloned().collect::<Vec<_>>();
    Migrator::with_migrations(first).run(&mut old).await.expect("the tables of the first version");
    let sweep = "insert into sweep (name, sampler, objective, direction, folds, spec, spec_path, project, version, host, \
                 created_ms) values ('lr', 'grid', 'macro_f1', 'maximize', 2, '', 'lr.toml', '/', '0.1.0', 'box', 7)";
    sqlx::raw_sql(sweep).execute(&mut old).await.expect("a sweep");
    old.close().await.expect("closes");
    let store = Store::open(&path).await.expect("opens");
    let record = store.reader().sweep("lr").await.expect("the sweep");
    assert_eq!((record.name.as_str(), record.created.0, record.encoders.len()), ("lr", 7, 0));
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("experiments.db");

    fs::write(&path, "a letter, long enough to have a header ".repeat(100)).expect("is written");
    refused(&path, |error| matches!(error, StoreError::NotADatabase { .. })).await;

    fs::write(&path, "short").expect("is written");
    refused(&path, |error| matches!(error, StoreError::NotADatabase { .. })).await;

    fs::remove_file(&path).expect("is removed");
    let mut other = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.expect("opens");
    sqlx::raw_sql("create table customer (name text)").execute(&mut other).await.expect("is created");
    other.close().await.expect("closes");
    refused(&path, |error| matches!(error, StoreError::Foreign { .. })).await;
}

async fn refused(path: &Path, right: impl Fn(&StoreError) -> bool) {
    let before = fs::read(path).expect("is read");
    for error in [Store::open(path).await.expect_err("refused"), Reader::open(path).await.expect_err("refused")] {
        assert!(right(&error), "{error:?}");
    }
    assert_eq!(fs::read(path).expect("is read"), before);
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("experiments.db");
    fs::write(&path, "").expect("is written");
    assert!(matches!(Reader::open(&path).await, Err(StoreError::Empty { .. })));
    Store::open(&path).await.expect("opens").close().await.expect("closes");
    assert!(Reader::open(&path).await.is_ok());
}

#[tokio::test]
async fn a_new_database_appears_complete_and_alone() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("experiments.db");
    Store::open(&path).await.expect("opens").close().await.expect("closes");
    assert_eq!(files(directory.path()), BTreeSet::from(["experiments.db".to_owned()]));
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("nowhere/experiments.db");
    let error = Store::open(&path).await.expect_err("there is no place");
    let message = error.to_string().replace(&*directory.path().to_string_lossy(), "DIR");
    insta::assert_snapshot!(message, @"cannot make DIR/nowhere/experiments.db: there is no directory DIR/nowhere");
}

fn shown(error: &StoreError, path: &Path) -> String {
    error.to_string().replace(&*path.to_string_lossy(), "experiments.db")
}

async fn change(path: &Path, sql: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("opens");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("is changed");
    connection.close().await.expect("closes");
}

/// All that a query could have changed.
async fn state(story: &Story) -> (BTreeSet<String>, String) {
    let sql = "select (select group_concat(type || name || coalesce(sql, '')) from sqlite_master) as schema, \
               (select group_concat(name || state) from sweep) as sweeps, (select count(*) from fact) as facts, \
               (select group_concat(name) from metric_name) as names, \
               (select user_version from pragma_user_version) as version, \
               (select application_id from pragma_application_id) as application, \
               (select group_concat(name) from pragma_database_list) as files, \
               (select journal_mode from pragma_journal_mode) as journal";
    let fresh = Reader::open(&story.path).await.expect("opens");
    let seen = text(&fresh.query(sql).await.expect("answers"));
    fresh.close().await;
    (files(story.directory.path()), seen)
}

fn files(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("is read");
    entries.map(|entry| entry.expect("is read").file_name().to_string_lossy().into_owned()).collect()
}
