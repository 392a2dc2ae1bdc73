//! Each view of the story, as text.

use std::fmt::Write;

use super::story::{Story, at, ended, measured, new_sweep, proposed, started, text};
use crate::crossval::{critical_t, standard_error};
use crate::spec::Direction;
use crate::store::schema;
use crate::sweep::{Fact, FoldId, RunEnd, RunId, SweepEnd, TrialEnd, TrialId};

async fn view(story: &Story, sql: &str) -> String {
    text(&story.reader().query(sql).await.expect(sql))
}

#[tokio::test]
async fn sweeps() {
    let story = Story::measured_against().await;
    let mut other = new_sweep("lr");
    (other.trials, other.direction) = (None, Direction::Minimize);
    story.store.create_sweep(other, at(4000)).await.expect("is created");
    insta::assert_snapshot!(view(&story, "select * from sweeps").await.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#"
    sweep | state | sampler | objective | direction | trials | finished | failed | best_trial | best_score | started_at | ended_at | seconds | why | folds | documents | classes | overrides | spec | spec_path | project | host | version | baseline_score | raced_out | pruned | folds_saved | converged | holdout_score | holdout_baseline | excluded
    lr | running | grid | macro_f1 | maximize | 6 | 3 | 1 | 0 | 0.82 | 2026-11-23T09:39:00.123Z | - | 42.0 | - | 2 | 4 | ["体育","财经"] | ["folds.k=2"] | name = "lr"
     | sweeps/lr.toml | /home/li/裁判文书 | box | VERSION | 0.81 | 0 | 0 | 0 | - | - | - | 0
    lr-2 | running | grid | macro_f1 | minimize | 0 | 0 | 0 | - | - | - | - | 0.0 | - | 2 | 4 | ["体育","财经"] | ["folds.k=2"] | name = "lr"
     | sweeps/lr.toml | /home/li/裁判文书 | box | VERSION | - | 0 | 0 | 0 | - | - | - | 0
    "#);
}

#[tokio::test]
async fn trials() {
    let story = Story::measured_against().await;
    insta::assert_snapshot!(view(&story, "select * from trials").await, @r#"
    sweep | trial | state | score | score_se | folds_done | folds | params | seconds | why | score_so_far | proposed_at | ended_at | baseline | given_up | excluded | note | tags | asked
    lr | 0 | finished | 0.82 | 0.02 | 2 | 2 | {"train.learning_rate":0.001,"model.label_attention":"doc","text.normalize":["nfkc"]} | 18.0 | - | 0.8200000000000001 | 2026-11-23T09:39:00.123Z | 2026-11-23T09:39:10.123Z | 0 | - | 0 | - | [] | 0
    lr | 1 | failed | - | - | 0 | 2 | {"train.learning_rate":0.01,"model.label_attention":"doc","text.normalize":["nfkc"]} | 11.0 | fold 0: its macro_f1 is NaN | - | 2026-11-23T09:39:10.123Z | 2026-11-23T09:39:16.123Z | 0 | - | 0 | - | [] | 0
    lr | 2 | finished | 0.8 | 0.01 | 2 | 2 | {"train.learning_rate":0.003,"model.label_attention":"doc","text.normalize":["nfkc"]} | 12.0 | - | 0.8 | 2026-11-23T09:39:17.123Z | 2026-11-23T10:39:25.123Z | 0 | - | 0 | - | [] | 0
    lr | 3 | finished | 0.5 | 0.0 | 2 | 2 | {"train.learning_rate":0.00001,"model.label_attention":"doc","text.normalize":["nfkc"]} | 10.0 | - | 0.5 | 2026-11-23T10:39:25.123Z | 2026-11-23T10:39:30.123Z | 0 | - | 0 | - | [] | 0
    lr | 4 | running | - | - | 1 | 2 | {"train.learning_rate":0.0001,"model.label_attention":"doc","text.normalize":["nfkc"]} | 10.0 | - | 0.75 | 2026-11-23T10:39:30.123Z | - | 0 | - | 0 | - | [] | 0
    lr | 5 | waiting | - | - | 0 | 2 | {"train.learning_rate":0.1,"model.label_attention":"doc","text.normalize":["nfkc"]} | - | - | - | 2026-11-23T10:39:40.123Z | - | 0 | - | 0 | - | [] | 0
    lr | -1 | finished | 0.81 | 0.01 | 1 | 2 | {} | 0.0 | - | 0.81 | 2026-11-23T10:39:42.123Z | 2026-11-23T10:39:42.123Z | 1 | - | 0 | - | [] | 0
    "#);
}

#[tokio::test]
async fn params() {
    let story = Story::told().await;
    insta::assert_snapshot!(view(&story, "select * from params where trial < 2").await, @r#"
    sweep | trial | name | value
    lr | 0 | train.learning_rate | 0.001
    lr | 0 | model.label_attention | doc
    lr | 0 | text.normalize | ["nfkc"]
    lr | 1 | train.learning_rate | 0.01
    lr | 1 | model.label_attention | doc
    lr | 1 | text.normalize | ["nfkc"]
    "#);
}

#[tokio::test]
async fn runs() {
    let story = Story::measured_against().await;
    insta::assert_snapshot!(view(&story, "select * from runs").await, @r"
    sweep | trial | repeat | fold | attempt | state | score | best_epoch | epochs | device | host | pid | seconds | peak_memory_mb | why | slot | started_at | ended_at | baseline
    lr | 0 | 0 | 0 | 1 | finished | 0.8 | 2 | 3 | cuda:0 | box | 4001 | 9.0 | 512 | - | 0 | 2026-11-23T09:39:01.123Z | 2026-11-23T09:39:10.123Z | 0
    lr | 0 | 0 | 1 | 1 | finished | 0.84 | 2 | 3 | cuda:1 | box | 4001 | 9.0 | 512 | - | 1 | 2026-11-23T09:39:01.123Z | 2026-11-23T09:39:10.123Z | 0
    lr | 1 | 0 | 0 | 1 | failed | - | - | - | cuda:0 | box | 4001 | 2.0 | - | out of memory | 0 | 2026-11-23T09:39:11.123Z | 2026-11-23T09:39:13.123Z | 0
    lr | 1 | 0 | 1 | 1 | cancelled | - | - | - | cuda:1 | box | 4001 | 6.0 | - | another fold of its trial failed | 1 | 2026-11-23T09:39:11.123Z | 2026-11-23T09:39:17.123Z | 0
    lr | 1 | 0 | 0 | 2 | failed | - | - | - | cuda:0 | box | 4002 | 3.0 | - | its macro_f1 is NaN | 0 | 2026-11-23T09:39:13.123Z | 2026-11-23T09:39:16.123Z | 0
    lr | 2 | 0 | 0 | 1 | interrupted | - | - | - | cuda:0 | box | 4001 | 2.0 | - | stopped by the user | 0 | 2026-11-23T09:39:18.123Z | 2026-11-23T09:39:20.123Z | 0
    lr | 2 | 0 | 0 | 2 | finished | 0.79 | 2 | 3 | cuda:0 | box | 4002 | 5.0 | 512 | - | 0 | 2026-11-23T10:39:20.123Z | 2026-11-23T10:39:25.123Z | 0
    lr | 2 | 0 | 1 | 1 | finished | 0.81 | 2 | 3 | cuda:1 | box | 4001 | 5.0 | 512 | - | 1 | 2026-11-23T10:39:20.123Z | 2026-11-23T10:39:25.123Z | 0
    lr | 3 | 0 | 0 | 1 | finished | 0.5 | 2 | 3 | cuda:0 | box | 4001 | 5.0 | 512 | - | 0 | 2026-11-23T10:39:25.123Z | 2026-11-23T10:39:30.123Z | 0
    lr | 3 | 0 | 1 | 1 | finished | 0.5 | 2 | 3 | cuda:1 | box | 4001 | 5.0 | 512 | - | 1 | 2026-11-23T10:39:25.123Z | 2026-11-23T10:39:30.123Z | 0
    lr | 4 | 0 | 0 | 1 | finished | 0.75 | 2 | 3 | cuda:0 | box | 4001 | 10.0 | 512 | - | 0 | 2026-11-23T10:39:30.123Z | 2026-11-23T10:39:40.123Z | 0
    lr | 4 | 0 | 1 | 1 | running | - | - | - | cuda:1 | box | 4001 | - | - | - | 1 | 2026-11-23T10:39:30.123Z | - | 0
    lr | 5 | 0 | 0 | 1 | failed | - | - | - | - | - | - | - | - | no such program | - | - | 2026-11-23T10:39:40.123Z | 0
    lr | -1 | 0 | 0 | 1 | finished | 0.81 | 2 | 3 | cuda:0 | box | 4001 | 0.0 | 512 | - | 0 | 2026-11-23T10:39:42.123Z | 2026-11-23T10:39:42.123Z | 1
    ");
}

#[tokio::test]
async fn metrics() {
    let story = Story::told().await;
    insta::assert_snapshot!(view(&story, "select * from metrics").await, @r"
    sweep | trial | repeat | fold | attempt | epoch | step | split | name | value | at
    lr | 0 | 0 | 0 | 1 | 1 | 10 | validation | loss | 0.5 | 2026-11-23T09:39:05.123Z
    lr | 0 | 0 | 0 | 1 | 2 | 20 | validation | loss | 0.5 | 2026-11-23T09:39:05.123Z
    lr | 0 | 0 | 0 | 1 | 1 | 10 | validation | macro_f1 | 0.7 | 2026-11-23T09:39:05.123Z
    lr | 0 | 0 | 0 | 1 | 2 | 20 | validation | macro_f1 | 0.8 | 2026-11-23T09:39:05.123Z
    lr | 0 | 0 | 1 | 1 | 1 | 10 | validation | loss | 0.5 | 2026-11-23T09:39:05.123Z
    lr | 0 | 0 | 1 | 1 | 1 | 10 | validation | macro_f1 | 0.84 | 2026-11-23T09:39:05.123Z
    lr | 1 | 0 | 0 | 1 | 1 | 10 | validation | loss | 0.5 | 2026-11-23T09:39:12.123Z
    lr | 1 | 0 | 0 | 1 | 1 | 10 | validation | macro_f1 | 0.1 | 2026-11-23T09:39:12.123Z
    lr | 1 | 0 | 0 | 2 | 1 | 10 | validation | loss | 0.5 | 2026-11-23T09:39:15.123Z
    lr | 1 | 0 | 0 | 2 | 1 | 10 | validation | macro_f1 | - | 2026-11-23T09:39:15.123Z
    ");
}

#[tokio::test]
async fn checkpoints() {
    let story = Story::told().await;
    insta::assert_snapshot!(view(&story, "select * from checkpoints").await, @r"
    sweep | trial | repeat | fold | kind | path | epoch | score | bytes | sha256 | attempt | at
    lr | 0 | 0 | 0 | best | best.safetensors | 2 | 0.8 | 1024 | ab12 | 1 | 2026-11-23T09:39:07.123Z
    lr | 0 | 0 | 0 | last | last.safetensors | 1 | - | 1024 | ab12 | 1 | 2026-11-23T09:39:06.123Z
    lr | 2 | 0 | 0 | last | last.safetensors | 2 | - | 1024 | ab12 | 2 | 2026-11-23T10:39:25.123Z
    ");
}

#[tokio::test]
async fn predictions() {
    let story = Story::told().await;
    insta::assert_snapshot!(view(&story, "select * from predictions").await, @r"
    sweep | trial | repeat | fold | document | label | predicted | confidence
    lr | 0 | 0 | 0 | 甲 | 体育 | 体育 | 0.9
    lr | 0 | 0 | 0 | 乙 | 财经 | 体育 | 0.625
    lr | 0 | 0 | 1 | 丙 | 财经 | 财经 | 0.75
    ");
}

#[tokio::test]
async fn leaderboard() {
    const COLUMNS: &str = "select sweep, rank, trial, score, score_se, tied_with_best, params, baseline, \
                           round(difference, 6) as difference, round(difference_se, 6) as difference_se from leaderboard";
    let story = Story::measured_against().await;
    insta::assert_snapshot!(view(&story, COLUMNS).await, @r#"
    sweep | rank | trial | score | score_se | tied_with_best | params | baseline | difference | difference_se
    lr | 1 | 0 | 0.82 | 0.02 | 1 | {"train.learning_rate":0.001,"model.label_attention":"doc","text.normalize":["nfkc"]} | 0 | 0.0 | 0.0
    lr | 2 | 2 | 0.8 | 0.01 | 1 | {"train.learning_rate":0.003,"model.label_attention":"doc","text.normalize":["nfkc"]} | 0 | -0.02 | 0.017321
    lr | 3 | 3 | 0.5 | 0.0 | 1 | {"train.learning_rate":0.00001,"model.label_attention":"doc","text.normalize":["nfkc"]} | 0 | -0.32 | 0.034641
    lr | - | -1 | 0.81 | 0.01 | - | {} | 1 | 0.01 | -
    "#);
}

/// Nothing of the cross-validation knows of it, whatever was scored there.
#[tokio::test]
async fn the_holdout_stands_beside_the_folds() {
    let (before, story) = (Story::measured_against().await, Story::scored_on_the_holdout().await);
    let same = [
        "select * from trials",
        "select * from leaderboard",
        "select * from predictions",
        "select * from params",
        "select * from runs where fold >= 0",
        "select * from metrics where split <> 'holdout'",
        "select * from checkpoints where fold >= 0",
        "select finished, failed, best_trial, best_score, baseline_score, folds, folds_saved from sweeps",
    ];
    for sql in same {
        assert_eq!(view(&story, sql).await, view(&before, sql).await, "{sql}");
    }
    let (reader, key) = (story.reader(), story.sweep.key);
    assert_eq!(reader.device_seconds(key).await.expect("is read"), {
        let own = before.reader().device_seconds(before.sweep.key).await.expect("is read");
        // a run of trial 4 still goes on
        own + 13.0
    });
    for trial in [-1, 0] {
        let predictions = reader.predictions("lr", TrialId(trial)).await.expect("are read");
        assert_eq!(predictions, before.reader().predictions("lr", TrialId(trial)).await.expect("are read"));
    }
    let own = [
        "select trial, repeat, fold, attempt, state, score, seconds from runs where fold < 0",
        "select trial, fold, attempt, epoch, split, name, value from metrics where split = 'holdout'",
        "select trial, fold, kind, attempt from checkpoints where fold < 0",
        "select holdout_score, holdout_baseline from sweeps",
        "select * from holdout",
        "select * from holdout_predictions",
    ];
    let mut pictures = Vec::new();
    for sql in own {
        pictures.push(view(&story, sql).await);
    }
    insta::assert_snapshot!(pictures.join("\n\n"), @r"
    trial | repeat | fold | attempt | state | score | seconds
    -1 | 0 | -1 | 1 | finished | 0.6 | 1.0
    0 | 0 | -1 | 1 | interrupted | - | 3.0
    0 | 0 | -1 | 2 | finished | 0.7 | 2.0

    trial | fold | attempt | epoch | split | name | value
    -1 | -1 | 1 | 1 | holdout | macro_f1 | 0.6
    -1 | -1 | 1 | 1 | holdout | score_se | 0.125
    0 | -1 | 2 | 2 | holdout | macro_f1 | 0.7
    0 | -1 | 2 | 2 | holdout | score_se | 0.125

    trial | fold | kind | attempt
    0 | -1 | last | 1
    0 | -1 | best | 2

    holdout_score | holdout_baseline
    0.7 | 0.6

    sweep | trial | state | score | score_se | documents | epochs | folds_score | baseline | scored_at | why
    lr | -1 | finished | 0.6 | 0.125 | 2 | 3 | 0.81 | 1 | 2026-11-23T10:39:51.123Z | -
    lr | 0 | finished | 0.7 | 0.125 | 2 | 3 | 0.82 | 0 | 2026-11-23T10:39:55.123Z | -

    sweep | trial | document | label | predicted | confidence
    lr | -1 | 丁 | 体育 | 体育 | 0.75
    lr | -1 | 戊 | 财经 | 体育 | 0.625
    lr | 0 | 丁 | 体育 | 体育 | 0.75
    lr | 0 | 戊 | 财经 | 体育 | 0.625
    ");
    let rows = reader.holdout("lr").await.expect("is read");
    let rows: Vec<_> =
        rows.iter().map(|row| (row.trial.0, row.score, row.score_se, row.documents, row.epochs)).collect();
    assert_eq!(rows, [(-1, Some(0.6), Some(0.125), 2, Some(3)), (0, Some(0.7), Some(0.125), 2, Some(3))]);
    assert_eq!(
        reader
            .facts(key)
            .await
            .expect("are read")
            .iter()
            .filter(|fact| { matches!(fact, Fact::RefitChosen { .. }) })
            .count(),
        2
    );
}

/// Trials whose distance to the best is a hair within and a hair beyond what the test takes for chance.
#[tokio::test]
async fn ties_are_where_the_corrected_test_draws_the_line() {
    for (k, repeats) in [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (10, 1), (5, 3), (10, 5), (10, 30), (1, 4)] {
        for direction in [Direction::Maximize, Direction::Minimize] {
            let story = Story::untold().await;
            let mut new = new_sweep("ties");
            new.direction = direction;
            let sweep = story.store.create_sweep(new, at(1)).await.expect("is created");
            let folds: Vec<FoldId> =
                (0..repeats).flat_map(|repeat| (0..k as i32).map(move |fold| FoldId { repeat, fold })).collect();
            let swing: Vec<f64> = (0..folds.len()).map(|n| if n % 2 == 0 { 0.01 } else { -0.01 }).collect();
            let error = standard_error(&swing, k).expect("several folds");
            let distance = critical_t(folds.len() - 1) * error;
            let middle = swing.iter().sum::<f64>() / swing.len() as f64;
            let mut facts = Vec::new();
            let mut expected = Vec::new();
            for (trial, share) in [(0, 0.0), (1, 0.999), (2, 1.001)] {
                let behind = |n: usize| if trial == 0 { 0.0 } else { distance * share + swing[n] - middle };
                let scores: Vec<f64> = (0..folds.len()).map(|n| 0.7 - direction.gain(behind(n))).collect();
                facts.push(proposed(trial, 1e-3));
                for (fold, score) in folds.iter().zip(&scores) {
                    let run = RunId { trial: TrialId(trial), fold: *fold, attempt: 1 };
                    let end = RunEnd::Finished { score: *score, best_epoch: 1, epochs: 1, peak_memory_mb: 1 };
                    facts.push(Fact::RunEnded { run, end });
                }
                let score = scores.iter().sum::<f64>() / scores.len() as f64;
                let end = TrialEnd::Finished { score, score_se: standard_error(&scores, k) };
                facts.push(Fact::TrialEnded { trial: TrialId(trial), end });
                let comparison = (-direction.gain(distance * share), if trial == 0 { 0.0 } else { error });
                expected.push((TrialId(trial), Some(share < 1.0), comparison));
            }
            story.store.writer(sweep.key).record(at(2), facts).await.expect("is recorded");
            let rows = story.reader().leaderboard("ties").await.expect("is read");
            for (row, (trial, tied, (difference, error))) in rows.iter().zip(expected) {
                let what = format!("trial {trial} of {k} x {repeats}, {direction:?}: {row:?}");
                assert_eq!((row.trial, row.tied_with_best), (trial, tied), "{what}");
                assert!((row.difference.expect("paired") - difference).abs() < 1e-9, "{what}, not {difference}");
                assert!((row.difference_se.expect("several folds") - error).abs() < 1e-9, "{what}, not {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_single_fold_allows_no_comparison() {
    let story = Story::untold().await;
    let of = |trial: i32, score: f64| {
        let run = RunId { trial: TrialId(trial), fold: FoldId { repeat: 0, fold: 0 }, attempt: 1 };
        let end = RunEnd::Finished { score, best_epoch: 1, epochs: 1, peak_memory_mb: 1 };
        let trial_end = TrialEnd::Finished { score, score_se: None };
        [proposed(trial, 1e-3), Fact::RunEnded { run, end }, Fact::TrialEnded { trial: TrialId(trial), end: trial_end }]
    };
    let facts = [of(0, 0.5), of(1, 0.75)].concat();
    story.store.writer(story.sweep.key).record(at(2), facts).await.expect("is recorded");
    let columns = "rank, trial, score, score_se, tied_with_best, difference, difference_se";
    insta::assert_snapshot!(view(&story, &format!("select {columns} from leaderboard")).await, @r"
    rank | trial | score | score_se | tied_with_best | difference | difference_se
    1 | 1 | 0.75 | - | 1 | 0.0 | -
    2 | 0 | 0.5 | - | - | -0.25 | -
    ");
}

#[tokio::test]
async fn the_documented_views_and_columns_are_those_that_there_are() {
    let story = Story::untold().await;
    let names = "select name from sqlite_master where type = 'view' order by name";
    let mut found = String::new();
    for row in story.reader().query(names).await.expect("lists the views").rows {
        let crate::store::Cell::Text(name) = &row[0] else { panic!("a view without a name") };
        let table = story.reader().query(&format!("select * from {name}")).await.expect("the view works");
        writeln!(found, "{name}: {}", table.columns.join(" ")).expect("a string takes text");
    }
    let mut documented = String::new();
    let mut views = schema();
    views.sort_by_key(|view| view.name);
    for view in views {
        let columns: Vec<&str> = view.columns.iter().map(|column| column.name).collect();
        writeln!(documented, "{}: {}", view.name, columns.join(" ")).expect("a string takes text");
        assert!(!view.about.is_empty() && view.columns.iter().all(|column| !column.about.is_empty()));
    }
    assert_eq!(documented, found);
}

#[tokio::test]
async fn every_example_of_the_documentation_answers() {
    let story = Story::scored_on_the_holdout().await;
    let document = include_str!("../../../docs/sql.md");
    let mut answers = String::new();
    for block in document.split("```sql\n").skip(1) {
        let sql = block.split("```").next().unwrap_or_default();
        let answer = view(&story, sql).await;
        writeln!(answers, "{answer}\n").expect("a string takes text");
    }
    insta::assert_snapshot!(answers.trim_end(), @r#"
    rank | trial | score | se | tied_with_best | params
    1 | 0 | 0.82 | 0.02 | 1 | {"train.learning_rate":0.001,"model.label_attention":"doc","text.normalize":["nfkc"]}
    2 | 2 | 0.8 | 0.01 | 1 | {"train.learning_rate":0.003,"model.label_attention":"doc","text.normalize":["nfkc"]}
    3 | 3 | 0.5 | 0.0 | 1 | {"train.learning_rate":0.00001,"model.label_attention":"doc","text.normalize":["nfkc"]}
    - | -1 | 0.81 | 0.01 | - | {}

    repeat | fold | baseline | best | gain
    0 | 0 | 0.81 | 0.8 | -0.01

    name | value | trials | mean | best
    model.label_attention | doc | 3 | 0.7067 | 0.82
    text.normalize | ["nfkc"] | 3 | 0.7067 | 0.82
    train.learning_rate | 0.001 | 1 | 0.82 | 0.82
    train.learning_rate | 0.003 | 1 | 0.8 | 0.8
    train.learning_rate | 1e-5 | 1 | 0.5 | 0.5

    epoch | name | mean | folds
    1 | loss | 0.5 | 2
    2 | loss | 0.5 | 1
    1 | macro_f1 | 0.77 | 2
    2 | macro_f1 | 0.8 | 1

    trial | given_up | folds_done | folds | so_far | why

    state | why | runs | seconds_lost
    cancelled | another fold of its trial failed | 1 | 6.0
    failed | its macro_f1 is NaN | 1 | 3.0
    failed | no such program | 1 | -
    failed | out of memory | 1 | 2.0
    interrupted | lost | 1 | 3.0
    interrupted | stopped by the user | 1 | 2.0

    label | predicted | documents | confidence
    财经 | 体育 | 1 | 0.625

    document | label | answers | wrong
    乙 | 财经 | 1 | 1

    trial | folds | holdout | se | documents | scored_at
    -1 | 0.81 | 0.6 | 0.125 | 2 | 2026-11-23T10:39:51.123Z
    0 | 0.82 | 0.7 | 0.125 | 2 | 2026-11-23T10:39:55.123Z

    at | by | command | trial | params

    trial | score | note

    device | name | mean | most

    host | device | runs | seconds | peak_memory_mb
    box | cuda:0 | 11 | 42.0 | 512
    box | cuda:1 | 5 | 25.0 | 512
    - | - | 1 | - | -
    "#);
}

/// Raced out after its first fold, and pruned in the second epoch of its own; what both spared is counted.
#[tokio::test]
async fn trials_that_were_given_up() {
    let story = Story::untold().await;
    let why = || "raced out after 1 of 2 folds: its chance to beat trial 0 is 0.8 %".to_owned();
    let behind = || "pruned in fold 0 after epoch 2: its best so far is 0.3000".to_owned();
    let stopped = RunEnd::Pruned { why: behind(), score: Some(0.3), best_epoch: Some(1), epochs: Some(2) };
    let unheard = RunEnd::Pruned { why: why(), score: None, best_epoch: None, epochs: None };
    let done = |score| RunEnd::Finished { score, best_epoch: 1, epochs: 2, peak_memory_mb: 1 };
    let ended_trial = |trial, end| Fact::TrialEnded { trial: TrialId(trial), end };
    let facts = vec![
        Fact::SweepStarted,
        proposed(0, 1e-3),
        started("0/0"),
        ended("0/0", done(0.5)),
        ended_trial(0, TrialEnd::Dropped { why: why() }),
        started("0/1"),
        ended("0/1", unheard),
        proposed(1, 1e-2),
        started("1/0"),
        ended_trial(1, TrialEnd::Pruned { why: behind() }),
        ended("1/0", stopped),
        Fact::Converged { why: "nothing is left to gain".into() },
        Fact::SweepEnded { end: SweepEnd::Enough { why: "its budget of 3 runs is spent".into() } },
    ];
    story.store.writer(story.sweep.key).record(at(1), facts).await.expect("is recorded");
    let trials = "select trial, state, score, folds_done, given_up, why, score_so_far from trials order by trial";
    let runs = "select trial, fold, state, score, best_epoch, epochs, why from runs order by trial, fold";
    let sweeps = "select state, why, finished, failed, raced_out, pruned, folds_saved, converged from sweeps";
    let views = [view(&story, trials).await, view(&story, runs).await, view(&story, sweeps).await];
    insta::assert_snapshot!(views.join("\n\n"), @"
    trial | state | score | folds_done | given_up | why | score_so_far
    0 | pruned | - | 1 | race | raced out after 1 of 2 folds: its chance to beat trial 0 is 0.8 % | 0.5
    1 | pruned | - | 0 | prune | pruned in fold 0 after epoch 2: its best so far is 0.3000 | -

    trial | fold | state | score | best_epoch | epochs | why
    0 | 0 | finished | 0.5 | 1 | 2 | -
    0 | 1 | pruned | - | - | - | raced out after 1 of 2 folds: its chance to beat trial 0 is 0.8 %
    1 | 0 | pruned | 0.3 | 1 | 2 | pruned in fold 0 after epoch 2: its best so far is 0.3000

    state | why | finished | failed | raced_out | pruned | folds_saved | converged
    finished | its budget of 3 runs is spent | 0 | 0 | 1 | 1 | 1 | nothing is left to gain
    ");
    assert_eq!(story.reader().leaderboard("lr").await.expect("is read"), []);
}

/// A coordinator was killed at second 30 and came back at second 500: its run took 20 seconds.
#[tokio::test]
async fn a_lost_run_took_until_the_last_sign_of_life() {
    let story = Story::untold().await;
    let writer = story.store.writer(story.sweep.key);
    writer.record(at(10), vec![Fact::SweepStarted, proposed(0, 1e-3), started("0/0")]).await.expect("is recorded");
    writer.record(at(30), vec![measured("0/0", 1, 1, 0.5)]).await.expect("is recorded");
    assert_eq!(story.reader().device_seconds(story.sweep.key).await.expect("is read"), 20.0);
    let lost = ended("0/0", RunEnd::Interrupted { why: "lost".into() });
    writer.record(at(500), vec![Fact::SweepResumed, lost, started("0/0#2")]).await.expect("is recorded");
    let runs = "select attempt, state, seconds from runs order by attempt";
    insta::assert_snapshot!(view(&story, runs).await, @"
    attempt | state | seconds
    1 | interrupted | 20.0
    2 | running | -
    ");
    assert_eq!(story.reader().device_seconds(story.sweep.key).await.expect("is read"), 20.0);
}
