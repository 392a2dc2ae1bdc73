//! The training loop of one run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::batches;
use super::checkpoint::{self, CheckpointError};
use super::evaluate::{Evaluation, evaluate};
use super::loss::{loss_sum, normaliser};
use super::optimiser::Optimiser;
use super::schedule;
use crate::model::{Batch, Classifier, Document, Pass, PretrainedError, Sizes, read_sizes, read_weights};
use crate::protocol::{Checkpoint, CheckpointKind, Done, Job, Measurement, Message, Progress, Split};
use crate::spec::Encoder;
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
    #[error("the loss is {loss} at step {step} (epoch {epoch}): try a smaller train.learning_rate")]
    Diverged { loss: f64, step: u64, epoch: usize },
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

/// The documents and the model.
pub(super) struct Material<'a> {
    pub(super) job: &'a Job,
    pub(super) corpus: &'a Corpus,
    model: Classifier,
    layers: usize,
    /// Segment vectors by document, of an encoder that does not change.
    still: HashMap<u32, Tensor>,
}

/// Where a run stands; with weights and moments, all that it needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    /// What the run is about: a checkpoint of another configuration is none.
    fingerprint: String,
    /// Epochs that are over.
    epoch: usize,
    step: u64,
    best: Option<Best>,
    /// Epochs since the best.
    waited: usize,
    finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Best {
    score: f64,
    epoch: usize,
}

const BEST: &str = "best.safetensors";
const PREVIOUS: &str = "best.previous.safetensors";
const LAST: &str = "last.safetensors";

/// Trains a run to its end, from its last checkpoint if there is one. The predictions of the validation documents, the
/// score and the best checkpoint are those of the best epoch.
pub fn fit(fit: Fit<'_>) -> Result<Done, FitError> {
    let Fit { job, device, report } = fit;
    let corpus = Corpus::open(Path::new(&job.documents))?;
    let mut material = Material::new(job, &corpus, device)?;
    let mut run = Run::new(&mut material, report)?;
    run.encode_still()?;
    while !run.state.finished {
        run.epoch()?;
    }
    run.finish()
}

impl<'a> Material<'a> {
    fn new(job: &'a Job, corpus: &'a Corpus, device: &Device) -> Result<Self, FitError> {
        let model = &job.config.model;
        let (sizes, given) = match &model.encoder {
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
            Encoder::Folder(folder) => {
                let sizes = read_sizes(Path::new(folder))?;
                let weights = read_weights(Path::new(folder), &sizes)?;
                (sizes, weights)
            }
        };
        let train = &job.config.train;
        let classes = corpus.classes().len();
        let model = Classifier::new(&sizes, model, classes, train.freeze, given, train.seed, device)?;
        Ok(Self { job, corpus, model, layers: sizes.num_hidden_layers, still: HashMap::new() })
    }

    fn batch(&self, documents: &[u32]) -> Batch {
        let documents = documents.iter().map(|number| Document {
            number: *number,
            tokens: self.corpus.tokens(*number as usize),
            windows: self.corpus.windows(*number as usize, &self.job.config.model),
        });
        Batch::new(documents, self.corpus.special())
    }

    /// Logits of documents, [documents, classes].
    pub(super) fn logits(&self, documents: &[u32], pass: &Pass) -> candle_core::Result<Tensor> {
        let batch = self.batch(documents);
        let known: Option<Vec<&Tensor>> = documents.iter().map(|document| self.still.get(document)).collect();
        match known {
            Some(known) if !known.is_empty() => self.model.classify(&Tensor::cat(&known, 0)?, &batch.documents, pass),
            _ => self.model.forward(&batch, pass),
        }
    }
}

struct Run<'r, 'a> {
    material: &'r mut Material<'a>,
    optimiser: Optimiser,
    state: State,
    /// The evaluation of the best epoch, if this process made it.
    evaluation: Option<Evaluation>,
    directory: PathBuf,
    report: &'r mut dyn FnMut(Message) -> std::io::Result<()>,
}

impl<'r, 'a> Run<'r, 'a> {
    fn new(
        material: &'r mut Material<'a>,
        report: &'r mut dyn FnMut(Message) -> std::io::Result<()>,
    ) -> Result<Self, FitError> {
        let job = material.job;
        let optimiser = Optimiser::new(material.model.params(), &job.config.train, material.layers)?;
        let state = State { fingerprint: fingerprint(job), epoch: 0, step: 0, best: None, waited: 0, finished: false };
        let directory = PathBuf::from(&job.directory);
        let mut run = Self { material, optimiser, state, evaluation: None, directory, report };
        run.resume();
        Ok(run)
    }

    /// Goes on from the last checkpoint; one that cannot be used is left alone, and the run begins anew.
    fn resume(&mut self) {
        let path = self.directory.join(LAST);
        let loaded = match checkpoint::load::<State>(&path) {
            Ok(None) => return,
            Ok(Some((_, state))) if state.fingerprint != self.state.fingerprint => {
                tracing::warn!("{} is of another configuration: beginning anew", path.display());
                return;
            }
            Ok(Some(loaded)) => loaded,
            Err(error) => {
                tracing::warn!("{error}: beginning anew");
                return;
            }
        };
        let (tensors, state) = loaded;
        if state.best.is_some() && !self.restore_best(&state) {
            tracing::warn!("the best checkpoint is missing, damaged or another: beginning anew");
            return;
        }
        let params = self.material.model.params();
        // moments first: weights that were set could not be taken back
        let set = self.optimiser.set(params, &tensors, state.step).and_then(|()| params.set(&tensors));
        match set {
            Ok(()) => {
                tracing::info!("resumed after epoch {} (step {})", state.epoch, state.step);
                self.state = state;
            }
            Err(error) => tracing::warn!("{} does not fit: {error}; beginning anew", path.display()),
        }
    }

    /// Whether the best checkpoint that this state speaks of is there; one that a newer best had moved aside comes back.
    fn restore_best(&self, state: &State) -> bool {
        let is_meant = |path: &Path| {
            let found = checkpoint::load::<State>(path).ok().flatten();
            found.is_some_and(|(_, found)| found.fingerprint == state.fingerprint && found.best == state.best)
        };
        let (best, previous) = (self.directory.join(BEST), self.directory.join(PREVIOUS));
        is_meant(&best) || (is_meant(&previous) && fs::rename(&previous, &best).is_ok())
    }

    /// Segment vectors of an encoder that does not change are computed once.
    fn encode_still(&mut self) -> Result<(), FitError> {
        if !self.material.model.has_frozen_encoder() {
            return Ok(());
        }
        let job = self.material.job;
        let documents: Vec<u32> = job.train.iter().chain(&job.validation).copied().collect();
        for (index, document) in documents.iter().enumerate() {
            let batch = self.material.batch(&[*document]);
            let vectors = self.material.model.encode(&batch, &Pass::inference())?;
            self.material.still.insert(*document, vectors);
            self.say(Message::Progress(Progress {
                epoch: 0,
                epochs: job.config.train.epochs as u32,
                step: index as u64 + 1,
                steps: documents.len() as u64,
                loss: f64::NAN,
            }))?;
        }
        Ok(())
    }

    fn epoch(&mut self) -> Result<(), FitError> {
        let job = self.material.job;
        let train = &job.config.train;
        let batches = batches::epoch(&job.train, train.batch_size, train.seed, self.state.epoch);
        let total = (batches.len() * train.epochs) as u64;
        let mut losses = 0.0;
        let mut norms = 0.0f64;
        for batch in &batches {
            let (loss, norm) = self.step(batch, total)?;
            losses += loss * batch.len() as f64;
            norms = norms.max(norm);
            self.say(Message::Progress(Progress {
                epoch: self.state.epoch as u32 + 1,
                epochs: train.epochs as u32,
                step: self.state.step,
                steps: total,
                loss,
            }))?;
        }
        self.state.epoch += 1;
        let values = [("loss", losses / job.train.len() as f64), ("gradient_norm_max", norms)];
        self.measure(Split::Train, values.map(|(name, value)| (name.to_owned(), value)).into())?;
        let evaluation = evaluate(self.material)?;
        self.measure(Split::Validation, evaluation.measures(self.material.corpus))?;
        self.judge(evaluation)?;
        self.save(CheckpointKind::Last)
    }

    /// One optimiser step over a batch, whose gradients are summed piece by piece: exactly those of the whole.
    fn step(&mut self, documents: &[u32], total: u64) -> Result<(f64, f64), FitError> {
        let material = &*self.material;
        let config = &material.job.config;
        let whole = normaliser(config.train.loss, documents.len(), material.corpus.classes().len());
        let noise = noise(config.train.seed, self.state.step);
        let mut loss = 0.0;
        for piece in batches::micro_batches(documents, material.corpus, &config.model, config.train.micro_batch_tokens)
        {
            let logits = material.logits(&piece, &Pass::training(Some(noise)))?;
            let labels: Vec<&[u32]> = piece.iter().map(|document| material.corpus.labels(*document as usize)).collect();
            let part = loss_sum(config.train.loss, &logits, &labels)?.affine(1.0 / whole, 0.0)?;
            loss += f64::from(part.to_scalar::<f32>()?);
            material.model.params().absorb(&part.backward()?)?;
        }
        if !loss.is_finite() {
            return Err(FitError::Diverged { loss, step: self.state.step + 1, epoch: self.state.epoch + 1 });
        }
        let factor = schedule::factor(&config.train, self.state.step, total);
        let norm = self.optimiser.step(material.model.params(), &config.train, factor)?;
        self.state.step += 1;
        Ok((loss, norm))
    }

    /// Is it the best so far, and is it time to end?
    fn judge(&mut self, evaluation: Evaluation) -> Result<(), FitError> {
        let job = self.material.job;
        let score = evaluation.report.values.get(&job.objective).copied().unwrap_or(f64::NAN);
        let patience = job.config.train.early_stopping;
        let min_delta = patience.map_or(0.0, |stopping| stopping.min_delta);
        let gain = |best: Best| job.direction.gain(score) - job.direction.gain(best.score);
        let best = self.state.best;
        if !score.is_nan() && best.is_none_or(|best| gain(best) > 0.0) {
            self.state.best = Some(Best { score, epoch: self.state.epoch });
            self.evaluation = Some(evaluation);
            self.save(CheckpointKind::Best)?;
        }
        let improved = !score.is_nan() && best.is_none_or(|best| gain(best) > min_delta);
        self.state.waited = if improved { 0 } else { self.state.waited + 1 };
        let out_of_patience = patience.is_some_and(|stopping| self.state.waited >= stopping.patience);
        self.state.finished = out_of_patience || self.state.epoch >= job.config.train.epochs;
        Ok(())
    }

    fn save(&mut self, kind: CheckpointKind) -> Result<(), FitError> {
        let params = self.material.model.params();
        let mut tensors = params.trained();
        let name = match kind {
            CheckpointKind::Best => {
                // until the last checkpoint speaks of the new one, the old one is what a resumed run needs; the first
                // best moves nothing aside
                let _ = fs::rename(self.directory.join(BEST), self.directory.join(PREVIOUS));
                BEST
            }
            CheckpointKind::Last => {
                tensors.extend(self.optimiser.tensors(params)?);
                LAST
            }
        };
        let written = checkpoint::save(&self.directory.join(name), &tensors, &self.state)?;
        if kind == CheckpointKind::Last {
            // there is none unless this epoch was the best
            let _ = fs::remove_file(self.directory.join(PREVIOUS));
        }
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
        let job = self.material.job;
        let Some(best) = self.state.best else {
            let hint = "a class is missing from the validation documents; choose another search.objective";
            return Err(FitError::NoScore { objective: job.objective.clone(), hint });
        };
        let evaluation = if let Some(evaluation) = self.evaluation.take() {
            evaluation
        } else {
            let best = self.directory.join(BEST);
            self.material.model.params().set(&checkpoint::load_weights(&best)?)?;
            evaluate(self.material)?
        };
        for chunk in evaluation.predictions(job, self.material.corpus).chunks(PREDICTIONS) {
            self.say(Message::Predictions { predictions: chunk.to_vec() })?;
        }
        Ok(Done {
            score: best.score,
            best_epoch: best.epoch as u32,
            epochs: self.state.epoch as u32,
            peak_memory_mb: 0,
        })
    }

    fn measure(&mut self, split: Split, values: BTreeMap<String, f64>) -> Result<(), FitError> {
        let (epoch, step) = (self.state.epoch as u32, self.state.step);
        self.say(Message::Metric(Measurement { epoch, step, split, values }))
    }

    fn say(&mut self, message: Message) -> Result<(), FitError> {
        (self.report)(message).map_err(FitError::Report)
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
    let about = (&job.identity, env!("CARGO_PKG_VERSION"), &job.config, &job.objective, job.direction);
    let parts = (about, &job.train, &job.validation, documents);
    hasher.update(serde_json::to_vec(&parts).unwrap_or_default());
    hex(&hasher.finalize())
}
