//! Readers: what they find, and that nobody waits for them.

use std::time::Duration;

use super::story::{Story, at, measured, new_sweep, proposed, run, started, text};
use crate::search::TriedState;
use crate::spec::Spec;
use crate::store::{Cell, Reader, RunState, StoreError, SweepState, TrialState, fold_directory, log_path};
use crate::sweep::{Fact, SweepEnd, TrialId};

#[tokio::test]
async fn rows_are_typed() {
    let story = Story::told().await;
    let reader = story.reader();
    let sweeps = reader.sweeps().await.expect("are read");
    assert_eq!((sweeps[0].state, sweeps[0].best_trial, sweeps[0].trials), (SweepState::Running, Some(0), 6));
    let trials = reader.trials("lr").await.expect("are read");
    assert_eq!(trials[1].state, TrialState::Failed);
    assert_eq!(
        trials[0].params.to_string(),
        r#"train.learning_rate = 0.001, model.label_attention = "doc", text.normalize = ["nfkc"]"#
    );
    let runs = reader.runs("lr").await.expect("are read");
    assert_eq!((runs[3].run, runs[3].state), (run("1/0#2"), RunState::Failed));
    let board = reader.leaderboard("lr").await.expect("is read");
    assert_eq!(
        board.iter().map(|row| (row.rank, row.trial.0, row.tied_with_best)).collect::<Vec<_>>(),
        [(1, 0, Some(true)), (2, 2, Some(true)), (3, 3, Some(true))]
    );
    let last = reader.last_metrics("lr", run("0/0")).await.expect("are read");
    assert_eq!(
        last.iter().map(|row| (row.name.as_str(), row.epoch, row.value)).collect::<Vec<_>>(),
        [("loss", 2, Some(0.5)), ("macro_f1", 2, Some(0.8)),]
    );
    assert_eq!(reader.checkpoints("lr").await.expect("are read").len(), 3);
    let predictions = reader.predictions("lr", TrialId(0)).await.expect("are read");
    assert_eq!(
        predictions.iter().map(|row| (row.document.as_str(), row.probabilities.as_slice())).collect::<Vec<_>>(),
        [("甲", [0.9, 1.0 - 0.9f32].as_slice()), ("乙", &[0.625, 0.375]), ("丙", &[0.75, 0.25]),]
    );
}

#[tokio::test]
async fn a_search_learns_from_what_is_recorded() {
    let story = Story::measured_against().await;
    let file = "baseline = false\ndata.path = \"a.csv\"\nfolds.k = 2";
    let spec = Spec::parse("lr", file, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    let history = story.reader().history(story.sweep.key, &spec).await.expect("is read");
    let told: Vec<_> = history.trials.iter().map(|tried| (tried.state, tried.scores.clone())).collect();
    assert_eq!(
        told,
        [
            (TriedState::Finished, vec![(0, 0.8), (1, 0.84)]),
            (TriedState::Failed, vec![]),
            (TriedState::Finished, vec![(0, 0.79), (1, 0.81)]),
            (TriedState::Finished, vec![(0, 0.5), (1, 0.5)]),
            // one fold of an open trial
            (TriedState::Open, vec![(0, 0.75)]),
            (TriedState::Open, vec![]),
        ]
    );
    assert_eq!(history.trials[4].point.get("train.learning_rate"), Some(&1e-4.into()));
}

#[tokio::test]
async fn a_sweep_is_found_by_its_name_or_the_beginning_of_it() {
    let story = Story::untold().await;
    for name in ["lr", "depth"] {
        story.store.create_sweep(new_sweep(name), at(1)).await.expect("is created");
    }
    let reader = story.reader();
    assert_eq!(reader.sweep("lr").await.expect("exact").name, "lr");
    assert_eq!(reader.sweep("de").await.expect("the only one").name, "depth");
    assert_eq!(reader.sweep("l").await.expect_err("two").to_string(), r#""l" could be lr, lr-2"#);
    assert_eq!(reader.sweep("x").await.expect_err("none").to_string(), r#"no sweep "x"; there are: lr, lr-2, depth"#);
    assert_eq!(reader.latest().await.expect("some").name, "depth");

    let newest = reader.latest().await.expect("some").key;
    let writer = story.store.writer(newest);
    let end = SweepEnd::Finished;
    writer.record(at(2), vec![Fact::SweepStarted, Fact::SweepEnded { end }]).await.expect("is recorded");
    assert_eq!(reader.latest_open().await.expect("some").name, "lr-2");
}

#[tokio::test]
async fn readers_and_the_writer_do_not_wait_for_each_other() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    writer.record(at(0), vec![Fact::SweepStarted, proposed(0, 1e-3), started("0/0")]).await.expect("is recorded");

    let other = Reader::open(&story.path).await.expect("opens");
    // a read transaction that stays open all the time
    let mut old = other.pool.begin().await.expect("begins");
    let count = "select count(*) from metrics";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *old).await.expect("counts");

    let writing = tokio::spawn(async move {
        for step in 0..300 {
            writer.record(at(step as i64), vec![measured("0/0", 1, step, 0.5)]).await.expect("is recorded");
        }
    });
    let mut seen = 0;
    while seen < 600 {
        let table = tokio::time::timeout(Duration::from_secs(30), other.query(count)).await.expect("answers in time");
        let Cell::Integer(now) = table.expect("answers").rows[0][0] else { panic!("a count is a number") };
        assert!(now >= seen, "{now} after {seen}");
        seen = now;
    }
    writing.await.expect("ends");
    let after: i64 = sqlx::query_scalar(count).fetch_one(&mut *old).await.expect("counts");
    assert_eq!((before, after), (0, 0));
}

#[tokio::test]
async fn chinese_text_and_every_type_come_back() {
    let story = Story::untold().await;
    let sql = "select '判决书' as 文本, 1 as i, 0.5 as r, null as n, x'00ff' as b, 1e400 as big, classes from sweeps";
    let table = story.reader().query(sql).await.expect("answers");
    assert_eq!(
        text(&table),
        "文本 | i | r | n | b | big | classes\n判决书 | 1 | 0.5 | - | [0, 255] | inf | [\"体育\",\"财经\"]"
    );
    let mixed = story.reader().query("values (1), ('x'), (0.5)").await.expect("answers");
    assert_eq!(text(&mixed), "column1\n1\nx\n0.5");
}

#[tokio::test]
async fn a_query_error_is_sqlites_message() {
    let story = Story::untold().await;
    let error = async |sql: &str| story.reader().query(sql).await.expect_err(sql).to_string();
    assert_eq!(error("select scores from sweeps").await, "no such column: scores");
    assert_eq!(error("selct 1").await, "near \"selct\": syntax error");
    assert_eq!(error("select * from sweep_").await, "no such table: sweep_");
}

#[tokio::test]
async fn a_missing_database_stays_missing() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("experiments.db");
    assert!(matches!(Reader::open(&path).await, Err(StoreError::Missing { .. })));
    assert_eq!(std::fs::read_dir(directory.path()).expect("is read").count(), 0);
}

#[test]
fn files_are_beside_the_database() {
    let database = std::path::Path::new("experiments.db");
    assert_eq!(fold_directory(database, "lr", run("12/3")), std::path::Path::new("./experiments/lr/12/3"));
    let holdout = fold_directory(database, "lr", run("baseline/holdout"));
    assert_eq!(holdout, std::path::Path::new("./experiments/lr/baseline/holdout"));
    assert_eq!(log_path(database, "lr", run("12/3#2")), std::path::Path::new("./experiments/lr/12/3/attempt-2.log"));
}
