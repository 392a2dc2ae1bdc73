//! The training loop of one run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::accounting::{self, Accounts};
use super::checkpoint::{self, CheckpointError};
use super::evaluate::{Evaluation, evaluate};
use super::examples::Examples;
use super::scaler::Scaler;
use super::trainer::{Limits, Piece, Step, Trainer};
use super::vectors::{self, Vectors, VectorsError};
use super::{batches, memory, schedule};
use crate::model::{Classifier, Precision, PretrainedError, Sizes, read_sizes, read_weights};
use crate::protocol::{Checkpoint, CheckpointKind, Done, Job, Measurement, Message, Progress, Split};
use crate::spec::{self, Encoder, LabelEmbeddings, Train};
use crate::text::{Corpus, CorpusError, hex};

#[derive(Debug, Error)]
pub enum FitError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
    #[error("the loss or its gradient is not finite at step {step} (epoch {epoch}): try a smaller train.learning_rate")]
    Diverged { step: u64, epoch: usize },
    #[error("train.precision: \"f16\" is for cards; on the CPU use \"f32\" or \"bf16\"")]
    F16OnCpu,
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    #[error("{objective} is undefined after every epoch: {hint}")]
    NoScore { objective: String, hint: &'static str },
    #[error("cannot say how it goes: {0}")]
    Report(std::io::Error),
}

/// What a run is trained with.
pub struct Fit<'a> {
    pub job: &'a Job,
    pub device: &'a Device,
    /// Told of everything that happens.
    pub report: &'a mut dyn FnMut(Message) -> std::io::Result<()>,
}

/// Where a run stands; with weights and moments, all that it needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    /// What the run is about: a checkpoint of another configuration is none.
    fingerprint: String,
    /// Most tokens at once: the bits of a gradient depend on it, wherever the run goes on.
    tokens: usize,
    /// Epochs that are over.
    epoch: usize,
    /// Optimiser steps.
    step: u64,
    /// Of the epoch that is not over.
    within: Within,
    scaler: Option<Scaler>,
    best: Option<Best>,
    /// Epochs since the best.
    waited: usize,
    finished: bool,
}

/// What an epoch has come to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Within {
    batches: usize,
    /// Times documents.
    losses: f64,
    /// Of these losses.
    documents: usize,
    largest_norm: f64,
}

impl Within {
    /// Takes note of a step over so many documents.
    fn add(&mut self, step: &Step, documents: usize) {
        self.batches += 1;
        // one that overflowed may have no loss, and a checkpoint can hold none that is not finite
        if step.loss.is_finite() {
            self.losses += step.loss * documents as f64;
            self.documents += documents;
        }
        if !step.skipped {
            self.largest_norm = self.largest_norm.max(step.gradient_norm);
        }
    }

    fn mean_loss(&self) -> f64 {
        self.losses / self.documents as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    score: f64,
    epoch: usize,
}

impl Best {
    fn file(self) -> String {
        format!("best-{}.safetensors", self.epoch)
    }
}

/// The newest checkpoint to go on from, and the one before it, should the newest be damaged.
const LAST: [&str; 2] = ["last.safetensors", "last.previous.safetensors"];

/// Trains a run to its end, from its last checkpoint if there is one. The predictions of the validation documents, the
/// score and the best checkpoint are those of the best epoch.
pub fn fit(fit: Fit<'_>) -> Result<Done, FitError> {
    let Fit { job, device, report } = fit;
    let corpus = Corpus::open(Path::new(&job.documents))?;
    let mut run = Run::new(job, &corpus, device, report)?;
    run.resume();
    run.encode_still(device)?;
    while !run.state.finished {
        run.epoch()?;
    }
    run.finish()
}

struct Run<'r, 'a> {
    examples: Examples<'a>,
    trainer: Trainer,
    accounts: Accounts,
    state: State,
    /// The evaluation of the best epoch, if this process made it.
    evaluation: Option<Evaluation>,
    directory: PathBuf,
    saved: Instant,
    /// What the newest checkpoint holds.
    written: Option<State>,
    report: &'r mut dyn FnMut(Message) -> std::io::Result<()>,
}

impl<'r, 'a> Run<'r, 'a> {
    fn new(
        job: &'a Job,
        corpus: &'a Corpus,
        device: &Device,
        report: &'r mut dyn FnMut(Message) -> std::io::Result<()>,
    ) -> Result<Self, FitError> {
        let train = &job.config.train;
        let (sizes, given) = encoder(job, corpus)?;
        let classes = corpus.classes().len();
        let model = Classifier::new(&sizes, &job.config.model, classes, train.freeze, given, train.seed, device)?;
        if job.config.model.label_embeddings == LabelEmbeddings::Names {
            let names: Vec<Vec<u32>> = (0..classes).map(|class| corpus.class_tokens(class).to_vec()).collect();
            model.name_labels(&names, corpus.special())?;
        }
        let precision = precision(train, device)?;
        let trained_layers = sizes.num_hidden_layers.saturating_sub(train.freeze.layers);
        let tokens = memory::tokens(train, &sizes, trained_layers, device);
        let mut counts = vec![0; classes];
        for label in job.train.iter().flat_map(|document| corpus.labels(*document as usize)) {
            counts[*label as usize] += 1;
        }
        let trainer = Trainer::new(model, train, &counts, job.train.len(), Limits { tokens, precision })?;
        let cache = Path::new(&job.documents).parent().unwrap_or(Path::new("."));
        let peak = accounting::peak(device, precision, job.task.threads, cache);
        let state = State {
            fingerprint: fingerprint(job),
            tokens,
            epoch: 0,
            step: 0,
            within: Within::default(),
            scaler: trainer.scaler,
            best: None,
            waited: 0,
            finished: false,
        };
        Ok(Self {
            examples: Examples { job, corpus, vectors: None },
            trainer,
            accounts: Accounts::new(sizes, trained_layers, peak),
            state,
            evaluation: None,
            directory: PathBuf::from(&job.task.directory),
            saved: Instant::now(),
            written: None,
            report,
        })
    }

    /// Goes on from the last checkpoint that can be used; without one, the run begins anew.
    fn resume(&mut self) {
        for path in LAST.map(|name| self.directory.join(name)) {
            let (tensors, state) = match checkpoint::load::<State>(&path) {
                Ok(None) => continue,
                Ok(Some((_, state))) if state.fingerprint != self.state.fingerprint => {
                    tracing::warn!("{} is of another configuration: not used", path.display());
                    continue;
                }
                Ok(Some(loaded)) => loaded,
                Err(error) => {
                    tracing::warn!("{error}: not used");
                    continue;
                }
            };
            if !self.has_best(&state) {
                tracing::warn!("{}: its best checkpoint is missing or damaged: not used", path.display());
                continue;
            }
            match self.trainer.set(&tensors, state.step) {
                Ok(()) => {
                    let Within { batches, .. } = state.within;
                    tracing::info!(
                        "resumed in epoch {} after {batches} batches (step {})",
                        state.epoch + 1,
                        state.step
                    );
                    self.trainer.resume(state.tokens, state.scaler);
                    // the one before takes the place of a newest that cannot be used; that may stay where it is, too
                    let _ = fs::rename(&path, self.directory.join(LAST[0]));
                    self.written = Some(state.clone());
                    self.state = state;
                    return;
                }
                Err(error) => tracing::warn!("{} does not fit: {error}: not used", path.display()),
            }
        }
    }

    /// Whether the best checkpoint that a state speaks of is there.
    fn has_best(&self, state: &State) -> bool {
        let Some(best) = state.best else { return true };
        let found = checkpoint::load::<State>(&self.directory.join(best.file())).ok().flatten();
        found.is_some_and(|(_, found)| found.fingerprint == state.fingerprint && found.best == state.best)
    }

    /// Segment vectors of an encoder that does not change are computed once, for all runs.
    fn encode_still(&mut self, device: &Device) -> Result<(), FitError> {
        if !self.trainer.model().has_frozen_encoder() {
            return Ok(());
        }
        let (job, trainer, examples, report) = (self.examples.job, &self.trainer, &self.examples, &mut self.report);
        let folder = vectors::folder(job, trainer.model(), trainer.limits().precision)?;
        let documents = examples.corpus.documents();
        let mut unsaid = None;
        let mut encode = |document: u32| {
            let said = report(Message::Progress(Progress {
                epoch: 0,
                epochs: job.config.train.epochs as u32,
                step: u64::from(document) + 1,
                steps: documents as u64,
                loss: f64::NAN,
            }));
            unsaid = said.err().or(unsaid.take());
            trainer.encode(&examples.batch(document))
        };
        let vectors = Vectors::open(&folder, documents, device, &mut encode)?;
        self.examples.vectors = Some(vectors);
        unsaid.map_or(Ok(()), |error| Err(FitError::Report(error)))
    }

    fn epoch(&mut self) -> Result<(), FitError> {
        let job = self.examples.job;
        let train = &job.config.train;
        let batches = batches::epoch(&job.train, train.batch_size, train.seed, self.state.epoch);
        // a model that is trained again goes the way of its folds, as far as they went
        let scheduled = (batches.len() * train.epochs) as u64;
        let total = (batches.len() * self.epochs()) as u64;
        for (index, batch) in batches.iter().enumerate().skip(self.state.within.batches) {
            // counted by batches: a step that was skipped must not shift the random numbers
            let noise = noise(train.seed, (self.state.epoch * batches.len() + index) as u64);
            let start = Instant::now();
            let pieces: Vec<Piece> =
                self.examples.pieces(batch, self.state.tokens, Some(noise)).collect::<candle_core::Result<_>>()?;
            let waited = start.elapsed();
            let factor = schedule::factor(train, self.state.step, scheduled);
            let step = self.trainer.step(&pieces, factor, Some(noise))?;
            self.accounts.add(&pieces, start.elapsed(), waited);
            self.follow(step, batch.len())?;
            self.say(Message::Progress(Progress {
                epoch: self.state.epoch as u32 + 1,
                epochs: self.epochs() as u32,
                step: (self.state.epoch * batches.len() + index) as u64 + 1,
                steps: total,
                loss: step.loss,
            }))?;
            let is_due = self.saved.elapsed().as_secs() >= train.checkpoint_seconds as u64;
            if is_due && index + 1 < batches.len() {
                self.save_last()?;
            }
        }
        self.end_epoch()
    }

    /// Takes note of a step over so many documents.
    fn follow(&mut self, step: Step, documents: usize) -> Result<(), FitError> {
        if !step.skipped {
            if !step.loss.is_finite() || !step.gradient_norm.is_finite() {
                let (step, epoch) = (self.state.step + 1, self.state.epoch + 1);
                return Err(FitError::Diverged { step, epoch });
            }
            self.state.step += 1;
        }
        self.state.within.add(&step, documents);
        self.state.scaler = self.trainer.scaler;
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<(), FitError> {
        let within = std::mem::take(&mut self.state.within);
        self.state.epoch += 1;
        let mut values = BTreeMap::from([("loss".to_owned(), within.mean_loss())]);
        values.insert("gradient_norm_max".to_owned(), within.largest_norm);
        if let Some(scaler) = self.state.scaler {
            values.insert("loss_scale".to_owned(), scaler.scale);
        }
        self.measure(Split::Train, values)?;
        let figures = self.accounts.take();
        self.measure(Split::Machine, figures)?;
        let examples = &self.examples;
        if examples.job.task.refit.is_some() && self.state.epoch < self.epochs() {
            // nothing may be chosen by the holdout: it is looked at once
            return self.save_last();
        }
        let evaluation = self.trainer.scored(|trainer| evaluate(examples, trainer))??;
        self.measure_scores(&evaluation)?;
        self.judge(evaluation)?;
        self.save_last()
    }

    /// How long it may take.
    fn epochs(&self) -> usize {
        let job = self.examples.job;
        job.task.refit.map_or(job.config.train.epochs, |epochs| epochs as usize)
    }

    /// Is it the best so far, and is it time to end?
    fn judge(&mut self, evaluation: Evaluation) -> Result<(), FitError> {
        let job = self.examples.job;
        let score = evaluation.report.values.get(&job.task.objective).copied().unwrap_or(f64::NAN);
        let patience = job.config.train.early_stopping;
        let min_delta = patience.map_or(0.0, |stopping| stopping.min_delta);
        let gain = |best: Best| job.task.direction.gain(score) - job.task.direction.gain(best.score);
        let best = self.state.best;
        if !score.is_nan() && best.is_none_or(|best| gain(best) > 0.0) {
            let best = Best { score, epoch: self.state.epoch };
            self.state.best = Some(best);
            self.evaluation = Some(evaluation);
            let tensors = self.trainer.scored(|trainer| trainer.model().params().copies())??;
            self.save(CheckpointKind::Best, &best.file(), &tensors)?;
        }
        let improved = !score.is_nan() && best.is_none_or(|best| gain(best) > min_delta);
        self.state.waited = if improved { 0 } else { self.state.waited + 1 };
        let out_of_patience = patience.is_some_and(|stopping| self.state.waited >= stopping.patience);
        self.state.finished = out_of_patience || self.state.epoch >= self.epochs();
        Ok(())
    }

    /// Writes the checkpoint to go on from; the one before it stays until the next.
    fn save_last(&mut self) -> Result<(), FitError> {
        let [last, previous] = LAST.map(|name| self.directory.join(name));
        if self.written.is_some() {
            // a second name: the newest is there at any moment. Where that cannot be, the newest has none before it
            let _ = fs::remove_file(&previous);
            let _ = fs::hard_link(&last, &previous);
        }
        let tensors = self.trainer.tensors()?;
        self.save(CheckpointKind::Last, LAST[0], &tensors)?;
        self.saved = Instant::now();
        let before = self.written.replace(self.state.clone());
        let kept = [Some(&self.state), before.as_ref()].into_iter().flatten();
        let needed: Vec<String> = kept.filter_map(|state| state.best.map(Best::file)).collect();
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("best-") && !needed.contains(&name) {
                // a file too many does no harm
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn save(&mut self, kind: CheckpointKind, name: &str, tensors: &HashMap<String, Tensor>) -> Result<(), FitError> {
        let written = checkpoint::save(&self.directory.join(name), tensors, &self.state)?;
        self.say(Message::Checkpoint(Checkpoint {
            kind,
            path: name.to_owned(),
            epoch: self.state.epoch as u32,
            score: self.state.best.map(|best| best.score),
            bytes: Some(written.bytes),
            sha256: Some(written.sha256),
        }))
    }

    fn finish(mut self) -> Result<Done, FitError> {
        let job = self.examples.job;
        let Some(best) = self.state.best else {
            let hint = "a class is missing from the validation documents; choose another search.objective";
            return Err(FitError::NoScore { objective: job.task.objective.clone(), hint });
        };
        let evaluation = if let Some(evaluation) = self.evaluation.take() {
            evaluation
        } else {
            let best = self.directory.join(best.file());
            self.trainer.model().params().set(&checkpoint::load_weights(&best)?)?;
            let evaluation = evaluate(&self.examples, &self.trainer)?;
            if job.task.refit.is_some() {
                // there is no other epoch to tell of: what was said before may have been lost
                self.measure_scores(&evaluation)?;
            }
            evaluation
        };
        for chunk in evaluation.predictions(job, self.examples.corpus).chunks(PREDICTIONS) {
            self.say(Message::Predictions { predictions: chunk.to_vec() })?;
        }
        Ok(Done {
            score: best.score,
            best_epoch: best.epoch as u32,
            epochs: self.state.epoch as u32,
            peak_memory_mb: 0,
        })
    }

    fn measure_scores(&mut self, evaluation: &Evaluation) -> Result<(), FitError> {
        let Examples { job, corpus, .. } = &self.examples;
        let (split, values) = evaluation.scored(job, corpus);
        self.measure(split, values)
    }

    fn measure(&mut self, split: Split, values: BTreeMap<String, f64>) -> Result<(), FitError> {
        let (epoch, step) = (self.state.epoch as u32, self.state.step);
        self.say(Message::Metric(Measurement { epoch, step, split, values }))
    }

    fn say(&mut self, message: Message) -> Result<(), FitError> {
        (self.report)(message).map_err(FitError::Report)
    }
}

/// The encoder's sizes, and its weights if it brings any.
fn encoder(job: &Job, corpus: &Corpus) -> Result<(Sizes, HashMap<String, Tensor>), FitError> {
    let model = &job.config.model;
    Ok(match &model.encoder {
        Encoder::Scratch(scratch) => {
            let sizes = Sizes {
                vocab_size: corpus.vocabulary(),
                hidden_size: scratch.hidden,
                num_hidden_layers: scratch.layers,
                num_attention_heads: scratch.heads,
                intermediate_size: scratch.intermediate,
                max_position_embeddings: model.segment_len,
                type_vocab_size: 1,
                layer_norm_eps: 1e-12,
            };
            (sizes, HashMap::new())
        }
        // the coordinator has found it: the name is a directory of this machine
        Encoder::Pretrained(at) => (read_sizes(Path::new(&at.name))?, read_weights(Path::new(&at.name))?),
    })
}

/// What the products of a run are computed in.
fn precision(train: &Train, device: &Device) -> Result<Precision, FitError> {
    let on_cpu = matches!(device, Device::Cpu);
    match train.precision {
        spec::Precision::F16 if on_cpu => Err(FitError::F16OnCpu),
        spec::Precision::F16 => Ok(Precision::F16),
        // on the CPU products of bf16 are no faster than those of f32 (docs/performance.md)
        spec::Precision::Auto if !on_cpu => Ok(Precision::Bf16),
        spec::Precision::Bf16 => Ok(Precision::Bf16),
        spec::Precision::F32 | spec::Precision::Auto => Ok(Precision::F32),
    }
}

/// Predictions in one message.
const PREDICTIONS: usize = 500;

/// The seed of a step's dropout masks.
fn noise(seed: u64, step: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ step.wrapping_add(1).wrapping_mul(0xd1b5_4a32_d192_ed03)
}

/// A hash of everything that the weights depend on.
fn fingerprint(job: &Job) -> String {
    let mut hasher = Sha256::new();
    // the name of the file of tokens is a hash of what it holds; its directory may be written in many ways
    let documents = Path::new(&job.documents).file_name().map(|name| name.to_string_lossy().into_owned());
    let task = &job.task;
    let about = (&task.identity, env!("CARGO_PKG_VERSION"), &job.config, &task.objective, task.direction, task.refit);
    let parts = (about, &job.train, &job.validation, documents);
    hasher.update(serde_json::to_vec(&parts).unwrap_or_default());
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_a_loss_leaves_the_mean_and_the_checkpoint_good() {
        let mut within = Within::default();
        within.add(&Step { loss: 2.0, gradient_norm: 3.0, skipped: false }, 4);
        within.add(&Step { loss: f64::INFINITY, gradient_norm: f64::NAN, skipped: true }, 4);
        within.add(&Step { loss: 1.0, gradient_norm: 1.0, skipped: false }, 2);
        assert_eq!((within.batches, within.largest_norm), (3, 3.0));
        assert!((within.mean_loss() - 10.0 / 6.0).abs() < 1e-12);
        let text = serde_json::to_string(&within).expect("json");
        assert_eq!(serde_json::from_str::<Within>(&text).expect("json"), within);
    }
}
