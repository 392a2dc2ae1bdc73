//! One run of the baseline: texts in, measurements and predictions out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::logistic::{Settings, Weights};
use super::tfidf::{MAX_COLUMNS, Vocabulary};
use crate::protocol::{Done, Job, Measurement, Message, Split};
use crate::text::{Corpus, CorpusError, DataError, hex, load};
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

/// One strength for all data. Measured on laws, novels and English manual pages, grouped folds: c from 10 to 100 changes
/// macro F1 by less than 0.015, and balance raises it by 0.11, 0.04 and nothing without a loss of accuracy.
const SETTINGS: Settings = Settings { c: 30.0, balanced: true, tolerance: 0.01, passes: 200 };

/// Predictions in one message.
const PREDICTIONS: usize = 500;

/// Fits a run to its end. Vocabulary and document frequencies are of the training documents only.
pub fn fit(job: &Job, report: &mut dyn FnMut(Message) -> std::io::Result<()>) -> Result<Done, BaselineError> {
    let corpus = Corpus::open(Path::new(&job.documents))?;
    let texts = texts(job, &corpus)?;
    let of =
        |documents: &'_ [u32]| documents.iter().map(|document| texts[*document as usize].as_str()).collect::<Vec<_>>();
    let (training, validation) = (of(&job.train), of(&job.validation));
    let vocabulary = Vocabulary::learn(training.iter().copied(), MAX_COLUMNS);
    let rows = vocabulary.rows(training.into_iter());
    let held_out = vocabulary.rows(validation.into_iter());
    tracing::info!("{} documents, {} n-grams, {} entries", rows.len(), vocabulary.len(), rows.entries());
    // classes are fitted one by one, each on one thread: their number changes nothing
    let scored = (0..corpus.classes().len() as u32).into_par_iter().map(|class| {
        let positive: Vec<bool> =
            job.train.iter().map(|document| corpus.labels(*document as usize).contains(&class)).collect();
        let weights = Weights::fit(&rows, vocabulary.len(), &positive, SETTINGS);
        (0..held_out.len()).map(|row| weights.logit(&held_out, row)).collect::<Vec<f64>>()
    });
    let scored: Vec<Vec<f64>> = scored.collect();
    let logits: Vec<f64> = (0..held_out.len()).flat_map(|row| scored.iter().map(move |class| class[row])).collect();
    let logits = if corpus.is_multi_label() { logits } else { logits.into_iter().map(log_share).collect() };
    let evaluation = Evaluation::new(job, &corpus, &logits);
    let mut say = |message| report(message).map_err(BaselineError::Report);
    let measured = |split, values| Message::Metric(Measurement { epoch: 1, step: 0, split, values });
    say(measured(Split::Train, BTreeMap::from([("ngrams".to_owned(), vocabulary.len() as f64)])))?;
    say(measured(Split::Validation, evaluation.measures(&corpus)))?;
    for chunk in evaluation.predictions(job, &corpus).chunks(PREDICTIONS) {
        say(Message::Predictions { predictions: chunk.to_vec() })?;
    }
    let score = evaluation.report.values.get(&job.objective).copied().filter(|score| score.is_finite());
    let score = score.ok_or_else(|| BaselineError::NoScore { objective: job.objective.clone() })?;
    Ok(Done { score, best_epoch: 1, epochs: 1, peak_memory_mb: 0 })
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
    drop(bytes);
    Ok(load(Path::new(""), &job.config.data, &job.config.text)?.texts)
}
