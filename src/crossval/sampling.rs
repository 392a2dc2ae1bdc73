use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::OutOfFold;

/// How far a score on documents that were never looked at before may lie from that on all such documents: the spread of
/// the scores of samples that are drawn with replacement (Efron 1979, *Bootstrap methods: another look at the jackknife*).
/// Each draw is known by its number: the same for any number of threads.
#[derive(Clone, Debug)]
pub struct Resampling {
    /// Of one trial.
    answers: OutOfFold,
    /// What is drawn: documents, or all of one group, since those of one group have more in common than with others.
    units: Vec<Vec<usize>>,
    seed: u64,
}

impl Resampling {
    /// `groups` has the group of each document.
    ///
    /// # Panics
    /// Where there are not as many groups as documents.
    pub fn new(answers: OutOfFold, groups: Option<&[u32]>, seed: u64) -> Self {
        let documents = answers.documents();
        let mut units: Vec<Vec<usize>> = Vec::new();
        if let Some(groups) = groups {
            assert_eq!(groups.len(), documents, "one group per document");
            let mut by_group: Vec<usize> = (0..documents).collect();
            by_group.sort_by_key(|document| groups[*document]);
            units.extend(by_group.chunk_by(|a, b| groups[*a] == groups[*b]).map(<[usize]>::to_vec));
        } else {
            units.extend((0..documents).map(|document| vec![document]));
        }
        Self { answers, units, seed }
    }

    /// The score of one draw; none where it is undefined.
    pub fn draw(&self, number: u32) -> Option<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(number));
        let drawn = (0..self.units.len()).map(|_| rng.random_range(0..self.units.len()));
        let documents: Vec<usize> = drawn.flat_map(|unit| self.units[unit].iter().copied()).collect();
        Some(self.answers.score(0, &documents)).filter(|score| score.is_finite())
    }

    /// The standard error that draws come to; none of a single unit, or where fewer than two draws say anything.
    pub fn error(&self, draws: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
        let scores: Vec<f64> = draws.into_iter().flatten().collect();
        if self.units.len() < 2 || scores.len() < 2 {
            return None;
        }
        let mean = super::mean(&scores);
        let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (scores.len() - 1) as f64;
        Some(variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crossval::Labels;
    use crate::metrics::Metric;

    /// `right` of `documents` answers are, one after the other.
    fn answers(documents: usize, right: usize) -> OutOfFold {
        let accuracy = Metric::named("accuracy", false).expect("is known");
        let mut answers = OutOfFold::new(accuracy, 2, Labels::Single(vec![0; documents]));
        let rows = (0..documents).flat_map(|document| if document < right { [0.9, 0.1] } else { [0.1, 0.9] });
        answers.push(vec![rows.collect()], Vec::new());
        answers
    }

    fn error(answers: OutOfFold, groups: Option<&[u32]>) -> Option<f64> {
        let resampling = Resampling::new(answers, groups, 17);
        resampling.error((0..2_000).map(|number| resampling.draw(number)))
    }

    #[test]
    fn of_a_share_it_is_the_binomial_error() {
        let found = error(answers(100, 80), None).expect("documents");
        let binomial = (0.8_f64 * 0.2 / 100.0).sqrt();
        assert!((found / binomial - 1.0).abs() < 0.06, "{found}, {binomial}");
        assert_eq!(error(answers(100, 100), None), Some(0.0));
    }

    /// Ten groups of ten that are right or wrong together are ten documents.
    #[test]
    fn groups_count_and_not_their_documents() {
        let groups: Vec<u32> = (0..100).map(|document| 7 * (document / 10)).collect();
        let found = error(answers(100, 80), Some(&groups)).expect("groups");
        let binomial = (0.8_f64 * 0.2 / 10.0).sqrt();
        assert!((found / binomial - 1.0).abs() < 0.06, "{found}, {binomial}");
        // groups of one document each, in any order of their numbers
        let single: Vec<u32> = (0..100).collect();
        assert_eq!(error(answers(100, 80), Some(&single)), error(answers(100, 80), None));
    }

    #[test]
    fn of_one_unit_nothing_can_be_said() {
        assert_eq!(error(answers(1, 1), None), None);
        assert_eq!(error(answers(10, 5), Some(&[3; 10])), None);
    }
}
