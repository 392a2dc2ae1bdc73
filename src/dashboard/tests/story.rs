//! Five states that a database can be in, recorded as a coordinator records them.

use std::collections::BTreeMap;

use serde_json::json;
use tempfile::TempDir;

use crate::crossval::standard_error;
use crate::protocol::{Measurement, Prediction, Split};
use crate::search::space::Point;
use crate::spec::Direction;
use crate::store::{Millis, NewSweep, Reading, Store, SweepKey};
use crate::sweep::{Fact, FoldId, Order, Place, RunEnd, RunId, SlotId, SweepEnd, TrialEnd, TrialId, Who};

/// 2026-11-23T09:39:00Z
pub(super) const START: i64 = 1_795_426_740_000;

const FOLDS: u32 = 5;

const SPEC: &str = "\
    [trainer]\ncommand = [\"true\"]\n\
    [search]\nsampler = \"bayes\"\nobjective = \"macro_f1\"\ntrials = 8\n\
    [search.space]\n\
    \"train.learning_rate\" = { low = 1e-5, high = 2.56e-3, log = true }\n\
    \"model.aggregator.layers\" = { low = 0, high = 3 }\n\
    \"model.label_attention\" = [\"doc\", \"token\", \"none\"]\n\
    \"train.dropout\" = { low = 0.0, high = 0.4 }\n";

pub(super) struct Story {
    /// The files live as long as it.
    directory: TempDir,
    pub(super) store: Store,
    /// Seconds since the start of what is told.
    clock: i64,
}

impl Story {
    /// No sweep at all.
    pub(super) async fn empty() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let store = Store::open(&directory.path().join("experiments.db")).await.expect("opens");
        Self { directory, store, clock: 0 }
    }

    /// Three trials are finished, one is given up, one is in the middle of its folds.
    pub(super) async fn running() -> Self {
        let mut story = Self::empty().await;
        let sweep = story.sweep("contracts", 12).await;
        for trial in 0..3 {
            story.trial(sweep, trial).await;
        }
        story.propose(sweep, 3).await;
        story.run(sweep, 3, 0, 0.61).await;
        let why = "raced out at fold 1: 0.12 behind the best on the folds that it had".to_owned();
        story.tell(sweep, vec![Fact::TrialEnded { trial: TrialId(3), end: TrialEnd::Dropped { why } }]).await;
        story.propose(sweep, 4).await;
        story.run(sweep, 4, 0, score_of(4, 0)).await;
        story.start(sweep, 4, 1).await;
        story.measure(sweep, 4, 1, 3, score_of(4, 1)).await;
        story.start(sweep, 4, 2).await;
        story.sample(sweep).await;
        story
    }

    /// One trial failed, one died and was tried again; then the user stopped it.
    pub(super) async fn failed() -> Self {
        let mut story = Self::empty().await;
        let sweep = story.sweep("大文本", 6).await;
        story.trial(sweep, 0).await;
        story.propose(sweep, 1).await;
        story.start(sweep, 1, 0).await;
        story.measure(sweep, 1, 0, 2, f64::NAN).await;
        let why = "its loss is NaN in epoch 2".to_owned();
        let run = run(1, 0);
        story.tell(sweep, vec![Fact::RunEnded { run, end: RunEnd::Failed { why: why.clone() } }]).await;
        let why = format!("fold 0: {why}");
        story.tell(sweep, vec![Fact::TrialEnded { trial: TrialId(1), end: TrialEnd::Failed { why } }]).await;
        story.propose(sweep, 2).await;
        story.start(sweep, 2, 0).await;
        let crash = RunEnd::Crashed { why: "killed by signal 9: out of memory".to_owned() };
        let again = RunId { attempt: 2, ..self::run(2, 0) };
        let place = Place { device: "cuda:0".into(), host: "box".into(), pid: 4711 };
        let facts = vec![
            Fact::RunEnded { run: self::run(2, 0), end: crash },
            Fact::RunStarted { run: again, slot: SlotId(0), place },
            Fact::RunEnded { run: again, end: RunEnd::Interrupted { why: "stopped by the user".to_owned() } },
            Fact::SweepEnded { end: SweepEnd::Stopped { why: "stopped by the user".to_owned() } },
        ];
        story.tell(sweep, facts).await;
        story
    }

    /// Two sweeps that came to their end, one of them with a baseline.
    pub(super) async fn finished() -> Self {
        let mut story = Self::empty().await;
        let old = story.sweep("lr", 3).await;
        for trial in 0..3 {
            story.trial(old, trial).await;
        }
        story.tell(old, vec![Fact::SweepEnded { end: SweepEnd::Finished }]).await;
        let sweep = story.sweep("contracts", 8).await;
        story.baseline(sweep).await;
        for trial in 0..8 {
            story.trial(sweep, trial).await;
        }
        story.tell(sweep, vec![Fact::SweepEnded { end: SweepEnd::Finished }]).await;
        story
    }

    /// A thousand trials of five folds.
    pub(super) async fn huge() -> Self {
        let mut story = Self::empty().await;
        let sweep = story.sweep("large", 1000).await;
        for trial in 0..1000 {
            let mut facts = vec![proposed(trial)];
            for fold in 0..FOLDS {
                facts.push(started(trial, fold));
                facts.push(Fact::RunEnded { run: run(trial, fold), end: finished(score_of(trial, fold)) });
            }
            facts.push(trial_finished(trial));
            story.tell(sweep, facts).await;
        }
        story
    }

    /// A quarter of an hour of two devices, and what two runs take of them.
    async fn sample(&mut self, sweep: SweepKey) {
        let writer = self.store.writer(sweep);
        for look in 0..30 {
            let wave = (f64::from(look) / 5.0).sin();
            let reading = |device: &str, name, value| Reading { device: device.to_owned(), name, value, lasting: true };
            let seen = vec![
                reading("cpu", "utilisation", 0.5 + 0.4 * wave),
                reading("cpu", "memory_used_mb", 9_000.0 + 100.0 * f64::from(look)),
                reading("cpu", "memory_total_mb", 32_000.0),
                reading("cuda:0", "utilisation", 0.7 - 0.3 * wave),
                reading("cuda:0", "memory_used_mb", 20_000.0),
                reading("cuda:0", "memory_total_mb", 81_920.0),
                reading("cuda:0", "power_w", 312.0),
                reading("run 4/1", "cores", 1.4),
                reading("run 4/1", "memory_used_mb", 2_048.0),
            ];
            let at = Millis(self.now().0 - i64::from(29 - look) * 30_000);
            writer.sample(at, seen).await.expect("is queued");
        }
        // what comes after them in the queue waits for them
        self.tell(sweep, Vec::new()).await;
    }

    /// What somebody says of trials of the newest sweep.
    pub(super) async fn remark(&self, remarks: &[(i32, &str, &str)]) {
        let sweep = self.store.reader().latest().await.expect("there is one").key;
        let by = Who { user: "li".to_owned(), host: "box".to_owned(), pid: 7 };
        let facts = remarks.iter().map(|(trial, what, text)| {
            let (trial, text) = (TrialId(*trial), (*text).to_owned());
            let order = match *what {
                "exclude" => Order::Exclude { trial },
                "tag" => Order::Tag { trial, tag: text },
                _ => Order::Note { trial, text },
            };
            Fact::Ordered { order, by: by.clone() }
        });
        self.store.writer(sweep).record(self.now(), facts.collect()).await.expect("is recorded");
    }

    pub(super) fn now(&self) -> Millis {
        Millis(START + 1000 * self.clock)
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("experiments.db")
    }

    /// Two repeats of five folds: one trial has them all, another is in the middle of its first repeat.
    pub(super) async fn repeated() -> Self {
        let mut story = Self::empty().await;
        let sweep = story.sweep_of("repeated", 3, 2).await;
        for trial in 0..2 {
            story.propose(sweep, trial).await;
            for fold in 0..if trial == 0 { FOLDS } else { 2 } {
                story.run(sweep, trial, fold, score_of(trial, fold)).await;
            }
        }
        for fold in 0..FOLDS {
            let again = RunId { fold: FoldId { repeat: 1, fold: fold as i32 }, ..run(0, fold) };
            let place = Place { device: "cuda:0".into(), host: "box".into(), pid: 4000 };
            let began = Fact::RunStarted { run: again, slot: SlotId(0), place };
            let ended = Fact::RunEnded { run: again, end: finished(score_of(0, fold) + 0.01) };
            story.tell(sweep, vec![began, ended]).await;
        }
        story.tell(sweep, vec![trial_finished(0)]).await;
        story.start(sweep, 1, 2).await;
        story
    }

    /// Its coordinator is gone for an hour, then another one goes on with the newest sweep.
    pub(super) async fn resume(&mut self, running: &[RunId]) {
        let sweep = self.store.reader().latest().await.expect("there is one").key;
        self.clock += 3600;
        let mut facts = vec![Fact::SweepResumed];
        for run in running {
            let why = "lost: its coordinator ended".to_owned();
            facts.push(Fact::RunEnded { run: *run, end: RunEnd::Interrupted { why } });
        }
        self.tell(sweep, facts).await;
        for run in running {
            let place = Place { device: "cuda:0".into(), host: "box".into(), pid: 5000 };
            let again = RunId { attempt: run.attempt + 1, ..*run };
            self.tell(sweep, vec![Fact::RunStarted { run: again, slot: SlotId(0), place }]).await;
        }
    }

    async fn sweep(&mut self, name: &str, trials: u32) -> SweepKey {
        self.sweep_of(name, trials, 1).await
    }

    async fn sweep_of(&mut self, name: &str, trials: u32, repeats: u32) -> SweepKey {
        let mut overrides = vec!["folds.k=5".to_owned()];
        overrides.extend((repeats > 1).then(|| format!("folds.repeats={repeats}")));
        // the shorter one has folds of its own
        overrides.extend((name == "lr").then(|| "folds.seed=3".to_owned()));
        let new = NewSweep {
            name: name.to_owned(),
            spec: format!("name = \"{name}\"\n{SPEC}"),
            spec_path: format!("sweeps/{name}.toml").into(),
            overrides,
            project: "/home/li/裁判文书".into(),
            sampler: "bayes".to_owned(),
            objective: "macro_f1".to_owned(),
            direction: Direction::Maximize,
            trials: Some(trials),
            folds: FOLDS * repeats,
            documents: Some(30),
            data_sha256: None,
            classes: vec!["体育".to_owned(), "财经".to_owned(), "法律".to_owned()],
            encoders: BTreeMap::new(),
            host: "box".to_owned(),
        };
        let key = self.store.create_sweep(new, self.now()).await.expect("is created").key;
        self.tell(key, vec![Fact::SweepStarted]).await;
        key
    }

    async fn tell(&mut self, sweep: SweepKey, facts: Vec<Fact>) {
        self.store.writer(sweep).record(self.now(), facts).await.expect("is recorded");
    }

    async fn baseline(&mut self, sweep: SweepKey) {
        self.tell(sweep, vec![Fact::TrialProposed { trial: TrialId::BASELINE, point: Point::default() }]).await;
        for fold in 0..FOLDS {
            self.tell(sweep, vec![started(-1, fold)]).await;
            self.clock += 2;
            let end =
                RunEnd::Finished { score: 0.6 + 0.01 * f64::from(fold), best_epoch: 0, epochs: 0, peak_memory_mb: 90 };
            self.tell(sweep, vec![Fact::RunEnded { run: run(-1, fold), end }]).await;
        }
        let end = TrialEnd::Finished { score: 0.62, score_se: Some(0.012) };
        self.tell(sweep, vec![Fact::TrialEnded { trial: TrialId::BASELINE, end }]).await;
    }

    /// From its proposal to its score.
    async fn trial(&mut self, sweep: SweepKey, trial: i32) {
        self.propose(sweep, trial).await;
        for fold in 0..FOLDS {
            self.run(sweep, trial, fold, score_of(trial, fold)).await;
        }
        self.tell(sweep, vec![trial_finished(trial)]).await;
    }

    async fn propose(&mut self, sweep: SweepKey, trial: i32) {
        self.tell(sweep, vec![proposed(trial)]).await;
    }

    async fn start(&mut self, sweep: SweepKey, trial: i32, fold: u32) {
        self.tell(sweep, vec![started(trial, fold)]).await;
    }

    async fn run(&mut self, sweep: SweepKey, trial: i32, fold: u32, score: f64) {
        self.start(sweep, trial, fold).await;
        self.measure(sweep, trial, fold, 6, score).await;
        let run = run(trial, fold);
        let answers = predictions(trial, fold);
        self.tell(
            sweep,
            vec![Fact::Predicted { run, predictions: answers }, Fact::RunEnded { run, end: finished(score) }],
        )
        .await;
    }

    /// So many epochs, the score being reached in the last.
    pub(super) async fn measure(&mut self, sweep: SweepKey, trial: i32, fold: u32, epochs: u32, score: f64) {
        for epoch in 1..=epochs {
            let part = f64::from(epoch) / f64::from(epochs);
            let step = u64::from(epoch) * 40;
            let validation = [("macro_f1", score * part.sqrt()), ("loss", 1.2 - 0.9 * part + 0.02 * f64::from(fold))];
            let train = [("loss", 1.1 - part)];
            let of = |split, values: &[(&str, f64)]| Fact::Measured {
                run: run(trial, fold),
                measurement: Measurement {
                    epoch,
                    step,
                    split,
                    values: values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
                },
            };
            self.clock += 10;
            self.tell(sweep, vec![of(Split::Train, &train), of(Split::Validation, &validation)]).await;
        }
    }
}

pub(super) fn run(trial: i32, fold: u32) -> RunId {
    RunId { trial: TrialId(trial), fold: FoldId { repeat: 0, fold: fold as i32 }, attempt: 1 }
}

/// Trial 2 is the best, 5 close behind.
pub(super) fn score_of(trial: i32, fold: u32) -> f64 {
    let level = match trial % 7 {
        2 => 0.78,
        5 => 0.775,
        other => 0.6 + 0.02 * f64::from(other),
    };
    let of_trial = f64::from((trial * 37).rem_euclid(11)) / 1000.0;
    level + of_trial * 0.3 + 0.008 * f64::from(fold) + 0.004 * f64::from((trial + fold as i32 * 3).rem_euclid(4))
}

fn proposed(trial: i32) -> Fact {
    let attention = ["doc", "token", "none"][trial.rem_euclid(3) as usize];
    let rate = 1e-5 * 2f64.powi(trial.rem_euclid(9));
    let point = [
        ("train.learning_rate".to_owned(), json!(rate)),
        ("model.aggregator.layers".to_owned(), json!(trial.rem_euclid(4))),
        ("model.label_attention".to_owned(), json!(attention)),
        ("train.dropout".to_owned(), json!(f64::from(trial.rem_euclid(5)) / 10.0)),
    ];
    Fact::TrialProposed { trial: TrialId(trial), point: point.into_iter().collect() }
}

fn started(trial: i32, fold: u32) -> Fact {
    let place = Place { device: format!("cuda:{}", fold % 2), host: "box".into(), pid: 4000 + fold };
    Fact::RunStarted { run: run(trial, fold), slot: SlotId(fold % 2), place }
}

fn finished(score: f64) -> RunEnd {
    RunEnd::Finished { score, best_epoch: 6, epochs: 6, peak_memory_mb: 512 }
}

fn trial_finished(trial: i32) -> Fact {
    let scores: Vec<f64> = (0..FOLDS).map(|fold| score_of(trial, fold)).collect();
    let score = scores.iter().sum::<f64>() / f64::from(FOLDS);
    let score_se = standard_error(&scores, FOLDS);
    Fact::TrialEnded { trial: TrialId(trial), end: TrialEnd::Finished { score, score_se } }
}

/// Six documents a fold, of which the trial gets some wrong.
fn predictions(trial: i32, fold: u32) -> Vec<Prediction> {
    let classes = ["体育", "财经", "法律"];
    let answer = |number: u32| {
        let label = number as usize % 3;
        let is_wrong = (number as i32 + trial).rem_euclid(5) == 0;
        let predicted = if is_wrong { (label + 1) % 3 } else { label };
        let confidence = 0.5 + 0.07 * f64::from(number % 6);
        let other = (1.0 - confidence) / 2.0;
        let probabilities = (0..3).map(|class| if class == predicted { confidence } else { other } as f32).collect();
        Prediction {
            document: format!("判决书-{:03}", fold * 6 + number),
            label: classes[label].to_owned(),
            predicted: classes[predicted].to_owned(),
            confidence,
            probabilities,
        }
    };
    (0..6).map(answer).collect()
}
