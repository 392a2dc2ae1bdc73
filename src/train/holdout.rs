//! A model that is scored on documents which nothing was chosen by.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::evaluate::Evaluation;
use crate::crossval::{Labels, OutOfFold, Resampling};
use crate::metrics::Metric;
use crate::protocol::{Job, Split};
use crate::text::Corpus;

/// Draws of the bootstrap: they put an error right to a few hundredths of itself.
const DRAWS: u32 = 1_000;
const SEED: u64 = 17;

impl Evaluation {
    /// Where the scores of a job's documents belong, and those scores. Of the holdout there is the objective's standard
    /// error, too, as `score_se`.
    pub(crate) fn scored(&self, job: &Job, corpus: &Corpus) -> (Split, BTreeMap<String, f64>) {
        let mut values = self.measures(corpus);
        if job.task.refit.is_none() {
            return (Split::Validation, values);
        }
        values.extend(self.sampling_error(job, corpus).map(|error| ("score_se".to_owned(), error)));
        (Split::Holdout, values)
    }

    fn sampling_error(&self, job: &Job, corpus: &Corpus) -> Option<f64> {
        let metric = Metric::named(&job.task.objective, corpus.is_multi_label())?;
        let documents = || job.validation.iter().map(|document| *document as usize);
        let labels = if corpus.is_multi_label() {
            Labels::Multi(documents().map(|document| corpus.labels(document).to_vec()).collect())
        } else {
            Labels::Single(documents().map(|document| corpus.labels(document)[0]).collect())
        };
        let mut answers = OutOfFold::new(metric, corpus.classes().len(), labels);
        answers.push(
            vec![self.probabilities.iter().map(|p| *p as f32).collect()],
            super::evaluate::thresholds(job, corpus),
        );
        let groups: Option<Vec<u32>> = corpus.groups().map(|of| documents().map(|document| of[document]).collect());
        let resampling = Resampling::new(answers, groups.as_deref(), SEED);
        let draws: Vec<Option<f64>> = (0..DRAWS).into_par_iter().map(|number| resampling.draw(number)).collect();
        resampling.error(draws)
    }
}
