//! One small sweep: two folds, a crash, a failure, a stop, an hour's break, and a trial that still runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use crate::protocol::{Checkpoint, CheckpointKind, Measurement, Prediction, Split};
use crate::search::space::Point;
use crate::spec::Direction;
use crate::store::{Cell, Millis, NewSweep, Reader, Store, SweepRecord, Table};
use crate::sweep::{Fact, FoldId, Place, RunEnd, RunId, SlotId, SweepEnd, TrialEnd, TrialId};

/// 2026-11-23T09:39:00.123Z
const START: i64 = 1_795_426_740_123;

pub(super) struct Story {
    // the files live as long as it
    pub(super) directory: TempDir,
    pub(super) path: PathBuf,
    pub(super) store: Store,
    pub(super) sweep: SweepRecord,
}

impl Story {
    /// A database with one sweep and no facts.
    pub(super) async fn untold() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = directory.path().join("experiments.db");
        let store = Store::open(&path).await.expect("opens");
        let sweep = store.create_sweep(new_sweep("lr"), at(0)).await.expect("is created");
        Self { directory, path, store, sweep }
    }

    pub(super) async fn told() -> Self {
        let story = Self::untold().await;
        let writer = story.store.writer(story.sweep.key);
        for (seconds, facts) in facts() {
            writer.record(at(seconds), facts).await.expect("is recorded");
        }
        story
    }

    /// Told, with a baseline of one fold.
    pub(super) async fn measured_against() -> Self {
        let story = Self::told().await;
        let point = Fact::TrialProposed { trial: TrialId::BASELINE, point: Point::default() };
        let own = vec![point, started("baseline/0"), finished("baseline/0", 0.81), trial_finished(-1, 0.81, 0.01)];
        story.store.writer(story.sweep.key).record(at(3642), own).await.expect("is recorded");
        story
    }

    /// Measured against a baseline, and both scored on the holdout: the best trial at its second attempt.
    pub(super) async fn scored_on_the_holdout() -> Self {
        let story = Self::measured_against().await;
        let chosen = |trial, epochs| Fact::RefitChosen { trial: TrialId(trial), epochs };
        let answers = [("丁", "体育", "体育", 0.75), ("戊", "财经", "体育", 0.625)];
        let facts = vec![
            (3650, vec![chosen(-1, 1), chosen(0, 2), started("baseline/holdout"), started("0/holdout")]),
            (3651, vec![scores("baseline/holdout", 1, 0.6), predicted("baseline/holdout", &answers)]),
            (3651, vec![finished("baseline/holdout", 0.6)]),
            (3652, vec![saved("0/holdout", CheckpointKind::Last, 1)]),
            (3653, vec![ended("0/holdout", RunEnd::Interrupted { why: "lost".into() }), started("0/holdout#2")]),
            (3655, vec![scores("0/holdout#2", 2, 0.7), saved("0/holdout#2", CheckpointKind::Best, 2)]),
            (3655, vec![predicted("0/holdout#2", &answers), finished("0/holdout#2", 0.7)]),
        ];
        for (seconds, facts) in facts {
            story.store.writer(story.sweep.key).record(at(seconds), facts).await.expect("is recorded");
        }
        story
    }

    pub(super) fn reader(&self) -> &Reader {
        self.store.reader()
    }
}

pub(super) fn at(seconds: i64) -> Millis {
    Millis(START + 1000 * seconds)
}

pub(super) fn new_sweep(name: &str) -> NewSweep {
    NewSweep {
        name: name.to_owned(),
        spec: "name = \"lr\"\n".to_owned(),
        spec_path: "sweeps/lr.toml".into(),
        overrides: vec!["folds.k=2".to_owned()],
        project: "/home/li/裁判文书".into(),
        sampler: "grid".to_owned(),
        objective: "macro_f1".to_owned(),
        direction: Direction::Maximize,
        trials: Some(6),
        folds: 2,
        documents: Some(4),
        data_sha256: Some("ab12".into()),
        classes: vec!["体育".to_owned(), "财经".to_owned()],
        encoders: [("bert-base-chinese".to_owned(), "8d2a91f".to_owned())].into(),
        host: "box".to_owned(),
    }
}

pub(super) fn facts() -> Vec<(i64, Vec<Fact>)> {
    vec![
        (0, vec![Fact::SweepStarted, proposed(0, 1e-3)]),
        (1, vec![started("0/0"), started("0/1")]),
        (5, vec![measured("0/0", 1, 10, 0.7), measured("0/0", 2, 20, 0.8), measured("0/1", 1, 10, 0.84)]),
        (6, vec![saved("0/0", CheckpointKind::Best, 1), saved("0/0", CheckpointKind::Last, 1)]),
        (7, vec![saved("0/0", CheckpointKind::Best, 2)]),
        (9, vec![predicted("0/0", &[("甲", "体育", "体育", 0.9), ("乙", "财经", "体育", 0.625)])]),
        (10, vec![predicted("0/1", &[("丙", "财经", "财经", 0.75)]), finished("0/0", 0.8), finished("0/1", 0.84)]),
        (10, vec![trial_finished(0, 0.82, 0.02), proposed(1, 1e-2)]),
        (11, vec![started("1/0"), started("1/1")]),
        (12, vec![measured("1/0", 1, 10, 0.1), predicted("1/0", &[("甲", "体育", "财经", 0.5)])]),
        (13, vec![ended("1/0", RunEnd::Crashed { why: "out of memory".into() }), started("1/0#2")]),
        (15, vec![measured("1/0#2", 1, 10, f64::NAN)]),
        (16, vec![ended("1/0#2", RunEnd::Failed { why: "its macro_f1 is NaN".into() })]),
        (16, vec![trial_ended(1, TrialEnd::Failed { why: "fold 0: its macro_f1 is NaN".into() })]),
        (17, vec![ended("1/1", RunEnd::Cancelled { why: "another fold of its trial failed".into() })]),
        (17, vec![proposed(2, 3e-3)]),
        (18, vec![started("2/0"), saved("2/0", CheckpointKind::Last, 1)]),
        (20, vec![ended("2/0", RunEnd::Interrupted { why: "stopped by the user".into() })]),
        (20, vec![Fact::SweepEnded { end: SweepEnd::Stopped { why: "stopped by the user".into() } }]),
        (3620, vec![Fact::SweepResumed, started("2/0#2"), started("2/1")]),
        (3625, vec![saved("2/0#2", CheckpointKind::Last, 2), finished("2/0#2", 0.79), finished("2/1", 0.81)]),
        (3625, vec![trial_finished(2, 0.80, 0.01), proposed(3, 1e-5), started("3/0"), started("3/1")]),
        (3630, vec![finished("3/0", 0.5), finished("3/1", 0.5), trial_finished(3, 0.5, 0.0)]),
        (3630, vec![proposed(4, 1e-4), started("4/0"), started("4/1")]),
        (3640, vec![finished("4/0", 0.75)]),
        (3640, vec![proposed(5, 1e-1), ended("5/0", RunEnd::Failed { why: "no such program".into() })]),
        (3640, vec![trial_ended(5, TrialEnd::Failed { why: "fold 0: no such program".into() })]),
        (3641, vec![Fact::TrialReopened { trial: TrialId(5) }]),
    ]
}

/// `3/1#2`: fold 1 of trial 3, second attempt; `3/holdout`.
pub(super) fn run(text: &str) -> RunId {
    let (run, attempt) = text.split_once('#').unwrap_or((text, "1"));
    let (trial, fold) = run.split_once('/').expect("trial/fold");
    let number = |text: &str| text.parse::<u16>().expect("a number");
    let trial = trial.parse().expect("a trial");
    let fold = if fold == "holdout" { FoldId::HOLDOUT } else { FoldId { repeat: 0, fold: number(fold).into() } };
    RunId { trial, fold, attempt: number(attempt).into() }
}

pub(super) fn proposed(trial: i32, learning_rate: f64) -> Fact {
    let point = [
        ("train.learning_rate".to_owned(), json!(learning_rate)),
        ("model.label_attention".to_owned(), json!("doc")),
        ("text.normalize".to_owned(), json!(["nfkc"])),
    ];
    Fact::TrialProposed { trial: TrialId(trial), point: point.into_iter().collect() }
}

pub(super) fn started(text: &str) -> Fact {
    let run = run(text);
    let slot = run.fold.fold.max(0) as u32;
    let place = Place { device: format!("cuda:{slot}"), host: "box".into(), pid: 4000 + run.attempt };
    Fact::RunStarted { run, slot: SlotId(slot), place }
}

pub(super) fn measured(text: &str, epoch: u32, step: u64, macro_f1: f64) -> Fact {
    let values = BTreeMap::from([("macro_f1".to_owned(), macro_f1), ("loss".to_owned(), 0.5)]);
    Fact::Measured { run: run(text), measurement: Measurement { epoch, step, split: Split::Validation, values } }
}

/// What is measured on the holdout, once.
fn scores(text: &str, epoch: u32, macro_f1: f64) -> Fact {
    let values = BTreeMap::from([("macro_f1".to_owned(), macro_f1), ("score_se".to_owned(), 0.125)]);
    Fact::Measured { run: run(text), measurement: Measurement { epoch, step: 30, split: Split::Holdout, values } }
}

fn saved(text: &str, kind: CheckpointKind, epoch: u32) -> Fact {
    let checkpoint = Checkpoint {
        kind,
        path: format!("{}.safetensors", if kind == CheckpointKind::Best { "best" } else { "last" }),
        epoch,
        score: (kind == CheckpointKind::Best).then_some(0.8),
        bytes: Some(1024),
        sha256: Some("ab12".into()),
    };
    Fact::Saved { run: run(text), checkpoint }
}

fn predicted(text: &str, answers: &[(&str, &str, &str, f64)]) -> Fact {
    let predictions = answers.iter().map(|(document, label, predicted, confidence)| Prediction {
        document: (*document).to_owned(),
        label: (*label).to_owned(),
        predicted: (*predicted).to_owned(),
        confidence: *confidence,
        probabilities: vec![*confidence as f32, 1.0 - *confidence as f32],
    });
    Fact::Predicted { run: run(text), predictions: predictions.collect() }
}

fn finished(text: &str, score: f64) -> Fact {
    ended(text, RunEnd::Finished { score, best_epoch: 2, epochs: 3, peak_memory_mb: 512 })
}

pub(super) fn ended(text: &str, end: RunEnd) -> Fact {
    Fact::RunEnded { run: run(text), end }
}

fn trial_finished(trial: i32, score: f64, score_se: f64) -> Fact {
    trial_ended(trial, TrialEnd::Finished { score, score_se: Some(score_se) })
}

fn trial_ended(trial: i32, end: TrialEnd) -> Fact {
    Fact::TrialEnded { trial: TrialId(trial), end }
}

/// A picture of an answer.
pub(super) fn text(table: &Table) -> String {
    let mut lines = vec![table.columns.join(" | ")];
    for row in &table.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match cell {
                Cell::Null => "-".to_owned(),
                Cell::Integer(value) => value.to_string(),
                Cell::Real(value) => format!("{value:?}"),
                Cell::Text(value) => value.clone(),
                Cell::Blob(value) => format!("{value:?}"),
            })
            .collect();
        lines.push(cells.join(" | "));
    }
    lines.join("\n")
}
