//! A database of an older sweep, with a story in it, becomes one of this.

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::story::{at, facts, new_sweep, proposed, started, text};
use crate::store::open::MIGRATIONS;
use crate::store::project::Projection;
use crate::store::{Cell, Reader, Store, StoreError, TrialState};
use crate::sweep::{Fact, TrialEnd, TrialId};

/// Views whose answers must not change, by the columns that they had in version 2.
const VIEWS: [&str; 8] = ["sweeps", "trials", "params", "runs", "metrics", "checkpoints", "predictions", "leaderboard"];

/// Columns whose meaning was corrected in version 5.
const CORRECTED: [&str; 2] = ["score_se", "tied_with_best"];

#[tokio::test]
async fn a_database_of_version_2_goes_on_as_it_was() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("experiments.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).foreign_keys(true);
    let mut old = options.connect().await.expect("opens");
    let first = MIGRATIONS.iter().filter(|migration| migration.version <= 2).cloned().collect();
    Migrator::with_migrations(first).run(&mut old).await.expect("the tables of version 2");
    let mut projection = Projection::default();
    let key = projection.create(&mut old, &path, &new_sweep("lr"), at(0)).await.expect("is created");
    for (seconds, facts) in facts() {
        for fact in &facts {
            projection.apply(&mut old, key, at(seconds), fact).await.expect("is recorded");
        }
    }
    projection.touch(&mut old).await.expect("is recorded");
    let mut before = Vec::new();
    for view in VIEWS {
        let (columns, _) = answer(&mut old, &format!("select * from {view}")).await;
        let lasting: Vec<&str> = columns.split(", ").filter(|column| !CORRECTED.contains(column)).collect();
        before.push(answer(&mut old, &format!("select {} from {view}", lasting.join(", "))).await);
    }
    old.close().await.expect("closes");

    let refused = Reader::open(&path).await.expect_err("is older");
    assert!(matches!(refused, StoreError::Older { found: 2, known: 8, .. }), "{refused}");
    let store = Store::open(&path).await.expect("is updated");
    for (view, (columns, rows)) in VIEWS.into_iter().zip(before) {
        let now = store.reader().query(&format!("select {columns} from {view}")).await.expect("the old columns");
        assert_eq!(text(&now).split_once('\n').map(|(_, rows)| rows), Some(rows.as_str()), "{view}");
        let all = store.reader().query(&format!("select * from {view}")).await.expect("all columns");
        let old = all.columns.iter().filter(|column| !CORRECTED.contains(&column.as_str())).take(now.columns.len());
        assert!(old.eq(now.columns.iter()), "{view}: columns are only added at its end");
    }
    // naive: 0.02, 0.01 and 0; of two folds the variance counts 1/2 + 1 instead of 1/2
    let errors =
        store.reader().query("select trial, round(score_se, 9) as score_se from trials where score is not null");
    insta::assert_snapshot!(text(&errors.await.expect("answers")), @r"
    trial | score_se
    0 | 0.034641016
    2 | 0.017320508
    3 | 0.0
    ");
    assert_eq!(store.reader().baseline("lr").await.expect("is read"), None);

    let writer = store.writer(key);
    let end = TrialEnd::Finished { score: 0.9, score_se: Some(0.01) };
    let baseline = [proposed(TrialId::BASELINE.0, 0.0), started("baseline/0")];
    let ended = Fact::TrialEnded { trial: TrialId::BASELINE, end };
    writer
        .record(at(5000), [Fact::SweepResumed].into_iter().chain(baseline).chain([ended]).collect())
        .await
        .expect("goes on");
    let row = store.reader().baseline("lr").await.expect("is read").expect("there is one");
    assert_eq!((row.trial, row.state, row.score), (TrialId::BASELINE, TrialState::Finished, Some(0.9)));
    let sweep = store.reader().sweeps().await.expect("are read").remove(0);
    assert_eq!((sweep.finished, sweep.failed, sweep.best_trial, sweep.best_score), (3, 1, Some(0), Some(0.82)));
    assert_eq!(sweep.baseline_score, Some(0.9));
    let board = store.reader().query("select rank, trial, score, tied_with_best, baseline from leaderboard").await;
    insta::assert_snapshot!(text(&board.expect("answers")), @r"
    rank | trial | score | tied_with_best | baseline
    1 | 0 | 0.82 | 1 | 0
    2 | 2 | 0.8 | 1 | 0
    3 | 3 | 0.5 | 1 | 0
    - | -1 | 0.9 | - | 1
    ");
}

/// Names of the columns, joined by commas, and the rows as text.
async fn answer(connection: &mut SqliteConnection, sql: &str) -> (String, String) {
    use sqlx::{AssertSqlSafe, Column, Row, TypeInfo, ValueRef};
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await.expect(sql);
    let columns: Vec<String> = rows[0].columns().iter().map(|column| column.name().to_owned()).collect();
    let cell = |row: &sqlx::sqlite::SqliteRow, index: usize| {
        let value = row.try_get_raw(index).expect("a value");
        if value.is_null() {
            return Cell::Null;
        }
        match value.type_info().name() {
            "INTEGER" => Cell::Integer(row.get(index)),
            "REAL" => Cell::Real(row.get(index)),
            _ => Cell::Text(row.get(index)),
        }
    };
    let rows = rows.iter().map(|row| (0..columns.len()).map(|index| cell(row, index)).collect()).collect();
    let table = crate::store::Table { columns, rows };
    let text = text(&table).split_once('\n').map(|(_, rows)| rows.to_owned()).expect("rows");
    (table.columns.join(", "), text)
}

#[tokio::test]
async fn a_sweep_with_a_baseline_alone_has_no_best() {
    let story = super::story::Story::untold().await;
    let end = TrialEnd::Finished { score: 0.9, score_se: None };
    let ended = Fact::TrialEnded { trial: TrialId::BASELINE, end };
    let writer = story.store.writer(story.sweep.key);
    writer.record(at(1), vec![Fact::SweepStarted, proposed(-1, 0.0), ended]).await.expect("is recorded");
    let board = story.reader().query("select rank, trial, tied_with_best, baseline from leaderboard").await;
    assert_eq!(text(&board.expect("answers")), "rank | trial | tied_with_best | baseline\n- | -1 | - | 1");
    let sweep = story.reader().sweeps().await.expect("are read").remove(0);
    assert_eq!((sweep.finished, sweep.best_trial, sweep.baseline_score), (0, None, Some(0.9)));
    assert_eq!(story.reader().leaderboard("lr").await.expect("is read"), []);
}
