//! Against scikit-learn's numbers, and the laws of the solver.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::logistic::{Settings, Weights};
use super::tfidf::{MAX_COLUMNS, Rows, Vocabulary};
use super::{BaselineError, fit};
use crate::protocol::{Device, Done, Job, Message, PROTOCOL, Task};
use crate::search::space::Point;
use crate::spec::{Config, Direction};
use crate::sweep::{FoldId, RunId, TrialId};
use crate::text::prepare;

/// Made by `tests/fixtures/baseline.py`.
#[derive(Deserialize)]
struct Fixture {
    c: f64,
    texts: Vec<String>,
    labels: Vec<u32>,
    train: Vec<usize>,
    held_out: Vec<usize>,
    columns: usize,
    train_rows: Vec<BTreeMap<String, f64>>,
    held_out_rows: Vec<BTreeMap<String, f64>>,
    train_logits: Vec<f64>,
    held_out_logits: Vec<f64>,
    balanced_held_out_logits: Vec<f64>,
}

impl Fixture {
    fn read() -> Self {
        let json = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/baseline.json"));
        serde_json::from_str(json).expect("the fixture has this shape")
    }

    fn texts(&self, documents: &[usize]) -> Vec<&str> {
        documents.iter().map(|document| self.texts[*document].as_str()).collect()
    }
}

#[test]
fn the_matrix_is_scikit_learns() {
    let fixture = Fixture::read();
    let vocabulary = Vocabulary::learn(fixture.texts(&fixture.train).into_iter(), MAX_COLUMNS);
    assert_eq!(vocabulary.len(), fixture.columns);
    for (documents, expected) in [(&fixture.train, &fixture.train_rows), (&fixture.held_out, &fixture.held_out_rows)] {
        let rows = vocabulary.rows(fixture.texts(documents).into_iter());
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in expected.iter().enumerate() {
            let ours: BTreeMap<usize, f32> = rows.row(row).collect();
            assert_eq!(ours.len(), expected.len());
            for (gram, theirs) in expected {
                let column = vocabulary.column(gram).unwrap_or_else(|| panic!("no column {gram:?}"));
                let ours = f64::from(ours[&column]);
                assert!((ours - theirs).abs() < 1e-6, "document {row}, {gram:?}: {ours}, scikit-learn's {theirs}");
            }
        }
    }
}

#[test]
fn the_decisions_are_scikit_learns() {
    let fixture = Fixture::read();
    let vocabulary = Vocabulary::learn(fixture.texts(&fixture.train).into_iter(), MAX_COLUMNS);
    let rows = vocabulary.rows(fixture.texts(&fixture.train).into_iter());
    let held_out = vocabulary.rows(fixture.texts(&fixture.held_out).into_iter());
    let positive: Vec<bool> = fixture.train.iter().map(|document| fixture.labels[*document] == 1).collect();
    let of = |balanced| {
        let settings = Settings { c: fixture.c, balanced, tolerance: 1e-9, passes: 10_000 };
        Weights::fit(&rows, vocabulary.len(), &positive, settings).weights
    };
    let (equal, balanced) = (of(false), of(true));
    let cases = [
        (&equal, &rows, &fixture.train_logits),
        (&equal, &held_out, &fixture.held_out_logits),
        (&balanced, &held_out, &fixture.balanced_held_out_logits),
    ];
    for (weights, rows, expected) in cases {
        for (row, theirs) in expected.iter().enumerate() {
            let ours = weights.logit(rows, row);
            assert!((ours - theirs).abs() < 1e-4, "document {row}: {ours}, scikit-learn's {theirs}");
        }
    }
}

/// A file of documents, and the job of a fold of it.
fn project(documents: &str, changes: &str) -> (tempfile::TempDir, Job) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.jsonl");
    std::fs::write(&path, documents).expect("is written");
    let spec = format!("data.path = {path:?}\n{changes}");
    let config = Config::parse(&spec).expect("a good file");
    let tokens = prepare(directory.path(), &directory.path().join("cache"), &config, None).expect("is prepared");
    let count = documents.lines().count() as u32;
    let task = Task {
        protocol: PROTOCOL,
        sweep: "x".into(),
        identity: "x 1".into(),
        run: RunId { trial: TrialId::BASELINE, fold: FoldId { repeat: 0, fold: 0 }, attempt: 1 },
        k: 3,
        seed: 17,
        params: Point::default(),
        objective: "macro_f1".into(),
        direction: Direction::Maximize,
        device: Device::Cpu,
        threads: 1,
        directory: directory.path().to_string_lossy().into_owned(),
        refit: None,
    };
    let job = Job {
        task,
        config,
        documents: tokens.to_string_lossy().into_owned(),
        train: (0..count).filter(|document| document % 3 > 0).collect(),
        validation: (0..count).filter(|document| document % 3 == 0).collect(),
    };
    (directory, job)
}

fn run(job: &Job) -> Result<(Done, Vec<Message>), BaselineError> {
    let mut said = Vec::new();
    let done = fit(job, &mut |message| {
        said.push(message);
        Ok(())
    })?;
    Ok((done, said))
}

const ROWS: &str = r#"{"text":"红 火 热","label":"a"}
{"text":"火 红","label":"a"}
{"text":"水 冷 蓝","label":"b"}
{"text":"冷 水 蓝","label":"b"}
{"text":"热 火","label":"a"}
{"text":"蓝 冷","label":"b"}"#;

#[test]
fn a_run_says_what_a_trial_says() {
    let (_directory, job) = project(ROWS, "");
    let (done, said) = run(&job).expect("it runs");
    assert_eq!((done.score, done.best_epoch, done.epochs), (1.0, 1, 1));
    let Some(Message::Predictions { predictions }) = said.last() else { panic!("{said:?}") };
    let answers: Vec<_> =
        predictions.iter().map(|p| (p.document.as_str(), p.label.as_str(), p.predicted.as_str())).collect();
    assert_eq!(answers, [("1", "a", "a"), ("4", "b", "b")]);
    let sums = predictions.iter().map(|p| p.probabilities.iter().sum::<f32>());
    assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{predictions:?}");
    let metrics = said.iter().filter(|message| matches!(message, Message::Metric(_))).count();
    assert_eq!(metrics, 2, "of train and validation");
}

/// Whatever stands only in the validation documents, the model does not change.
#[test]
fn nothing_is_learned_from_what_is_held_out() {
    let probabilities = |held_out: &str| {
        let (_directory, job) = project(&ROWS.replace("水 蓝\",\"label", held_out), "");
        let (_, said) = run(&job).expect("it runs");
        let Some(Message::Predictions { predictions }) = said.last() else { panic!("{said:?}") };
        predictions[0].probabilities.clone()
    };
    let first = probabilities("水 蓝\",\"label");
    assert_eq!(first, probabilities("水 蓝 火 火 火 新 词\",\"label"));
}

#[test]
fn a_label_may_be_all_or_nothing_in_training() {
    let rows = ["[\"a\",\"c\"]", "[\"a\"]", "[\"a\",\"b\"]", "[]", "[\"a\"]", "[\"a\",\"b\"]"];
    let texts = ["红", "火", "水", "冷", "热", "蓝"];
    let row = |(text, labels): (&str, &str)| format!("{{\"text\":\"{text}\",\"labels\":{labels}}}\n");
    let documents: String = texts.into_iter().zip(rows).map(row).collect();
    let (_directory, job) = project(&documents, "data.labels = \"labels\"");
    let (_, said) = run(&job).expect("it runs");
    let Some(Message::Predictions { predictions }) = said.last() else { panic!("{said:?}") };
    let [a, _, c] = predictions[0].probabilities[..] else { panic!("three labels") };
    assert!(a > 0.9 && c < 0.1, "a is in every training document, c in none: {a}, {c}");
}

#[test]
fn documents_that_changed_are_refused() {
    let (directory, job) = project(ROWS, "");
    std::fs::write(directory.path().join("a.jsonl"), ROWS.replace('热', "冰")).expect("is written");
    let error = run(&job).expect_err("changed").to_string();
    let error = error.replace(&*directory.path().to_string_lossy(), "DIR");
    insta::assert_snapshot!(error, @"DIR/a.jsonl changed since this sweep began: put the old file back, then `sweep resume --retry-failed`");
    std::fs::remove_file(directory.path().join("a.jsonl")).expect("is removed");
    assert!(run(&job).expect_err("gone").to_string().contains("cannot read"));
}

#[test]
fn a_score_that_is_no_number_is_an_error() {
    let (_directory, job) = project(ROWS, "");
    let task = Task { objective: "roc_auc".into(), ..job.task };
    let job = Job { task, validation: vec![0], ..job };
    let error = run(&job).expect_err("one class").to_string();
    assert!(error.starts_with("roc_auc is undefined"), "{error}");
}

#[test]
fn only_the_most_frequent_n_grams_are_kept() {
    let texts = ["a b c", "a b d", "a d c"];
    let kept = |most: usize| {
        let vocabulary = Vocabulary::learn(texts.into_iter(), most);
        ["a", "b", "c", "d", "a b"].into_iter().filter(|gram| vocabulary.column(gram).is_some()).collect::<String>()
    };
    assert_eq!([kept(1), kept(3), kept(9)], ["a", "abc", "abcda b"], "of equals those seen first");
}

#[test]
fn texts_without_a_known_n_gram_are_empty_rows() {
    let vocabulary = Vocabulary::learn(["只有 这里", "别的 那里"].into_iter(), MAX_COLUMNS);
    assert_eq!(vocabulary.len(), 1, "里 alone is in both");
    let rows = vocabulary.rows(["里", "完全不同", ""].into_iter());
    assert_eq!(
        (0..3).map(|row| rows.row(row).collect::<Vec<_>>()).collect::<Vec<_>>(),
        [vec![(0, 1.0)], vec![], vec![]]
    );
    let settings = Settings { c: 1.0, balanced: false, tolerance: 1e-9, passes: 1000 };
    let bias_only =
        Weights::fit(&vocabulary.rows(["x", "y", "z"].into_iter()), 1, &[true, true, false], settings).weights;
    let logit = bias_only.logit(&rows, 1);
    assert!(logit > 0.0 && logit < 2f64.ln(), "the prior, drawn towards 0: {logit}");
}

/// Documents of a few words each.
fn corpus() -> impl Strategy<Value = Vec<(String, bool)>> {
    let word = prop::sample::select(vec!["甲", "乙", "丙", "丁", "red", "blue"]);
    let text = prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "));
    prop::collection::vec((text, any::<bool>()), 1..30)
}

/// To the minimum itself.
fn settings(c: f64) -> Settings {
    Settings { c, balanced: false, tolerance: 1e-8, passes: 100_000 }
}

/// What is minimised.
fn objective(weights: &Weights, norm: f64, rows: &Rows, positive: &[bool], c: f64) -> f64 {
    let loss = |row: usize| {
        let margin = if positive[row] { weights.logit(rows, row) } else { -weights.logit(rows, row) };
        (-margin).exp().ln_1p()
    };
    0.5 * norm + c * (0..rows.len()).map(loss).sum::<f64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// At the minimum the gradient is zero: w = c Σ σ(-y wx) y x.
    #[test]
    fn the_gradient_vanishes(documents in corpus(), c in prop::sample::select(vec![0.1, 1.0, 30.0, 1000.0])) {
        let texts = || documents.iter().map(|(text, _)| text.as_str());
        let positive: Vec<bool> = documents.iter().map(|(_, positive)| *positive).collect();
        let vocabulary = Vocabulary::learn(texts(), MAX_COLUMNS);
        let rows = vocabulary.rows(texts());
        let weights = Weights::fit(&rows, vocabulary.len(), &positive, settings(c)).weights;
        let (columns, bias) = weights.parts();
        let mut gradient: Vec<f64> = columns.to_vec();
        let mut of_bias = bias;
        for (row, positive) in positive.iter().enumerate() {
            let y = if *positive { 1.0 } else { -1.0 };
            let pull = c * y / (1.0 + (y * weights.logit(&rows, row)).exp());
            of_bias -= pull;
            for (column, value) in rows.row(row) {
                gradient[column] -= pull * f64::from(value);
            }
        }
        let most = gradient.iter().copied().chain([of_bias]).fold(0.0, |most: f64, g| most.max(g.abs()));
        prop_assert!(most < 1e-5 * (1.0 + c), "a gradient of {}", most);
        let norm = columns.iter().map(|w| w * w).sum::<f64>() + bias * bias;
        let nothing = c * 2f64.ln() * rows.len() as f64;
        prop_assert!(objective(&weights, norm, &rows, &positive, c) <= nothing + 1e-9);
    }
}
