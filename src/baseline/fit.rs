//! One run of the baseline: texts in, measurements and predictions out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::logistic::{Settings, Weights};
use super::tfidf::{MAX_COLUMNS, Vocabulary};
use crate::protocol::{Done, Job, Measurement, Message, Split};
use crate::text::{Corpus, CorpusError, DataError, documents, hex};
use crate::train::Evaluation;

#[derive(Debug, Error)]
pub enum BaselineError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} changed since this sweep began: put the old file back, then `sweep resume --retry-failed`", path.display())]
    Changed { path: PathBuf },
    #[error(
        "{objective} is undefined: a class is missing from the validation documents; choose another search.objective"
    )]
    NoScore { objective: String },
    #[error("cannot say how it goes: {0}")]
    Report(std::io::Error),
}

/// One strength for all data. Measured on laws, novels and English manual pages with grouped folds: balanced, c from 10 to
/// 100 changes macro F1 by less than 0.015; at c = 30 balance gains 0.11, 0.04 and -0.002 of it, and loses at most 0.004
/// of accuracy.
const SETTINGS: Settings = Settings { c: 30.0, balanced: true, tolerance: 0.01, passes: 200 };

/// Predictions in one message.
const PREDICTIONS: usize = 500;

/// Fits a run to its end. Vocabulary and document frequencies are of the training documents only.
pub fn fit(job: &Job, report: &mut dyn FnMut(Message) -> std::io::Result<()>) -> Result<Done, BaselineError> {
    let corpus = Corpus::open(Path::new(&job.documents))?;
    let scored = Scored::new(job, &corpus, &texts(job, &corpus)?);
    let evaluation = Evaluation::new(job, &corpus, &scored.logits);
    let mut say = |message| report(message).map_err(BaselineError::Report);
    let measured = |split, values| Message::Metric(Measurement { epoch: 1, step: scored.passes, split, values });
    say(measured(Split::Train, BTreeMap::from([("ngrams".to_owned(), scored.ngrams as f64)])))?;
    let (split, values) = evaluation.scored(job, &corpus);
    say(measured(split, values))?;
    for chunk in evaluation.predictions(job, &corpus).chunks(PREDICTIONS) {
        say(Message::Predictions { predictions: chunk.to_vec() })?;
    }
    let score = evaluation.report.values.get(&job.task.objective).copied().filter(|score| score.is_finite());
    let score = score.ok_or_else(|| BaselineError::NoScore { objective: job.task.objective.clone() })?;
    Ok(Done { score, best_epoch: 1, epochs: 1, peak_memory_mb: 0 })
}

/// What the model of the training documents says of the validation documents.
struct Scored {
    /// [documents, classes], row by row
    logits: Vec<f64>,
    ngrams: usize,
    /// Over the documents, of the class that took most.
    passes: u64,
}

impl Scored {
    fn new(job: &Job, corpus: &Corpus, texts: &[String]) -> Self {
        let of = |documents: &[u32]| -> Vec<&str> {
            documents.iter().map(|document| texts[*document as usize].as_str()).collect()
        };
        let (training, validation) = (of(&job.train), of(&job.validation));
        let vocabulary = Vocabulary::learn(training.iter().copied(), MAX_COLUMNS);
        let rows = vocabulary.rows(training.into_iter());
        let held_out = vocabulary.rows(validation.into_iter());
        let (documents, ngrams) = (rows.len(), vocabulary.len());
        tracing::info!("{documents} documents, {ngrams} n-grams, {} entries", rows.entries());
        // a class is fitted on one thread, whatever their number: the same bits
        let classes = (0..corpus.classes().len() as u32).into_par_iter().map(|class| {
            let has = |document: &u32| corpus.labels(*document as usize).contains(&class);
            let positive: Vec<bool> = job.train.iter().map(has).collect();
            let fitted = Weights::fit(&rows, ngrams, &positive, SETTINGS);
            let name = &corpus.classes()[class as usize];
            if fitted.passes < SETTINGS.passes {
                tracing::info!("{name}: {} passes", fitted.passes);
            } else {
                tracing::warn!("{name}: stopped after {} passes, {:.3} from the end", fitted.passes, fitted.distance);
            }
            let logits: Vec<f64> = (0..held_out.len()).map(|row| fitted.weights.logit(&held_out, row)).collect();
            (logits, fitted.passes)
        });
        let classes: Vec<(Vec<f64>, usize)> = classes.collect();
        let logits = (0..held_out.len()).flat_map(|row| classes.iter().map(move |(logits, _)| logits[row]));
        let logits = if corpus.is_multi_label() { logits.collect() } else { logits.map(log_share).collect() };
        let passes = classes.iter().map(|(_, passes)| *passes as u64).max().unwrap_or(0);
        Self { logits, ngrams, passes }
    }
}

/// The log of a logit's probability: softmax of these shares 1 among the classes in proportion to their probabilities.
fn log_share(logit: f64) -> f64 {
    logit.min(0.0) - (-logit.abs()).exp().ln_1p()
}

/// The normalised texts, in the order of the corpus.
fn texts(job: &Job, corpus: &Corpus) -> Result<Vec<String>, BaselineError> {
    let path = Path::new(&job.config.data.path);
    let bytes = std::fs::read(path).map_err(|source| BaselineError::Read { path: path.to_owned(), source })?;
    if hex(&Sha256::digest(&bytes)) != corpus.data_sha256() {
        return Err(BaselineError::Changed { path: path.to_owned() });
    }
    Ok(documents(path, &bytes, &job.config.data, &job.config.text)?.texts)
}
