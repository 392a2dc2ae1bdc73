//! Scores of a model on documents.

use std::collections::BTreeMap;

use candle_core::Result;

use super::batches::micro_batches;
use super::fit::Material;
use crate::metrics::{Report, Truth};
use crate::model::Pass;
use crate::protocol::{Job, Prediction};
use crate::text::Corpus;

/// What a model says of the validation documents.
pub(crate) struct Evaluation {
    pub(crate) report: Report,
    /// [documents, classes], row by row
    pub(super) probabilities: Vec<f64>,
}

/// Scores the validation documents.
pub(super) fn evaluate(material: &Material<'_>) -> Result<Evaluation> {
    let (job, corpus) = (material.job, material.corpus);
    let classes = corpus.classes().len();
    let mut logits = Vec::with_capacity(job.validation.len() * classes);
    // without gradients four times the tokens fit
    let most = 4 * job.config.train.micro_batch_tokens;
    for piece in micro_batches(&job.validation, corpus, &job.config.model, most) {
        let rows = material.logits(&piece, &Pass::inference())?;
        logits.extend(rows.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from));
    }
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
            let thresholds = vec![job.config.train.threshold; classes];
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
        let threshold = job.config.train.threshold;
        let name = |class: usize| corpus.classes()[class].clone();
        job.validation
            .iter()
            .zip(rows)
            .map(|(document, row)| {
                let labels = corpus.labels(*document as usize).iter().map(|label| name(*label as usize));
                let (label, predicted, confidence) = if corpus.is_multi_label() {
                    let given = (0..row.len()).filter(|class| row[*class] >= threshold).map(name);
                    let least = row.iter().map(|p| if *p >= threshold { *p } else { 1.0 - p }).fold(1.0, f64::min);
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

fn list(labels: impl Iterator<Item = String>) -> String {
    serde_json::Value::from(labels.collect::<Vec<_>>()).to_string()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|x| x / sum).collect()
}
