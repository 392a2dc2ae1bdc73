//! Scores of a model on documents.

use std::collections::{BTreeMap, HashMap};

use candle_core::Result;

use super::examples::Examples;
use super::trainer::{INFERENCE, Trainer};
use crate::metrics::{Report, Truth};
use crate::protocol::{Job, Prediction};
use crate::text::Corpus;

/// What a model says of the validation documents.
pub(crate) struct Evaluation {
    pub(crate) report: Report,
    /// [documents, classes], row by row
    pub(super) probabilities: Vec<f64>,
}

/// Scores the validation documents.
pub(super) fn evaluate(examples: &Examples<'_>, trainer: &Trainer) -> Result<Evaluation> {
    let (job, corpus) = (examples.job, examples.corpus);
    let mut of: HashMap<u32, Vec<f64>> = HashMap::new();
    // without activations more fits
    for piece in examples.pieces(&job.validation, INFERENCE * trainer.limits().tokens, None) {
        let piece = piece?;
        let rows = trainer.logits(&piece.input)?.to_vec2::<f32>()?;
        let rows = rows.into_iter().map(|row| row.into_iter().map(f64::from).collect());
        of.extend(piece.documents.into_iter().zip(rows));
    }
    let logits: Vec<f64> = job.validation.iter().flat_map(|document| of[document].iter().copied()).collect();
    Ok(Evaluation::new(job, corpus, &logits))
}

impl Evaluation {
    /// From the logits of the validation documents, [documents, classes], row by row.
    pub(crate) fn new(job: &Job, corpus: &Corpus, logits: &[f64]) -> Self {
        let classes = corpus.classes().len();
        let labels = |document: &u32| corpus.labels(*document as usize);
        let (report, probabilities) = if corpus.is_multi_label() {
            let probabilities: Vec<f64> = logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
            let truth: Vec<Vec<u32>> = job.validation.iter().map(|document| labels(document).to_vec()).collect();
            let thresholds = thresholds(job, corpus);
            (Truth::Multi(&truth).report(&probabilities, classes, &thresholds), probabilities)
        } else {
            let probabilities: Vec<f64> = logits.chunks_exact(classes).flat_map(softmax).collect();
            let truth: Vec<u32> = job.validation.iter().map(|document| labels(document)[0]).collect();
            (Truth::Single(&truth).report(&probabilities, classes, &[]), probabilities)
        };
        Self { report, probabilities }
    }

    /// All metrics by name, those of a class as `f1/CLASS`.
    pub(crate) fn measures(&self, corpus: &Corpus) -> BTreeMap<String, f64> {
        let mut values = self.report.values.clone();
        values.insert("undefined_classes".to_owned(), self.report.undefined_classes as f64);
        for (class, scores) in corpus.classes().iter().zip(&self.report.per_class) {
            let of_class = [("precision", scores.precision), ("recall", scores.recall), ("f1", scores.f1)];
            values.extend(of_class.map(|(name, value)| (format!("{name}/{class}"), value)));
        }
        values
    }

    /// One prediction a document.
    pub(crate) fn predictions(&self, job: &Job, corpus: &Corpus) -> Vec<Prediction> {
        let rows = self.probabilities.chunks_exact(corpus.classes().len());
        let thresholds = thresholds(job, corpus);
        let name = |class: usize| corpus.classes()[class].clone();
        job.validation
            .iter()
            .zip(rows)
            .map(|(document, row)| {
                let labels = corpus.labels(*document as usize).iter().map(|label| name(*label as usize));
                let (label, predicted, confidence) = if corpus.is_multi_label() {
                    let given = (0..row.len()).filter(|class| row[*class] >= thresholds[*class]).map(name);
                    let sure = |(p, threshold): (&f64, &f64)| if p >= threshold { *p } else { 1.0 - p };
                    let least = row.iter().zip(&thresholds).map(sure).fold(1.0, f64::min);
                    (list(labels), list(given), least)
                } else {
                    let best = (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
                    (labels.collect(), name(best), row[best])
                };
                Prediction {
                    document: corpus.id(*document as usize).to_owned(),
                    label,
                    predicted,
                    confidence,
                    probabilities: row.iter().map(|p| *p as f32).collect(),
                }
            })
            .collect()
    }
}

/// From which probability on each label is given.
pub(super) fn thresholds(job: &Job, corpus: &Corpus) -> Vec<f64> {
    let train = &job.config.train;
    let of = |class: &String| train.thresholds.get(class).copied().unwrap_or(train.threshold);
    corpus.classes().iter().map(of).collect()
}

fn list(labels: impl Iterator<Item = String>) -> String {
    serde_json::Value::from(labels.collect::<Vec<_>>()).to_string()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|x| x / sum).collect()
}
